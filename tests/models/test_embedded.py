"""The embedded networks and images match their cards."""

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench_core.errors import UsageError
from bench_core.lean import lean
from bench_core.lean.folding import Affine
from bench_core.lean.thin_conv import ThinConv2d
from bench_core.registry import Registry
from bench_models.embedded import fashion_mnist, recipe, train
from bench_models.embedded.architectures import ARCHITECTURES

NAMES = recipe.names()
PACKAGE_LIMIT = 12 * 2**20


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    data = recipe.FashionMnist1000()
    return torch.from_numpy(data.load(range(1000))), torch.tensor(data.labels)


def test_every_training_has_a_network() -> None:
    assert set(NAMES) == set(train.TRAININGS)
    kinds = [recipe.card(name)["training"]["kind"] for name in NAMES]
    assert kinds.count("adversarial") >= 2
    assert kinds.count("noise") == 1
    assert sum(path.stat().st_size for path in recipe.HERE.rglob("*") if path.is_file()) < PACKAGE_LIMIT


@pytest.mark.parametrize("name", NAMES)
def test_a_network_is_what_its_card_says(name: str, pictures) -> None:
    images, labels = pictures
    card, network = recipe.card(name), recipe.build(name)
    assert recipe.identity(name) == {"weights_sha256": card["weights_sha256"]}
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    with torch.no_grad():
        logits = torch.cat([network(part) for part in images.split(250)])
    assert logits.shape == (1000, card["classes"])
    accuracy = (logits.argmax(1) == labels).float().mean().item()
    # folding can change the prediction for two images at the decision boundary
    assert accuracy == pytest.approx(card["accuracy_shipped_1000"], abs=0.0021)
    assert card["training"] == vars(train.TRAININGS[name])
    assert {"seed", "data_sha256", "cost", "accuracy_test_10000"} <= set(card)
    probe = images[:2].clone().requires_grad_(True)
    network(probe).sum().backward()
    assert probe.grad is not None
    assert probe.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_lean_form_is_the_same_function_up_to_rounding(name: str) -> None:
    torch.manual_seed(0)
    network = ARCHITECTURES[name]().double().train()
    images = torch.rand(8, 1, 28, 28).double().requires_grad_(True)
    network(images)  # changes the statistics of the normalisations
    expected = network.eval()(images)
    (gradient,) = torch.autograd.grad(expected.logsumexp(1).sum(), images)
    folded = lean(network)
    assert torch.allclose(folded(images), expected, atol=1e-9)
    (lean_gradient,) = torch.autograd.grad(folded(images).logsumexp(1).sum(), images)
    assert torch.allclose(lean_gradient, gradient, atol=1e-9)
    assert any(isinstance(m, nn.MaxPool2d) for m in folded.modules())
    convolutions = [m for m in folded.modules() if isinstance(m, nn.Conv2d)]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert any(isinstance(m, Affine) for m in folded.modules()) == name.startswith("DenseNet")
    assert all(m.inplace for m in folded.modules() if isinstance(m, nn.ReLU))
    assert [type(m) for m in convolutions] == [ThinConv2d] + [nn.Conv2d] * (len(convolutions) - 1)


def test_the_images_are_a_hundred_of_each_class_in_a_fixed_order(pictures) -> None:
    images, labels = pictures
    assert images.shape == (1000, 1, 28, 28)
    assert images.min() == 0
    assert images.max() == 1
    assert labels.bincount().tolist() == [100] * 10
    ids = recipe.FashionMnist1000().ids
    assert len(set(ids)) == 1000
    values = (images * 255).round().to(torch.uint8)
    assert torch.equal(values.float() / 255, images), (
        "an id is the digest of these bytes, so they must determine the pixels"
    )
    assert ids == [hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in values]


@pytest.mark.skipif(not fashion_mnist.DEFAULT_ROOT.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_no_shipped_image_is_in_the_training_set(pictures) -> None:
    test_images, _ = fashion_mnist.load_split(fashion_mnist.DEFAULT_ROOT, "t10k")
    _, labels = fashion_mnist.load_split(fashion_mnist.DEFAULT_ROOT, "t10k")
    selected = fashion_mnist.held_out(labels)
    assert torch.equal(test_images[selected].float() / 255, pictures[0])
    training, _ = fashion_mnist.load_split(fashion_mnist.DEFAULT_ROOT, "train")
    training_digests = {hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in training}
    assert not training_digests & set(recipe.FashionMnist1000().ids)


def test_damaged_weights_are_refused_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("cards", "weights"):
        (tmp_path / kind).mkdir()
        for path in (recipe.HERE / kind).glob("VGG.*"):
            (tmp_path / kind / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / "weights" / "VGG.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 4
    weights.write_bytes(content)
    monkeypatch.setattr(recipe, "HERE", tmp_path)
    with pytest.raises(UsageError, match=r"weights of VGG: found [0-9a-f]{64}, the card says"):
        recipe.identity("VGG")
    weights.unlink()
    with pytest.raises(UsageError, match="found no file"):
        recipe.identity("VGG")


def test_an_unknown_network_is_reported_with_the_nearest_name(installed: Registry) -> None:
    offer = installed.find("models", "embedded", "", "")
    with pytest.raises(UsageError, match=r'unknown network "VGGG" \(did you mean "VGG"\?\)'):
        offer.recipe.identity(name="VGGG")


def write_idx(path: Path, values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


@pytest.fixture
def small_data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, count in (("train", 256), ("t10k", 100)):
        labels = np.arange(count) % 10
        images = (rng.random((count, 28, 28)) * 60 + labels[:, None, None] * 19).astype(np.uint8)
        write_idx(tmp_path / f"{split}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{split}-labels-idx1-ubyte.gz", labels)
    return tmp_path


@pytest.mark.parametrize("kind", ["standard", "adversarial", "noise"])
def test_an_interrupted_training_ends_in_the_same_weights(
    kind: str, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(train.TRAININGS, "tiny", train.Training("AlexNet", kind, epochs=2, rate=0.01))
    train.train("tiny", small_data, tmp_path / "whole", seed=3)
    original = train.train_epoch

    def interrupted_epoch(*arguments):
        if arguments[5] == 1:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(train, "train_epoch", interrupted_epoch)
    with pytest.raises(KeyboardInterrupt):
        train.train("tiny", small_data, tmp_path / "cut", seed=3)
    monkeypatch.setattr(train, "train_epoch", original)
    train.train("tiny", small_data, tmp_path / "cut", seed=3)
    cards = [json.loads((tmp_path / run / "cards" / "tiny.json").read_text()) for run in ("whole", "cut")]
    assert cards[0]["weights_sha256"] == cards[1]["weights_sha256"]
    train.train("tiny", small_data, tmp_path / "other", seed=4)
    other = json.loads((tmp_path / "other" / "cards" / "tiny.json").read_text())
    assert other["weights_sha256"] != cards[0]["weights_sha256"]


def test_the_inner_attack_of_the_trainer_stays_in_its_ball(pictures) -> None:
    images, labels = pictures[0][:20], pictures[1][:20]
    network = recipe.build("VGG")
    adversarial = train.pgd(network, images, images.clone(), labels, 0.1, 0.05, 5)
    assert (adversarial - images).abs().max() <= 0.1 + 1e-6
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1
    loss = nn.functional.cross_entropy
    assert loss(network(adversarial), labels) > loss(network(images), labels)
