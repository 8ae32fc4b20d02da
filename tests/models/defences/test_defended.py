"""What an attacker of a defended network differentiates: BPDA and EoT against closed forms, for every defence."""

import pkgutil
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench_core.errors import UsageError
from bench_core.registry import Registry
from bench_core.testing import budget, examples, streams
from bench_core.worker.attack_run import AttackRun
from bench_core.worker.contracts import check_images
from bench_core.worker.instrument import PassCounter
from bench_models import defences
from bench_models.defences.median import Median
from bench_models.defences.noise import Noise
from bench_models.defences.resize_pad import ResizePad
from bench_models.defended import Defended, Draws, image_keys

NAMES = sorted(module.name for module in pkgutil.iter_modules(defences.__path__) if module.name != "purifier")
OPTIONS: Mapping[str, Mapping[str, Any]] = {"noise": {"sigma": 0.1}, "resize_pad": {"enlarge": 1.3}}
RANDOM = {"noise", "resize_pad", "total_variation"}
CLASSES, SAMPLES = 5, 4


class Curved(nn.Module):
    """A smooth network for images of any size, in float64."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 6, 3, padding=1)
        self.last = nn.Linear(6 * 9, CLASSES)
        generator = torch.Generator().manual_seed(channels)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.7

    def forward(self, images: Tensor) -> Tensor:
        return self.last(nn.functional.adaptive_avg_pool2d(self.first(images).tanh(), 3).flatten(1))


@pytest.fixture(params=[1, 3])
def images(request: pytest.FixtureRequest) -> Tensor:
    generator = torch.Generator().manual_seed(request.param)
    return torch.rand(4, request.param, 10, 10, generator=generator).double()


def base_for(images: Tensor) -> nn.Module:
    return Curved(images.shape[1]).double().eval().requires_grad_(False)


def defended(name: str, images: Tensor, registry: Registry, **options: Any) -> Defended:
    offer = registry.find("models", f"defended:{name}", "", "")
    given = {**OPTIONS.get(name, {}), **options}
    if name in RANDOM and options.get("adaptive"):
        given = {"samples": SAMPLES, **given}
    return offer.build(base=base_for(images), **given)


def gradient_of(network: nn.Module, images: Tensor, weights: Tensor) -> Tensor:
    """Return the gradient of a weighted sum of the logits."""
    inputs = images.clone().requires_grad_(True)
    (found,) = torch.autograd.grad((network(inputs) * weights).sum(), inputs)
    return found


@pytest.fixture
def weights(images: Tensor) -> Tensor:
    return torch.randn(len(images), CLASSES, generator=torch.Generator().manual_seed(9)).double()


@pytest.mark.parametrize("name", NAMES)
def test_every_defence_is_offered_with_its_paper(name: str, installed: Registry) -> None:
    module = __import__(f"bench_models.defences.{name}", fromlist=["RECIPE"])
    assert "arXiv:" in module.__doc__
    assert installed.find("models", f"defended:{name}", "", "").recipe is module.RECIPE


@pytest.mark.parametrize("name", sorted({"bit_depth", "jpeg", "total_variation"}))
def test_bpda_is_the_gradient_of_the_network_at_the_transformed_image(
    name: str, images: Tensor, weights: Tensor, installed: Registry
) -> None:
    """Over several draws, the mean of them."""
    network = defended(name, images, installed, adaptive=True)
    transformed = [network.transformed(images, draws).detach() for draws in network.draws(images)]
    assert len(transformed) == (SAMPLES if name in RANDOM else 1)
    expected = torch.stack([gradient_of(network.base, each, weights) for each in transformed]).mean(0)
    found = gradient_of(network, images, weights)
    assert torch.allclose(found, expected, atol=1e-12)
    assert (found != 0).any()
    logits = torch.stack([network.base(each) for each in transformed]).mean(0)
    assert torch.allclose(network(images), logits, atol=1e-12)


@pytest.mark.parametrize("name", sorted({"noise", "resize_pad"}))
@pytest.mark.parametrize("adaptive", [False, True])
def test_eot_is_the_mean_of_the_gradients_over_the_draws(
    name: str, adaptive: bool, images: Tensor, weights: Tensor, installed: Registry
) -> None:
    network = defended(name, images, installed, adaptive=adaptive)
    found = []
    for draws in network.draws(images):
        inputs = images.clone().requires_grad_(True)
        logits = network.base(network.transform(inputs, draws))
        found += torch.autograd.grad((logits * weights).sum(), inputs)
    assert len(found) == (SAMPLES if adaptive else 1)
    assert torch.allclose(gradient_of(network, images, weights), torch.stack(found).mean(0), atol=1e-12)


def test_the_gradient_through_resize_and_pad_is_the_transpose_of_the_transformation(images: Tensor) -> None:
    """The transformation is linear: its matrix has the transformed unit images as columns."""
    image = images[:1]
    transform, keys = ResizePad(1.3, back=True), image_keys(image)
    units = torch.eye(image.numel()).double().view(-1, *image.shape[1:])
    matrix = torch.cat([transform(unit[None], Draws(keys, "test")).flatten(1) for unit in units])
    inputs = image.clone().requires_grad_(True)
    outputs = transform(inputs, Draws(keys, "test"))
    arriving = torch.rand(outputs.shape, generator=torch.Generator().manual_seed(1)).double()
    (found,) = torch.autograd.grad((outputs * arriving).sum(), inputs)
    assert torch.allclose(found.flatten(), matrix @ arriving.flatten(), atol=1e-12)


def test_the_gradient_of_the_median_goes_to_the_median_pixel(images: Tensor) -> None:
    inputs = images.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(Median(3)(inputs, Draws([], ""))[:, :, 4, 5].sum(), inputs)
    for image, gradient in zip(images.flatten(0, 1), found.flatten(0, 1), strict=True):
        window = image[3:6, 4:7]
        row, column = (window == window.flatten().sort().values[4]).nonzero()[0].tolist()
        expected = torch.zeros(10, 10).double()
        expected[3 + row, 4 + column] = 1
        assert torch.equal(gradient, expected)


@pytest.mark.parametrize("name", NAMES)
def test_without_adaptive_what_is_computed_before_the_network_has_no_gradient(
    name: str, images: Tensor, weights: Tensor, installed: Registry
) -> None:
    network = defended(name, images, installed)
    found = gradient_of(network, images, weights)
    assert (found == 0).all() == (network.transform.gradient != "layer")
    assert torch.equal(network(images), network.base(network.transformed(images, network.draws(images)[0])))


@pytest.mark.parametrize("name", NAMES)
def test_a_deterministic_defence_classifies_the_same_with_adaptive(
    name: str, images: Tensor, installed: Registry
) -> None:
    plain, adaptive = (defended(name, images, installed, adaptive=each)(images) for each in (False, True))
    assert torch.equal(plain, adaptive) == (name not in RANDOM), "an attacker does not know the defender's draws"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("adaptive", [False, True])
def test_an_image_decides_its_draws(name: str, adaptive: bool, images: Tensor, installed: Registry) -> None:
    network = defended(name, images, installed, adaptive=adaptive)
    state = torch.get_rng_state()
    together = network(images)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(network(images), together)
    assert torch.allclose(network(images.flip(0)).flip(0), together, atol=1e-12)
    alone = torch.cat([network(image[None]) for image in images])
    assert torch.allclose(alone, together, atol=1e-12)
    if name in RANDOM:
        other = defended(name, images, installed, adaptive=adaptive, seed=1)
        assert not torch.equal(other(images), together)


def test_another_image_has_independent_draws() -> None:
    """As does the same image at the next step of an attack, however small the step is."""
    image = torch.full((1, 1, 64, 64), 0.5)
    nearby = image.clone()
    nearby[0, 0, 0, 0] += 1e-6
    first, second = (Noise(1.0)(each, Draws(image_keys(each), "test")) - each for each in (image, nearby))
    assert abs((first * second).mean().item()) < 5 / 64
    assert image_keys(image) != image_keys(nearby)
    assert image_keys(-0 * image) == image_keys(0 * image)
    assert image_keys(image.double()) == image_keys(image)


def test_draws_are_uniform_and_differ_between_purposes() -> None:
    keys = [bytes([number % 256, number // 256]) for number in range(2000)]
    numbers = Draws(keys, "one").uniform((1,)).flatten()
    counts = torch.histc(numbers, 10, 0, 1)
    assert ((counts - 200) ** 2 / 200).sum() < 27.9, "chi-squared with 9 degrees of freedom, p = 0.001"
    assert abs(torch.corrcoef(torch.stack([numbers, Draws(keys, "two").uniform((1,)).flatten()]))[0, 1]) < 0.1


@pytest.mark.parametrize("name", sorted(RANDOM))
def test_samples_without_adaptive_are_refused(name: str, installed: Registry) -> None:
    offer = installed.find("models", f"defended:{name}", "", "")
    options, faults = offer.check({**OPTIONS.get(name, {}), "samples": 4, "base": "A"}, "", "")
    assert not faults
    with pytest.raises(UsageError, match=r"samples: found 4, but .* \(try adaptive = true\)"):
        offer.recipe.identity(**{**options, "base": {}})
    assert offer.build(base=nn.Identity(), adaptive=True, **OPTIONS.get(name, {})).samples == 10


def test_noise_in_grey_levels_is_refused(installed: Registry) -> None:
    recipe = installed.find("models", "defended:noise", "", "").recipe
    with pytest.raises(UsageError, match=r'images are in \[0, 1\] \(try "8/255"\)'):
        recipe.identity(base={}, sigma=8.0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_an_adaptive_attack_raises_its_loss_within_the_ball(
    name: str, norm: Any, targeted: bool, images: Tensor, installed: Registry
) -> None:
    network = defended(name, images, installed, adaptive=True).float().eval()
    batch = examples(network, (images.shape[1], 12, 12), 4, targeted)
    limits = budget(norm, targeted=targeted)
    attack = installed.find("attacks", "pgd", "", "").build(limits)
    run = AttackRun(attack, network, batch, streams(batch), PassCounter(network, network.base))
    *_, last = run.steps()
    check_images(batch.images, last, limits)
    classes, sign = (batch.targets, -1) if batch.targets is not None else (batch.labels, 1)
    assert classes is not None
    before, after = (sign * nn.functional.cross_entropy(network(each), classes).item() for each in (batch.images, last))
    assert after > before
    assert run.passes.forwards == run.passes.backwards == limits.steps * len(batch.labels)
