"""The shipped point cloud networks match their cards; networks that a user trains are loaded in the same way."""

import json
from pathlib import Path

import pytest
import torch

from bench_core.errors import UsageError
from bench_models.pointclouds import recipe, train
from bench_models.pointclouds.shapes import TRAINING_SEED, Shapes
from bench_models.pointclouds.train import Clouds, load_all
from tests.models.test_pointclouds import write_modelnet

ZOO = recipe.zoo()
WEIGHTS_LIMIT = 2**20


@pytest.fixture(scope="module")
def held_out() -> Clouds:
    return load_all(Shapes())


def test_every_training_has_a_network() -> None:
    assert set(ZOO.names()) == set(train.TRAININGS)
    assert sum(path.stat().st_size for path in (ZOO.folder / "weights").iterdir()) < WEIGHTS_LIMIT
    assert TRAINING_SEED > 1000  # smaller seeds give clouds that were not trained on


@pytest.mark.parametrize("name", ZOO.names())
def test_a_network_is_what_its_card_says(name: str, held_out: Clouds) -> None:
    card, network = ZOO.card(name), recipe.build(name)
    assert recipe.identity(name, "") == {"weights_sha256": card["weights_sha256"]}
    assert card["training"] == vars(train.TRAININGS[name])
    assert card["classes"] == list(Shapes.classes)
    assert card["parameters"] == sum(p.numel() for p in train.PointNet2(10).parameters())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert train.accuracy(network, *held_out) == pytest.approx(card["accuracy_held_out"], abs=0.0041)


def test_adversarial_training_helps(held_out: Clouds) -> None:
    clouds, labels = held_out[0][:60], held_out[1][:60]
    eps = train.TRAININGS["PointNet2-adv"].eps
    accuracy = {}
    for name in ("PointNet2", "PointNet2-adv"):
        network = recipe.build(name)
        adversarial = train.pgd(network, clouds, clouds.clone(), labels, eps, eps / 4, 8)
        assert (adversarial - clouds).abs().max() <= eps + 1e-6
        accuracy[name] = train.accuracy(network, adversarial, labels)
    assert accuracy["PointNet2-adv"] > accuracy["PointNet2"] + 0.2


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "measure", lambda *_: {})
    monkeypatch.setitem(train.TRAININGS, "tiny", train.Training("adversarial", 2, clouds=20, points=64, batch=4))


def test_an_interrupted_training_ends_in_the_same_weights(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.train("tiny", tmp_path / "whole", seed=3)
    original = train.train_epoch

    def interrupted_epoch(*arguments):
        if arguments[4] == 1:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(train, "train_epoch", interrupted_epoch)
    with pytest.raises(KeyboardInterrupt):
        train.train("tiny", tmp_path / "cut", seed=3)
    monkeypatch.setattr(train, "train_epoch", original)
    train.train("tiny", tmp_path / "cut", seed=3)
    train.train("tiny", tmp_path / "other", seed=4)
    digests = [
        json.loads((tmp_path / run / "cards" / "tiny.json").read_text())["weights_sha256"]
        for run in ("whole", "cut", "other")
    ]
    assert digests[0] == digests[1] != digests[2]


def test_a_network_trained_on_modelnet_is_loaded_from_its_folder(tiny: None, tmp_path: Path) -> None:
    write_modelnet(tmp_path / "data")
    train.train("tiny", tmp_path / "zoo", seed=0, root=tmp_path / "data")
    folder = str(tmp_path / "zoo")
    network = recipe.build("tiny", folder)
    assert network(torch.rand(2, 3, 64, 1)).shape == (2, 2)
    assert recipe.zoo(folder).card("tiny")["classes"] == ["bed", "chair"]
    with pytest.raises(UsageError, match=r'unknown network "tinny" \(did you mean "tiny"\?\)'):
        recipe.identity("tinny", folder)


def test_a_cloud_is_rotated_about_the_vertical_axis() -> None:
    clouds = torch.rand(3, 3, 10, 1)
    rotated = train.rotate(clouds, torch.Generator().manual_seed(0))
    assert torch.allclose(rotated[:, 2], clouds[:, 2])
    assert torch.allclose((rotated - 0.5).norm(dim=1), (clouds - 0.5).norm(dim=1), atol=1e-6)
    assert not torch.allclose(rotated, clouds, atol=1e-2)
