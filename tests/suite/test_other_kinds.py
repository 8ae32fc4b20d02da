"""Layers of a suite: a table that names another kind or recipe keeps none of the options below it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench_core.suite.load import load_suite
from bench_core.suite.merge import merged

PROFILE = """
[data]
kind = "imagefolder"
side = 224
[models]
"A" = { recipe = "torchvision", name = "resnet18", weights = "IMAGENET1K_V1" }
[attacks]
"PGD" = { recipe = "pgd", momentum = 1 }
"""


@pytest.fixture
def suite(write_suite: Callable[..., str], tmp_path: Path) -> str:
    """Write the toy suite, with its data, first model and attack in a profile; return its path."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "toy.toml").write_text(PROFILE)
    moved = ('"A" = { recipe = "toy", seed = 1 }\n', '[data]\nkind = "toy_images"\n', '"PGD" = { recipe = "pgd" }\n')
    return write_suite(*((line, "") for line in moved))


def test_another_kind_keeps_none_of_the_options(suite: str) -> None:
    loaded = load_suite(
        suite,
        overrides=[
            "data.root=a.npz",
            "data.kind=npz",
            'models.A={recipe="checkpoint",architecture="torchvision:resnet18",file="a.pt"}',
            'attacks.PGD={parts=["pgd","mi"]}',
        ],
    )
    assert (loaded.data.kind, loaded.data.options) == ("npz", {"root": "a.npz"})
    assert loaded.models["A"].options == {"architecture": "torchvision:resnet18", "file": "a.pt"}
    assert (loaded.attacks["PGD"].recipe, loaded.attacks["PGD"].options) == (None, {})


def test_the_same_kind_keeps_the_other_options(suite: str) -> None:
    loaded = load_suite(suite, overrides=["data.kind=imagefolder", "data.per_class=1", "models.A.name=resnet34"])
    assert loaded.data.options == {"side": 224, "per_class": 1}
    assert loaded.models["A"].options == {"name": "resnet34", "weights": "IMAGENET1K_V1"}
    assert merged({"seed": 1}, {"recipe": "toy"}) == {"seed": 1, "recipe": "toy"}


def test_an_option_of_an_attack_may_be_called_kind() -> None:
    base = {"attacks": {"mine": {"recipe": "smooth", "kind": "gaussian", "width": 3}}}
    changed = merged(base, {"attacks": {"mine": {"kind": "uniform"}}})
    assert changed["attacks"]["mine"] == {"recipe": "smooth", "kind": "uniform", "width": 3}
    other = merged(base, {"attacks": {"mine": {"recipe": "pgd", "kind": "uniform"}}})
    assert other["attacks"]["mine"] == {"recipe": "pgd", "kind": "uniform"}


def test_an_option_of_a_dataset_may_be_called_recipe() -> None:
    base = {"data": {"kind": "npz", "recipe": "raw", "root": "a"}}
    assert merged(base, {"data": {"recipe": "cooked"}})["data"] == {"kind": "npz", "recipe": "cooked", "root": "a"}
