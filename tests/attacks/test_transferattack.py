"""The bridge to a checkout of TransferAttack, on made_checkout: a stand-in with its layout, written by bench."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.plugin import RECIPES
from bench_core.plugin_source import dependencies
from bench_core.registry import Origin, Registry, discover
from bench_core.run_suite import run as run_suite
from bench_core.types import Budget, Examples
from bench_core.worker.attack_run import AttackRun
from bench_core.worker.contracts import check_images
from bench_core.worker.instrument import PassCounter
from bench_models.ensemble import Ensemble

from .scene import examples, network, streams

NAME = "bench_attacks.bridges.transferattack"
MADE = Path(__file__).with_name("made_checkout")
SHAPE = (3, 12, 12)


class Normalised(nn.Module):
    """A network behind a preprocessing, as those of libraries are."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        layers = list(network(3, seed).float())
        self.network = nn.Module()
        self.network.first, self.network.rest = layers[0], nn.Sequential(*layers[1:])
        self.network.forward = lambda images: self.network.rest(self.network.first(images))
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        return self.network.rest(self.network.first((images - 0.5) / 0.25))


MODEL = Normalised()


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The plugin, loaded for the stand-in."""
    yield loaded(MADE, monkeypatch)
    sys.modules.pop(NAME, None)


def loaded(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("BENCH_TRANSFERATTACK", str(checkout))
    sys.modules.pop(NAME, None)
    return importlib.import_module(NAME)


def budget(norm: str = "linf", **changes: Any) -> Budget:
    eps = {"linf": 0.06, "l2": 0.8}[norm]
    return Budget(norm, eps, eps / 3, 4, **{"loss": "cross_entropy", **changes})


def small(targeted: bool = False) -> Examples:
    given = examples(4, SHAPE, targeted)
    return Examples(given.images.float(), given.labels, tuple(f"{i:064x}" for i in range(4)), given.targets)


def attacked(attack: Any, given: Examples, model: nn.Module = MODEL, passes: PassCounter | None = None) -> Tensor:
    """Run an attack as a worker does: seeded, guarded, its passes counted, its images checked."""
    run = AttackRun(attack, model, given, streams(given), passes or PassCounter(model))
    *_, images = run.steps()
    check_images(given.images, images, attack.budget)
    return images


def built(bridge: ModuleType, name: str, limits: Budget | None = None, **options: Any) -> Any:
    return bridge.bench_attacks()[f"transferattack:{name}"].build(limits or budget(), **options)


def test_it_offers_the_attacks_whose_files_are_there_with_typed_options(bridge: ModuleType) -> None:
    registry = Registry()
    registry.register(bridge, Origin("transferattack", "tests", "1", ""))
    names = {name.partition(":")[2] for name in registry.names("attacks")}
    assert names == {"steps", "coupled", "single", "members", "hooked", "named", "own", "needy", "three", "large",
                     "generated"}  # fmt: skip
    offer = registry.find("attacks", "transferattack:steps", "", "")
    listed = {option.name: (option.type, option.default) for option in offer.options}
    assert listed == {"model_name": ("str", ""), "boost": ("float", 1.0), "sides": ("list of int", (2, 3))}
    _, faults = offer.check({"boost": "much"}, "x.toml", "attacks.A")
    assert "attacks.A.boost" in str(faults[0])
    passed_on = registry.find("attacks", "transferattack:coupled", "", "").options
    assert {option.name for option in passed_on} >= {"num_scale", "boost"}


def test_offering_them_imports_neither_torch_nor_the_collection() -> None:
    code = (
        f"import sys\nfrom {NAME} import bench_attacks\nrecipes = bench_attacks()\n"
        "import inspect\n[inspect.signature(recipe.build) for recipe in recipes.values()]\n"
        "sys.exit(bool({'torch', 'transferattack'} & set(sys.modules)) or len(recipes) != 11)"
    )
    environment = {"BENCH_TRANSFERATTACK": str(MADE), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("targeted", [False, True])
def test_plain_steps_are_those_of_bench(bridge: ModuleType, norm: str, targeted: bool) -> None:
    """The stand-in moves its tensors to "cuda" and flattens a gradient that is not contiguous."""
    limits, given = budget(norm, targeted=targeted), small(targeted)
    ours = attacked(RECIPES["pgd"].build(limits), given)
    passes = PassCounter(MODEL)
    theirs = attacked(built(bridge, "steps", limits), given, passes=passes)
    assert (theirs - ours).abs().max() < 1e-5
    assert (passes.forwards, passes.backwards) == (16, 16)
    assert not torch.allclose(attacked(built(bridge, "steps", limits, boost=0.5), given), ours, atol=1e-3)


def test_what_it_prints_does_not_reach_stdout(bridge: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    attacked(built(bridge, "steps"), small())
    printed = capsys.readouterr()
    assert (printed.out, "a line on stdout" in printed.err) == ("", True)


def test_the_global_generators_are_seeded_for_a_batch(bridge: ModuleType) -> None:
    attack, given = built(bridge, "coupled", budget(random_start=True)), small()
    assert attack.global_seed
    first = attacked(attack, given)
    assert torch.equal(attacked(attack, given), first)


def test_an_ensemble_is_given_by_its_members(bridge: ModuleType) -> None:
    members = [Normalised(seed) for seed in range(3)]
    ensemble, given = Ensemble(members, "logits").eval(), small()
    images, sign = given.images, budget().step_size
    for step in range(1, 5):
        at = images.clone().requires_grad_(True)
        loss = nn.functional.cross_entropy(members[step % 3](at), given.labels)
        moved = images + sign * torch.autograd.grad(loss, at)[0].sign()
        images = (given.images + (moved - given.images).clamp(-0.06, 0.06)).clamp(0, 1)
    assert "it attacks an ensemble" in str(built(bridge, "members").check_source(MODEL))
    passes = PassCounter(*members)
    found = attacked(built(bridge, "members"), given, ensemble, passes)
    assert (found - images).abs().max() < 1e-5
    assert passes.forwards == 4 * 4 * (1 + 3)
    ensemble = Ensemble(members, "probabilities").eval()
    ours = attacked(RECIPES["pgd"].build(budget()), given, ensemble, PassCounter(*members))
    theirs = attacked(built(bridge, "steps"), given, ensemble, PassCounter(*members))
    assert (theirs - ours).abs().max() < 1e-5
    refused = built(bridge, "steps").check_source(Ensemble(members, "losses"))
    assert 'not one of each (try combine = "logits")' in str(refused)


def test_layers_are_found_behind_the_preprocessing_and_hooks_do_not_stay(bridge: ModuleType) -> None:
    attack, given = built(bridge, "hooked", layer="first"), small()
    assert attack.check_source(MODEL) is None
    changed = attacked(attack, given)  # raises if the network has a hook afterwards
    assert not torch.equal(changed, attacked(built(bridge, "steps"), given))
    reason = str(built(bridge, "hooked", layer="nowhere").check_source(MODEL))
    assert reason == "recipe: hooked cannot be built: RuntimeError: no such layer (it called exit)" + hint(reason)


def hint(reason: str) -> str:
    return reason[reason.index(" (try model_name") :]


def test_an_attack_that_knows_networks_by_name_is_told_one(bridge: ModuleType) -> None:
    reason = str(built(bridge, "named").check_source(MODEL))
    assert 'ValueError: Current code only supports resnet50. You are using (try model_name = "resnet50"' in reason
    assert built(bridge, "named", model_name="resnet50").check_source(MODEL) is None
    assert "epsilon" in bridge.ATTACKS["named"].parameters, "it passes its keyword arguments on"


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("needy", {}, "it needs no_such_library_of_bench, which is not installed (try pip install no_such_library"),
        ("own", {}, "it loads networks of its own and cannot attack the suite's"),
        ("generated", {}, "it needs a generator that was trained before"),
        ("single", {"targeted": True}, "it cannot be targeted"),
        ("single", {"norm": "l2"}, 'it has no norm, and the budget has "l2" (try norm = "linf")'),
        ("large", {}, "its code is for images of 224 x 224 pixels, these have 12 x 12"),
    ],
)
def test_what_cannot_run_is_refused_before_a_run(
    bridge: ModuleType, name: str, changes: dict[str, Any], reason: str
) -> None:
    refusal = built(bridge, name, budget(changes.pop("norm", "linf"), **changes)).check(SHAPE)
    assert reason in str(refusal)


def test_sizes_that_fit_are_accepted(bridge: ModuleType) -> None:
    assert built(bridge, "three").check(SHAPE) is None
    assert "it takes three channels, the images have 1" in str(built(bridge, "three").check((1, 12, 12)))
    assert built(bridge, "large").check((3, 224, 224)) is None
    assert built(bridge, "single").check(SHAPE) is None
    assert built(bridge, "single").cost.forwards_once == 1
    assert built(bridge, "coupled", num_scale=3).cost.forwards_once == 12


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "found no transferattack/__init__.py (try the folder of a checkout)"),
        ("x = 1", "has no dictionary attack_zoo"),
    ],
)
def test_a_wrong_folder_gets_one_line(
    content: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "transferattack").mkdir()
    if content:
        (tmp_path / "transferattack" / "__init__.py").write_text(content)
    with pytest.raises(ImportError, match=r"^BENCH_TRANSFERATTACK=") as refused:
        loaded(tmp_path, monkeypatch)
    assert reason in str(refused.value)
    monkeypatch.delenv("BENCH_TRANSFERATTACK")
    with pytest.raises(
        ImportError, match=r"BENCH_TRANSFERATTACK is not set \(try BENCH_TRANSFERATTACK=DIR, a checkout"
    ):
        importlib.import_module(NAME)


def test_older_checkouts_import_the_classes_in_init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(MADE, tmp_path / "old")
    start = tmp_path / "old" / "transferattack" / "__init__.py"
    start.write_text("from .gradient.steps import Steps\nattack_zoo = {'steps': Steps, 'lost': Lost}\n")
    old = loaded(tmp_path / "old", monkeypatch)
    assert list(old.ATTACKS) == ["steps"]
    attacked(built(old, "steps"), small())


def test_a_change_of_the_checkout_makes_results_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def code(folder: Path) -> str:
        plugin = loaded(folder, monkeypatch)
        registry = Registry()
        registry.register(plugin, Origin("t", "tests", "1", "sources", dependencies(plugin)))
        assert str(tmp_path) not in "".join(dependencies(plugin))
        return "".join(dependencies(plugin))

    for name in ("one", "two", "three"):
        shutil.copytree(MADE, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "three" / "transferattack" / "attack.py").open("a") as file:
        file.write("# changed\n")
    assert code(tmp_path / "one") == code(tmp_path / "two") != code(tmp_path / "three")


def test_it_runs_in_a_suite(bridge: ModuleType, toys: Any, write_suite: Any, tmp_path: Path) -> None:
    registry = discover()
    registry.register(toys, Origin("toys", "tests", "1", "toys-source"))
    if ("attacks", "transferattack:steps") not in registry.offers:
        registry.register(bridge, Origin("transferattack", "tests", "1", "source"))
    suite = write_suite(('{ recipe = "pgd" }', '{ recipe = "transferattack:steps" }'))
    result = run_suite(suite, out=tmp_path / "out", registry=registry, executor="inline")
    assert result.complete
    suite = write_suite(('{ recipe = "pgd" }', '{ recipe = "transferattack:hooked", layer = "nowhere" }'))
    with pytest.raises(Exception, match="no such layer"):
        run_suite(suite, out=tmp_path / "out2", registry=registry, executor="inline")
