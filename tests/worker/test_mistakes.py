"""A network whose preprocessing is mistaken is found before any attack, and the mistake is named."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench_core import run
from bench_core.errors import UsageError
from bench_core.hookspecs import hookimpl
from bench_core.planning.accuracy import suspicious
from bench_core.registry import Origin, Registry
from bench_core.runs import clean_images
from bench_core.runs.preprocessing import advice, affine, best_change
from bench_core.suite.load import load_suite
from bench_core.types import DataRecipe, ModelRecipe
from bench_core.worker.mistakes import AS_IT_IS, CHANGES, predictions_if_changed
from bench_models.embedded import recipe as embedded
from bench_models.embedded.networks import MEAN, STD

GREY_MEAN, GREY_STD = (float(np.mean(values)) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
COLOUR_MEAN, COLOUR_STD = (
    torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
)
Preprocessing = Callable[[Tensor], Tensor]

# What a network with the mistake does to images in [0, 1] before the trained network, which normalises by itself.
GREY: Mapping[str, tuple[Preprocessing, str]] = {
    "expects [0, 255]": (lambda x: x / 255, "images are multiplied by 255: the network expects [0, 255]"),
    "expects [-1, 1]": (lambda x: (x + 1) / 2, r"images are scaled to [-1, 1]: the network expects [-1, 1]"),
    "expects images normalised by their own constants": (
        lambda x: x * STD + MEAN,
        "images are normalised by their own mean: the network expects normalised images, and nothing normalises",
    ),
    "expects images normalised by ImageNet's": (
        lambda x: x * GREY_STD + GREY_MEAN,
        "images are normalised by ImageNet's constants: the network expects normalised images",
    ),
    "normalises twice": (lambda x: (x - MEAN) / STD, "images' own mean is undone: the images are normalised twice"),
    "normalises twice, by ImageNet's constants": (
        lambda x: (x - GREY_MEAN) / GREY_STD,
        "ImageNet's normalisation is undone before the network: the images are normalised twice",
    ),
}
COLOUR: Mapping[str, tuple[Preprocessing, str]] = {
    "expects BGR": (lambda x: x.flip(1), "the channels are reversed: the network expects BGR"),
    "expects BGR in [0, 255]": (
        lambda x: x.flip(1) / 255,
        "the channels are reversed and multiplied by 255: the network expects BGR in [0, 255]",
    ),
    "expects normalised images": (
        lambda x: x * COLOUR_STD + COLOUR_MEAN,
        "images are normalised by ImageNet's constants: the network expects normalised images",
    ),
    "expects [0, 255], but is given normalised images": (
        lambda x: (x - COLOUR_MEAN) / COLOUR_STD / 255,
        "multiplied by 255 and ImageNet's normalisation is undone: the network expects [0, 255], not normalised",
    ),
}
RIGHT: Preprocessing = lambda x: x  # noqa: E731
NONE: Mapping[str, str] = {}
MISTAKES = {**GREY, **COLOUR, "none": (RIGHT, "")}


class Mistaken(nn.Module):
    """An embedded network behind wrong preprocessing; of three channels it sees the first."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.inner, self.before = embedded.build("ResNet-S"), MISTAKES[how][0]

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(self.before(images)[:, :1])


class Grey(embedded.FashionMnist1000):
    """250 images."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels, self.labels, self.ids = self.pixels[::4], self.labels[::4], self.ids[::4]


class Colour(Grey):
    """The same as the first channel; the second is upside down, and the third is a negative."""

    shape = (3, 28, 28)

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        images = super().load(indices)
        return np.concatenate([images, images[:, :, ::-1], 1 - images], axis=1)


class Plugin:
    @hookimpl
    def bench_models(self) -> Mapping[str, ModelRecipe]:
        return {"mistaken": ModelRecipe(Mistaken, lambda how: {"how": how}, "wrong preprocessing")}

    @hookimpl
    def bench_datasets(self) -> Mapping[str, DataRecipe]:
        return {"grey": DataRecipe(Grey, "grey images"), "colour": DataRecipe(Colour, "colour images")}


SUITE = """
title = "mistaken"
profiles = ["small"]
loss = "margin"
data = {{ kind = "{data}" }}
images = {{ count = 4, rule = "all" }}
compute = {{ micro_batch = 4 }}
sources = ["{attacked}"]
targets = ["{attacked}"]
[models]
M = {{ recipe = "mistaken", how = "{how}"{expected} }}{more}
[budgets]
linf = {{ norm = "linf", eps = "8/255", step_size = "8/255", steps = 1 }}
[attacks]
PGD = {{ recipe = "pgd" }}
[metrics]
accuracy = {{ recipe = "target_accuracy" }}
[on.small]
"""


@pytest.fixture
def mistaken(registry: Registry, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a suite of a network, and returns the error of the run; "" if there is none."""
    registry.register(Plugin(), Origin("mistaken", "tests", "1", "mistaken"))

    def error_of(how: str, expected: float | None = 0.92, others: Mapping[str, str] = NONE, attacked: str = "M") -> str:
        wanted = "" if expected is None else f", expected_accuracy = {expected}"
        data = "colour" if how in COLOUR else "grey"
        more = "".join(f"\n{label} = {entry}" for label, entry in others.items())
        text = SUITE.format(data=data, how=how, expected=wanted, more=more, attacked=attacked)
        (tmp_path / "mistaken.toml").write_text(text)
        try:
            run(str(tmp_path / "mistaken.toml"), out=tmp_path / "out", registry=registry, executor="inline")
        except UsageError as error:
            return str(error)
        return ""

    return error_of


@pytest.mark.parametrize("how", [*GREY, *COLOUR])
def test_the_mistake_is_named_where_an_expected_accuracy_is_missed(how: str, mistaken: Callable[..., str]) -> None:
    error = mistaken(how)
    assert "models.M.expected_accuracy: expected 92.0%, found " in error
    assert MISTAKES[how][1] in error
    assert "% of the first 100 if " in error
    assert len(error.splitlines()) == 1
    assert "(try " in error


@pytest.mark.parametrize("how", ["expects [0, 255]", "normalises twice, by ImageNet's constants"])
def test_it_is_named_near_chance_without_an_expected_accuracy(how: str, mistaken: Callable[..., str]) -> None:
    error = mistaken(how, None)
    assert "models.M: no better than guessing, right for " in error
    assert MISTAKES[how][1] in error


PARTS = {
    "J": ('{ recipe = "defended:jpeg", base = "M", quality = 90 }', {"M": "expects [0, 255]"}),
    "nested": ('{ recipe = "smoothed", base = "J", sigma = 0.01, n = 1 }', {"M": "expects [0, 255]"}),
    "E": (
        '{ recipe = "ensemble", members = ["M", "N", "right"] }',
        {"M": "expects [0, 255]", "N": "normalises twice, by ImageNet's constants"},
    ),
}


@pytest.mark.parametrize("label", PARTS)
def test_a_mistake_of_a_network_that_others_are_made_of_is_named(label: str, mistaken: Callable[..., str]) -> None:
    others = {"N": '{ recipe = "mistaken", how = "normalises twice, by ImageNet\'s constants" }'}
    others["right"] = '{ recipe = "mistaken", how = "none" }'
    others |= {name: entry for name, (entry, _) in PARTS.items()}
    others[label] = others[label].replace(" }", ", expected_accuracy = 0.92 }")
    error = mistaken("expects [0, 255]", None, others, label)
    assert f"models.{label}.expected_accuracy: expected 92.0%, found " in error
    for part, how in PARTS[label][1].items():
        assert f"its part {part}: accuracy is " in error
        assert GREY[how][1] in error
    assert "its part right" not in error


@pytest.mark.parametrize("expected", [0.92, None])
def test_a_right_network_costs_nothing_more(
    expected: float | None, mistaken: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean_images, "likely_mistakes", pytest.fail)
    assert mistaken("none", expected) == ""


@pytest.mark.parametrize("expected", [0.5, 1.0])
def test_a_right_network_with_a_wrong_expectation_has_no_mistake(expected: float, mistaken: Callable[..., str]) -> None:
    error = mistaken("none", expected)
    assert f"expected {expected:.1%}, found 9" in error
    assert " if " not in error


def test_a_change_is_named_only_if_it_is_surely_better() -> None:
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 10, 100)
    wrong = (truth + 1) % 10

    def right_for(count: int) -> NDArray[np.int64]:
        return np.where(np.arange(100) < count, truth, wrong)

    assert best_change({AS_IT_IS: right_for(10), "levels": right_for(71), "half": right_for(60)}, truth) == "levels"
    assert best_change({AS_IT_IS: right_for(60), "levels": right_for(85)}, truth) == "levels"
    assert best_change({AS_IT_IS: right_for(60), "levels": right_for(66)}, truth) is None
    assert best_change({AS_IT_IS: right_for(60)}, truth) is None
    most = np.bincount(truth).argmax()
    assert best_change({AS_IT_IS: wrong, "levels": np.full(100, most)}, truth) is None, "a single class"
    named = 0
    for _ in range(300):
        random = {name: draw.integers(0, 10, 100) for name in (AS_IT_IS, *CHANGES)}
        named += best_change(random, draw.integers(0, 10, 100)) is not None
    assert named <= 3


def test_only_lower_accuracies_are_suspicious(write_suite: Callable[..., str]) -> None:
    suite = load_suite(write_suite(("seed = 1 }", "seed = 1, expected_accuracy = 0.7 }")))
    truth = np.arange(1000) % 10

    def suspects(a: NDArray[np.int64], b: NDArray[np.int64]) -> list[str]:
        return suspicious(suite, {"A": a, "B": b}, truth)

    half = np.where(np.arange(1000) % 20 < 10, truth, (truth + 5) % 10)
    assert suspects(half, half) == ["A"], "B is not near chance"
    assert suspects(truth, truth) == []
    assert suspects((truth + 1) % 10, (truth + 3) % 10) == ["A", "B"]
    assert suspects(np.where(np.arange(1000) % 10 < 7, truth + 1, 0), truth + 1) == [], "the classes are shifted"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_its_definition(name: str, channels: int) -> None:
    change = CHANGES[name]
    images = torch.rand(5, channels, 6, 6, generator=torch.Generator().manual_seed(0))
    assert change.fits(channels) == (channels == 3 or not (change.reverse or "cifar10" in name))
    if not change.fits(channels) or change.by_data or change.reverse or channels == 1:
        return
    scale, shift = (torch.from_numpy(each).float().view(3, 1, 1) for each in affine(change))
    torch.testing.assert_close(change(images), images * scale + shift)


def constants_in(text: str) -> dict[str, list[float]]:
    """Return the constants that a hint names: `(try mean = [...], std = [...])`."""
    found = {}
    for part in text.removeprefix("(try ").removesuffix(")").split("], "):
        key, _, listed = part.partition(" = ")
        found[key] = [float(number) for number in listed.strip("[]").split(", ")]
    return found


def test_the_advice_is_what_makes_the_network_right() -> None:
    """`(x - mean) / std` with the new constants is the old normalisation of the changed images."""
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    old_mean, old_std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    for change in CHANGES.values():
        text = advice(change, {"mean": old_mean, "std": old_std})
        if change.by_data or change.reverse:
            assert "mean =" not in text
            continue
        constants = {key: torch.tensor(value).view(3, 1, 1) for key, value in constants_in(text).items()}
        expected = (change(images) - torch.tensor(old_mean).view(3, 1, 1)) / torch.tensor(old_std).view(3, 1, 1)
        found = (images - constants["mean"]) / constants["std"]
        assert (found - expected).abs().max() < 1e-2 * expected.abs().max()
    assert advice(CHANGES["levels"], {"mean": None, "std": None}) == "(try other mean and std)"
    assert advice(CHANGES["levels"], {}) == "(try this before the network)"


def test_the_advice_for_a_default_that_is_undone_is_what_makes_the_network_right() -> None:
    """The library normalises by ImageNet's constants, which are not among the options."""
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    for name in ("imagenet_twice", "levels_not_imagenet", "half_not_imagenet"):
        text = advice(CHANGES[name], {"mean": None, "std": None})
        constants = {key: torch.tensor(value).view(3, 1, 1) for key, value in constants_in(text).items()}
        expected = (CHANGES[name](images) - COLOUR_MEAN) / COLOUR_STD
        found = (images - constants["mean"]) / constants["std"]
        assert (found - expected).abs().max() < 1e-3 * expected.abs().max()


def test_a_network_that_refuses_other_images_is_no_error() -> None:
    def network(images: Tensor) -> Tensor:
        if images.max() > 1:
            raise ValueError("not in [0, 1]")
        return torch.stack([images.mean((1, 2, 3)), 1 - images.mean((1, 2, 3))], 1)

    module = nn.Module()
    module.forward = network  # type: ignore[method-assign]
    found = predictions_if_changed(module, torch.rand(6, 1, 5, 5))
    assert (found["levels"] == -1).all()
    assert (found["half"] >= 0).all()
