"""A network from the user's Python file: its function, its weights, what identifies it, and what is refused."""

from pathlib import Path

import pytest
import torch
from torch import nn

from bench_core.errors import UsageError
from bench_core.registry import Registry
from bench_models import python_file

from ..toys import CLASSES, SHAPE

SOURCE = f"""
import math
from torch import nn

def build():
    return nn.Sequential(nn.Flatten(), nn.Linear({SHAPE[0] * SHAPE[1] * SHAPE[2]}, {CLASSES}), nn.Dropout(0.5))

def number():
    return math.pi
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(SOURCE)
    weight = torch.randn(CLASSES, 16, generator=torch.Generator().manual_seed(0))
    torch.save({"state_dict": {"1.weight": weight, "1.bias": torch.arange(3.0)}}, tmp_path / "net.pth")
    return tmp_path


def test_it_has_the_weights_of_the_file_in_evaluation_mode(folder: Path) -> None:
    network = python_file.build(f"{folder}/net.py:build", f"{folder}/net.pth")
    images = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(1))
    state = torch.load(folder / "net.pth")["state_dict"]
    torch.testing.assert_close(
        network(images), nn.functional.linear(images.flatten(1), state["1.weight"], state["1.bias"])
    )
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_code_and_weights_identify_it_and_are_listed(folder: Path) -> None:
    options = {"file": f"{folder}/net.py:build", "weights": f"{folder}/net.pth"}
    assert [Path(each.path).name for each in python_file.files(**options)] == ["net.py", "net.pth"]
    first = python_file.identity(**options)
    torch.save({"1.weight": torch.zeros(CLASSES, 16), "1.bias": torch.zeros(3)}, folder / "net.pth")
    second = python_file.identity(**options)
    (folder / "net.py").write_text(SOURCE + "# other code")
    assert len({str(first), str(second), str(python_file.identity(**options))}) == 3


def test_random_weights_are_refused_as_every_worker_would_draw_its_own(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"returns other weights at every call \(try weights = FILE"):
        python_file.build(f"{folder}/net.py:build")
    (folder / "net.py").write_text(
        "import torch\n" + SOURCE.replace("return nn", "torch.manual_seed(0)\n    return nn")
    )
    assert python_file.build(f"{folder}/net.py:build")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("net.pth", r'file: found ".*net\.pth" \(try "net\.py:build"'),
        ("net.py:bild", r'net\.py has no "bild" \(did you mean "build"\?\)'),
        ("net.py:number", r"number returned float, not a torch\.nn\.Module"),
        ("nowhere.py:build", r"not on this machine: looked for .*nowhere\.py"),
    ],
)
def test_a_wrong_file_is_one_line(file: str, message: str, folder: Path) -> None:
    with pytest.raises(UsageError, match=message) as error:
        python_file.build(f"{folder}/{file}")
    assert len(str(error.value).splitlines()) == 1


def test_a_suite_attacks_it(folder: Path, write_suite, registry: Registry, tmp_path: Path) -> None:
    from bench_core import run

    entry = f'"B" = {{ recipe = "python", file = "{folder}/net.py:build", weights = "{folder}/net.pth" }}'
    path = write_suite(('"B" = { recipe = "toy", seed = 2 }', entry), ('["A", ["A", "B"]]', '["B"]'))
    result = run(path, out=tmp_path / "out", limit=3, registry=registry, executor="inline")
    assert result.complete
    assert {score.labels["source"] for score in result.scores if "source" in score.labels} == {"B"}
