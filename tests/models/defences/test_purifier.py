"""A purifier from the user's file before a network: what is run, what it gives, and what is refused in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench_core.errors import UsageError
from bench_models.defences.purifier import RECIPE
from bench_models.defended import Defended
from tests.toys import SHAPE, toy_network

SOURCE = """
import torch
from torch import nn

class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.filter = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    def forward(self, images):
        return images - 0.1 * self.filter(images)

def build():
    return Denoiser()

def number():
    return 3

def fails():
    raise ValueError("not today")

def flattens():
    return nn.Flatten()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hgd.py").write_text(SOURCE)
    weight = torch.randn(1, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.save({"state_dict": {"module.filter.weight": weight}}, tmp_path / "hgd.pth")
    return tmp_path


@pytest.fixture
def defended(folder: Path) -> Callable[..., Defended]:
    def build(function: str = "build", **options: Any) -> Defended:
        given = {"weights": str(folder / "hgd.pth"), "prefix": "module.", **options}
        made = RECIPE.build(base=toy_network(), file=f"{folder}/hgd.py:{function}", **given)
        return made.eval().requires_grad_(False)

    return build


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(1))


def gradient(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    inputs = images.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(network(inputs)[:, 1].sum(), inputs)
    return found


def test_it_classifies_purified_images_and_an_attacker_differentiates_the_purifier(
    defended: Callable[..., Defended], images: Tensor, folder: Path
) -> None:
    weight = torch.load(folder / "hgd.pth")["state_dict"]["module.filter.weight"]

    def purified(given: Tensor) -> Tensor:
        return given - 0.1 * nn.functional.conv2d(given, weight, padding=1)

    base = toy_network()
    plain, exact, bpda = defended(), defended(adaptive=True), defended(adaptive=True, bpda=True)
    for network in (plain, exact, bpda):
        torch.testing.assert_close(network(images), base(purified(images)))
    assert not gradient(plain, images).any()
    torch.testing.assert_close(gradient(exact, images), gradient(lambda given: base(purified(given)), images))
    torch.testing.assert_close(gradient(bpda, images), gradient(base, purified(images)))


def test_its_files_are_listed_and_identify_it(folder: Path) -> None:
    options = {"base": {}, "file": f"{folder}/hgd.py:build", "weights": f"{folder}/hgd.pth"}
    assert RECIPE.files is not None
    assert [Path(each.path).name for each in RECIPE.files(**options)] == ["hgd.py", "hgd.pth"]
    first = RECIPE.identity(**options)
    (folder / "hgd.py").write_text(SOURCE + "\n# other code")
    assert RECIPE.identity(**options) != first
    assert RECIPE.identity(**{**options, "file": "nowhere.py:build"}) != first, "a plan lists what is missing"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("hgd.pth", r'file: found ".*hgd\.pth" \(try "net\.py:build"'),
        ("hgd.py:bild", r'hgd\.py has no "bild" \(did you mean "build"\?\)'),
        ("broken.py:build", r"broken\.py is no Python file: "),
        ("hgd.py:number", r"number returned int, not a torch\.nn\.Module"),
        ("hgd.py:fails", r"fails raised ValueError: not today"),
        ("nowhere.py:build", r"not on this machine: looked for .*nowhere\.py"),
    ],
)
def test_a_wrong_file_is_one_line(file: str, message: str, folder: Path) -> None:
    (folder / "broken.py").write_text("def build(:")
    with pytest.raises(UsageError, match=message) as error:
        RECIPE.build(base=toy_network(), file=f"{folder}/{file}")
    assert len(str(error.value).splitlines()) == 1


def test_other_weights_are_refused(defended: Callable[..., Defended]) -> None:
    with pytest.raises(UsageError, match=r"hgd\.pth has no filter\.weight"):
        defended(prefix="")
    with pytest.raises(UsageError, match=r"hgd\.pth has the digest \w+, not 0000"):
        defended(sha256="0" * 64)


def test_a_purifier_must_return_images(defended: Callable[..., Defended], images: Tensor) -> None:
    with pytest.raises(UsageError, match=r"the purifier returned \(3, 16\) for images \(3, 1, 4, 4\)"):
        defended("flattens", weights="", prefix="")(images)
