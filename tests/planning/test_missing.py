"""Missing files are reported first, without delay and together, with the command that fetches them."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench_core import cli
from bench_core.errors import Fault, UsageError
from bench_core.hookspecs import hookimpl
from bench_core.planning.plan import make_plan
from bench_core.planning.weights import fetch_command
from bench_core.registry import Origin, Registry
from bench_core.reports.plan import plan_text
from bench_core.run_suite import resolve_suite, run
from bench_core.store import Store
from bench_core.suite.load import command, load_suite
from bench_core.types import DataRecipe, WeightsFile

from ..toys import SHAPE, ToyImages, toy_network
from .test_weights import FromFile

TOY_DATA = ('kind = "toy_images"', 'kind = "slow"')


class Slow:
    """Images whose ids must not be read, or a missing dataset where `here` is false."""

    shape = SHAPE
    labels = (0,)

    def __init__(self, here: bool = True) -> None:
        if not here:
            raise UsageError(Fault("data", "root", "no such folder"))

    @property
    def ids(self) -> list[str]:
        raise AssertionError("every image was read")

    @hookimpl
    def bench_datasets(self) -> dict[str, DataRecipe]:
        return {"slow": DataRecipe(type(self), "for tests")}


@pytest.fixture
def suite(registry: Registry, write_suite: Callable[..., str], tmp_path: Path) -> str:
    """The toy suite on slow images, with a metric that needs their mean, and a model whose weights are missing."""
    file = WeightsFile(str(tmp_path / "a.pth"), "http://127.0.0.1:9/a.pth")
    registry.register(FromFile(file), Origin("from_file", "tests", "1", "from-file"))
    registry.register(Slow(), Origin("slow", "tests", "1", "slow"))
    averaged = ("[metrics]", '[metrics]\nmaps = { recipe = "context_maps", grid = 4 }')
    return write_suite(TOY_DATA, ('"A" = { recipe = "toy", seed = 1 }', '"A" = { recipe = "from_file" }'), averaged)


def test_missing_weights_are_reported_before_any_image_is_read(suite: str, registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"models\.A: weights are not on this machine") as raised:
        run(suite, out=tmp_path, registry=registry, executor="inline")
    assert len(raised.value.faults) == 1


def test_a_network_that_only_chooses_the_images_is_named_as_such(
    suite: str, registry: Registry, tmp_path: Path
) -> None:
    """The rest of the suite can do without it, as where `--set 'sources=[...]'` leaves few networks."""
    few = ['sources=["B"]', 'targets=["B"]', "data.kind=toy_images", 'images.rule="correct_by_all"']
    with pytest.raises(UsageError) as raised:
        run(load_suite(suite, overrides=[*few, 'images.models=["A", "B"]']), out=tmp_path, registry=registry)
    (fault,) = map(str, raised.value.faults)
    assert "models.A: weights are not on this machine" in fault
    assert fault.endswith("; or, as only images.models asks for it, --set images.models=sources)")
    with pytest.raises(UsageError) as raised:
        run(load_suite(suite), out=tmp_path, registry=registry, executor="inline")
    assert "images.models" not in str(raised.value), "A is a source"
    result = run(
        load_suite(suite, overrides=[*few, "images.models=sources"]), out=tmp_path, registry=registry, executor="inline"
    )
    assert {score.labels.target for score in result.scores if score.metric == "clean.accuracy"} == {"B"}


@pytest.mark.parametrize(
    ("models", "asked"),
    [("sources", ["A"]), ("all", ["A", "B"]), ('["B"]', ["B"]), (None, ["A", "B"])],
)
def test_the_networks_that_choose_the_images(
    models: str | None, asked: list[str], registry: Registry, write_suite: Callable[..., str], tmp_path: Path
) -> None:
    """A target that does not choose them may misclassify an image, which then counts as a success."""
    given = ['sources=["A"]', 'targets=["B"]', "images.rule=correct_by_all"]
    suite = load_suite(write_suite(), overrides=[*given, *([f"images.models={models}"] if models else [])])
    assert suite.choosing_models == asked
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    images = ToyImages()
    correct = {
        name: toy_network(seed)(torch.from_numpy(images.pixels)).argmax(1).tolist()
        for name, seed in (("A", 1), ("B", 2))
    }
    expected = [i for i, label in enumerate(images.labels) if all(correct[name][i] == label for name in asked)]
    assert list(result.selected) == expected[:12]


def test_missing_weights_and_images_are_reported_together(suite: str, registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        run(load_suite(suite, overrides=["data.here=false"]), out=tmp_path, registry=registry, executor="inline")
    weights, images = map(str, raised.value.faults)
    assert "weights are not on this machine" in weights
    assert images.endswith("data: no such folder")


def test_fetching_needs_no_images(
    suite: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench_core.registry.discover", lambda: registry)
    monkeypatch.setattr(Slow, "__init__", lambda _self, **_options: pytest.fail("the images were looked for"))
    with pytest.raises(SystemExit) as left:
        cli.main(["fetch", suite, "--set", "images.count=3"])
    assert left.value.code == 3, "there is no server"
    assert f"(try bench fetch {suite} --profile toy --set=images.count=3 again, or" in capsys.readouterr().err


def test_a_command_names_the_file_and_the_overrides(write_suite: Callable[..., str]) -> None:
    path = write_suite(name="my suite")
    loaded = load_suite(path, overrides=["images.count=3", 'data.root="a b"'])
    assert shlex.split(command("run", loaded, "--limit", "2")) == [
        "bench", "run", path, "--profile", "toy", "--limit", "2", "--set=images.count=3", '--set=data.root="a b"',
    ]  # fmt: skip
    assert shlex.split(fetch_command(loaded))[2:] == [path, "--profile", "toy", "--set=images.count=3"]
    assert command("fetch", load_suite("robust_accuracy", "cifar10")) == "bench fetch robust_accuracy --profile cifar10"


def test_a_plan_prints_the_command_that_fetches_a_missing_file(
    registry: Registry, write_suite: Callable[..., str], tmp_path: Path
) -> None:
    file = WeightsFile(str(tmp_path / "a.pth"), "http://127.0.0.1:9/a.pth")
    registry.register(FromFile(file), Origin("from_file", "tests", "1", "from-file"))
    path = write_suite(('"A" = { recipe = "toy", seed = 1 }', '"A" = { recipe = "from_file" }'))
    resolved = resolve_suite(load_suite(path, overrides=["images.count=3"]), registry)
    printed = plan_text(make_plan(resolved, Store(tmp_path / "store")))
    assert (
        f"weights: 1 file is missing (`bench fetch {path} --profile toy --set=images.count=3` downloads those"
        in printed
    )
