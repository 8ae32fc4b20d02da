"""The examples of docs/models.md are accepted: every entry, every kind of dataset, an ensemble of different sizes."""

import re
import tomllib
from pathlib import Path

import pytest
import torch

from bench_core.registry import Registry
from bench_core.suite.model import ModelEntry
from bench_models.ensemble import Ensemble
from bench_models.libraries.preprocessing import Preprocessed

from ..toys import toy_network

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
ENTRIES = {
    label: entry
    for block in BLOCKS
    for label, entry in tomllib.loads(block if "[models]" in block else f"[models]\n{block}")["models"].items()
}


@pytest.mark.parametrize("label", ENTRIES)
def test_an_entry_of_the_page_is_accepted(label: str, installed: Registry) -> None:
    entry = ModelEntry(**ENTRIES[label])
    if entry.recipe not in installed.names("models"):
        pytest.skip(f"{entry.recipe} is not installed")
    offer = installed.find("models", entry.recipe, "", "")
    _, faults = offer.check(entry.options, "", "")
    assert not faults
    for option in offer.made_of:
        named = entry.options[option]
        assert set([named] if isinstance(named, str) else named) <= set(ENTRIES)


def test_the_page_names_every_kind_of_network_and_images(installed: Registry) -> None:
    for kind in ("torchvision", "timm", "robustbench", "checkpoint", "ensemble", "smoothed"):
        assert kind in {entry["recipe"] for entry in ENTRIES.values()}
    for kind in ("imagefolder", "imagelist", "torchvision:CIFAR10", "torchvision:CIFAR100", "npz", "embedded"):
        assert f"`{kind}`" in PAGE
        assert kind in installed.names("datasets")


def test_members_of_an_ensemble_may_have_different_input_sizes() -> None:
    members = [Preprocessed(toy_network(i, (1, side, side)), [0.5], [0.5 + i], side) for i, side in enumerate((4, 6))]
    images = torch.rand(3, 1, 8, 8, requires_grad=True)
    ensemble = Ensemble(members, "logits")
    assert torch.equal(ensemble(images), (members[0](images) + members[1](images)) / 2)
    (gradient,) = torch.autograd.grad(ensemble(images).sum(), images)
    (expected,) = torch.autograd.grad(sum(member(images).sum() for member in members) / 2, images)
    torch.testing.assert_close(gradient, expected)
