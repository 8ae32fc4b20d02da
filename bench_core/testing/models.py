"""The rules for models: they map images in [0, 1] to reproducible logits that have a gradient."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import Offer, Registry
from ..types import Images, Json, ModelRecipe
from ..worker.diagnostics import relative_gap
from ..worker.guard import guarded
from ..worker.watch import wrong_form
from .verdicts import Broken, Rules, Skipped, with_input

RULES = Rules()
SHAPES = ((1, 28, 28), (3, 32, 32), (3, 256, 1), (3, 224, 224), (3, 299, 299))
NOISE = 16 / 255  # of the images on which logits must be finite too, as in an attack
CARD_IMAGES = 1000
CARD_TOLERANCE = 0.01  # of accuracy: a few borderline images may be classified differently on another machine


@dataclass(frozen=True)
class ModelCase:
    """A model with its options. Its exceptions become Broken or Skipped."""

    offer: Offer
    options: Json
    registry: Registry = field(compare=False, repr=False)
    kind: ClassVar[str] = "models"

    @property
    def name(self) -> str:
        return f"model {self.offer.name}" + "".join(f" {key}={value}" for key, value in self.options.items())

    @property
    def recipe(self) -> ModelRecipe:
        return cast(ModelRecipe, self.offer.recipe)

    def declared(self) -> Mapping[str, str]:
        return {}

    def refuses(self) -> str | None:
        """Return the reason why the model cannot be built on this machine, or None."""
        try:
            self.build()
        except Skipped as absent:
            return str(absent)
        except Broken:
            return None
        return None

    def build(self, seed: int = 0) -> nn.Module:
        """Build the model as a worker does, under a global seed. Raises Skipped if its weights are missing."""
        options = self.filled(self.options)
        try:
            self.recipe.identity(**options)
            with with_input("the recipe"), torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                parts = {name: self.parts(options[name]) for name in self.offer.made_of}
                built: nn.Module = self.offer.build(**{**options, **parts})
        except UsageError as error:
            raise Skipped(str(error)) from error
        except Broken as broken:
            if isinstance(broken.__cause__, UsageError):
                raise Skipped(str(broken.__cause__)) from broken
            raise
        if not isinstance(built, nn.Module):
            raise Broken(f"the recipe built a value of type {type(built).__name__}, not a torch.nn.Module")
        return built.eval().requires_grad_(False)

    def filled(self, options: Json) -> Json:
        """Return the options with their defaults, as the host completes those of a suite."""
        return self.offer.check(options, "check", self.offer.name)[0]

    def parts(self, chosen: Any) -> Any:
        """Build the models that this one is made of; each is `{"recipe": NAME, ...}`."""
        if isinstance(chosen, list | tuple):
            return [self.parts(part) for part in chosen]
        options = {name: value for name, value in chosen.items() if name != "recipe"}
        return self.registry.find("models", chosen["recipe"], "check", self.offer.name).build(**options)

    def card(self) -> Json:
        return self.recipe.card(**self.filled(self.options)) if self.recipe.card else {}

    def inputs(self, count: int = 4) -> tuple[nn.Module, Tensor]:
        """Return the model and images [n, c, h, w] of a shape that it accepts, the first black, the second white."""
        model, card = self.build(), self.card()
        reasons = []
        for shape in [tuple(card["shape"])] if "shape" in card else SHAPES:
            images = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))
            images[0], images[1] = 0, 1
            try:
                with torch.no_grad():
                    model(images.clone())
            except Exception as error:
                reasons.append(f"{type(error).__name__}: {error}")
                continue
            return model, images
        raise Broken(f"it accepts none of these images: {reasons[0]}", f"images of {SHAPES}")


def describe(images: Tensor) -> str:
    return f"{len(images)} images {'x'.join(map(str, images.shape[1:]))}, the first black, the second white"


def forward(model: nn.Module, images: Tensor) -> Tensor:
    """Return the logits of images, of which the model gets a copy. Raises Skipped if it does not return logits."""
    with torch.no_grad(), with_input(describe(images)):
        answer = model(images.clone())
    return checked(answer, images)


def checked(answer: Any, images: Tensor) -> Tensor:
    """Return an answer if it is a tensor of logits. Raises Skipped if it is not, which is the rule `logits`."""
    fault = wrong_form(answer, len(images))
    if fault:
        raise Skipped(f"it {fault}")
    logits: Tensor = answer
    return logits


@RULES.add()
def logits(case: ModelCase) -> None:
    """Images [n, c, h, w] in [0, 1] give finite logits [n, classes], also black, white and noisy images."""
    model, images = case.inputs()
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1)).sign() * NOISE
    for shown in (images, (images + noise).clamp(0, 1)):
        with torch.no_grad(), with_input(describe(shown)):
            given = model(shown.clone())
        fault = wrong_form(given, len(images))
        if fault:
            raise Broken(f"it {fault}", describe(images))
        if given.ndim != 2 or given.shape[1] < 2:
            raise Broken(f"it returned {tuple(given.shape)}, not logits [n, classes]", describe(images))
        if not given.isfinite().all():
            added = "" if shown is images else f", with noise of {255 * NOISE:.0f}/255"
            raise Broken("its logits are not all finite numbers", describe(images) + added)


@RULES.add()
def float32(case: ModelCase) -> None:
    """Images in float32 give logits in float32, which are exact enough to compare."""
    model, images = case.inputs()
    given = forward(model, images)
    if given.dtype != torch.float32:
        raise Broken(f"its logits are {str(given.dtype).split('.')[-1]}", describe(images))


@RULES.add()
def no_softmax(case: ModelCase) -> None:
    """It returns logits, not probabilities."""
    model, images = case.inputs()
    given = forward(model, images)
    if (given >= 0).all() and torch.allclose(given.sum(1), torch.ones(len(given)), atol=1e-4):
        raise Broken("each row sums to 1, so the outputs are probabilities", describe(images))


@RULES.add()
def determinism(case: ModelCase) -> None:
    """The same images give the same bits, also from a model that is built again."""
    model, images = case.inputs()
    first = forward(model, images)
    if not torch.equal(first, forward(model, images)):
        raise Broken("a second forward pass gives other logits", describe(images))
    if not torch.equal(first, forward(case.build(seed=1), images)):
        cause = "its weights come neither from a file nor from a seed"
        raise Broken(f"built again, it gives other logits: {cause}", describe(images))


@RULES.add()
def batch_independence(case: ModelCase) -> None:
    """The logits of an image do not depend on the other images of the batch."""
    model, images = case.inputs()
    together = forward(model, images)
    alone = torch.cat([forward(model, image[None]) for image in images])
    gap = relative_gap(alone, together, {together.dtype})
    if gap.any():
        i = int(gap.argmax())
        raise Broken(f"the logits of image {i} alone differ by {gap[i]:.2g} of its largest logit", describe(images))


@RULES.add()
def gradient(case: ModelCase) -> None:
    """The gradient of the logits with respect to the images is finite, and not zero unless they are black or white."""
    model, images = case.inputs()
    inputs = images.clone().requires_grad_(True)
    with with_input(describe(images)):
        given = checked(model(inputs.clone()), images)
        (found,) = torch.autograd.grad(given.logsumexp(1).sum() + given[:, 0].sum(), inputs)
    if not found.isfinite().all():
        raise Broken("the gradient is not finite", describe(images))
    if (found[2:].flatten(1).abs().amax(1) == 0).any():
        raise Broken("the gradient is exactly zero", describe(images))


@RULES.add()
def eval_mode(case: ModelCase) -> None:
    """A forward pass changes neither the model nor the images, and draws no global random numbers."""
    model, images = case.inputs()
    before = images.clone()
    with with_input(describe(images)), torch.no_grad(), guarded(model, by="a forward pass"):
        model(images)
    if not torch.equal(before, images):
        raise Broken("it changed the images in place", describe(images))


@RULES.add()
def identity(case: ModelCase) -> None:
    """Its identity is JSON, the same each time, and differs from that of the recipe's other examples."""
    case.build()
    with with_input("the recipe's identity"):
        stated = json.dumps(case.recipe.identity(**case.filled(case.options)), sort_keys=True)
        if stated == "{}":
            raise Broken("it is empty, so other weights would have the same identity")
        if stated != json.dumps(case.recipe.identity(**case.filled(case.options)), sort_keys=True):
            raise Broken("it differs from call to call")
        for other in case.recipe.examples:
            if dict(other) != dict(case.options) and stated == json.dumps(
                case.recipe.identity(**case.filled(other)), sort_keys=True
            ):
                raise Broken(f"it is also the identity of {dict(other)}")


@RULES.add()
def card(case: ModelCase) -> None:
    """Its card is right: `shape`, `classes`, and `accuracy` on the first 1,000 images of the dataset `data`."""
    stated = case.card()
    if not stated:
        raise Skipped("it has no card")
    model, images = case.inputs()
    classes = forward(model, images).shape[1]
    if stated.get("classes", classes) != classes:
        raise Broken(f"its card says {stated['classes']} classes, it has {classes}", describe(images))
    if "accuracy" not in stated:
        return
    try:
        data: Images = case.registry.find("datasets", stated["data"], "card", "data").build()
    except UsageError as error:
        raise Skipped(str(error)) from error
    count = min(CARD_IMAGES, len(data.ids))
    pictures, labels = torch.from_numpy(data.load(list(np.arange(count)))), torch.tensor(list(data.labels)[:count])
    correct = [
        forward(model, part).argmax(1) == truth
        for part, truth in zip(pictures.split(100), labels.split(100), strict=True)
    ]
    found = torch.cat(correct).double().mean().item()
    if abs(found - stated["accuracy"]) > CARD_TOLERANCE:
        raise Broken(
            f"its card says accuracy {stated['accuracy']:.4g}, found {found:.4g}", f"{count} images of {stated['data']}"
        )
