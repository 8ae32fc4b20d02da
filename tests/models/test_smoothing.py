"""A smoothed network is the average over its noise samples, and the same function for every batch."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench_core import load_suite
from bench_core.errors import UsageError
from bench_core.planning.specs import ModelSpec
from bench_core.registry import Registry
from bench_core.run import resolve_suite, run
from bench_models import smoothed
from bench_models.smoothed import Smoothed
from tests.toys import CLASSES, SHAPE, toy_network

SIGMA, N = 0.4, 37


@pytest.fixture
def images() -> Tensor:
    return torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(3))


def make(form: str, n: int = N, seed: int = 0) -> Smoothed:
    return Smoothed(toy_network(), SIGMA, n, form, seed)


def noisy_logits(network: Smoothed, image: Tensor) -> Tensor:
    """Return the logits of one image under every noise sample, computed one at a time: [n, classes]."""
    noise = torch.randn(network.n, *SHAPE, generator=torch.Generator().manual_seed(network.seed))
    return torch.cat([network.base(image[None] + SIGMA * sample) for sample in noise])


def test_soft_logits_are_the_logarithm_of_the_mean_probability(images: Tensor) -> None:
    network = make("soft")
    for image, logits in zip(images, network(images), strict=True):
        expected = noisy_logits(network, image).softmax(-1).mean(0).log()
        assert torch.allclose(logits, expected, atol=1e-5)


def test_votes_are_those_of_the_samples(images: Tensor) -> None:
    network = make("votes")
    counts = network.votes(images)
    for image, logits, count in zip(images, network(images), counts, strict=True):
        expected = noisy_logits(network, image).argmax(-1).bincount(minlength=CLASSES)
        assert torch.equal(count, expected)
        assert torch.allclose(logits, ((expected + 1) / (N + CLASSES)).log())
    assert len(counts.unique()) > 3


def test_the_gradient_is_that_of_the_written_out_average(images: Tensor) -> None:
    network = make("soft")
    expected = images[:1].clone().requires_grad_(True)
    noisy_logits(network, expected[0]).softmax(-1).mean(0).log()[1].backward()
    actual = images.clone().requires_grad_(True)
    network(actual)[0, 1].backward()
    assert torch.allclose(actual.grad[0], expected.grad[0], atol=1e-5)
    assert not actual.grad[1:].any()


def test_a_gradient_of_votes_is_an_error(images: Tensor) -> None:
    with pytest.raises(RuntimeError, match="no gradient"), torch.enable_grad():
        make("votes")(images.requires_grad_(True))


@pytest.mark.parametrize("form", ["soft", "votes"])
def test_logits_depend_on_the_image_alone(form: str, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make(form)
    together = network(images)
    assert torch.allclose(network(images[2:3]), together[2:3], atol=1e-6)
    assert torch.allclose(network(images.flip(0)), together.flip(0), atol=1e-6)
    assert torch.equal(network(images), together)
    monkeypatch.setattr(smoothed, "INPUTS_AT_ONCE", 1)
    assert torch.allclose(network(images), together, atol=1e-6)
    assert not torch.equal(make(form, seed=1)(images), together)
    doubled = network.double()(images.double())
    assert doubled.dtype == torch.float64
    assert torch.allclose(doubled, together.double(), atol=1e-5)


SMOOTHED = """
[models."A smoothed"]
recipe = "smoothed"
base = "A"
sigma = "1/4"
n = 6
[models."A votes"]
recipe = "smoothed"
base = "A"
sigma = 0.25
n = 8
form = "votes"
seed = 1
[models.both]
recipe = "ensemble"
members = ["A", "B"]
combine = "logits"
[metrics.certified]
recipe = "certified"
n0 = 10
n = 30
"""
USED = (
    ('sources = ["A", ["A", "B"]]', 'sources = ["A smoothed"]'),
    ('targets = ["A", "B"]', 'targets = ["A votes", "both"]'),
)


def test_a_suite_smooths_a_model_by_its_label(
    write_suite: Callable[..., str], registry: Registry, tmp_path: Path
) -> None:
    text = SMOOTHED.replace("n = 30", "n = 30\nsigma = 0.25")
    result = run(load_suite(write_suite(*USED, append=text)), out=tmp_path, registry=registry, executor="inline")
    assert result.complete
    scores = {(s.metric, s.labels.get("target")): s for s in result.scores if not s.void}
    assert scores["transfer.success", "A votes"].labels["relation"] == "white-box"
    assert scores["transfer.success", "both"].labels["relation"] == "white-box", "it has A, as the source has"
    assert scores["certified.abstained", "A votes"].score.n == 20


def test_the_parts_of_a_model_are_in_its_address_by_content(
    write_suite: Callable[..., str], registry: Registry
) -> None:
    def model(*replacements: tuple[str, str]) -> ModelSpec:
        path = Path(write_suite(*USED, append=SMOOTHED))
        text = path.read_text()
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        return resolve_suite(load_suite(str(path)), registry).models["A smoothed"]

    plain = model()
    assert plain.description["options"]["base"]["identity"] == {"seed": 1}
    renamed = model(('"A" =', '"Z" ='), ('base = "A"', 'base = "Z"'), ('["A", "B"]', '["Z", "B"]'))
    assert renamed == plain
    assert model(("seed = 1 }", "seed = 4 }")) != plain


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('base = "A"', 'base = "Aa"', r'models.A smoothed.base: unknown name "Aa" \(did you mean "A"\?\)'),
        ('base = "A"', 'base = "A votes"', 'models.A votes.base: "A votes" is made of itself'),
        ('base = "A"', "base = 3", "models.A smoothed.base: found 3"),
        ('sigma = "1/4"', "sigma = 0", "models.A smoothed.sigma"),
        ('members = ["A", "B"]', "members = []", "models.both.members: found"),
    ],
)
def test_a_wrong_base_is_reported_in_one_line(
    old: str, new: str, message: str, write_suite: Callable[..., str], registry: Registry
) -> None:
    path = write_suite(*USED, append=SMOOTHED.replace(old, new))
    with pytest.raises(UsageError, match=message):
        resolve_suite(load_suite(path), registry)
