"""What must hold for every model: images in [0, 1] in, logits out, the same ones always, and a gradient."""

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
from ..worker.guard import guarded
from .verdicts import Broken, Rules, Unasked, with_input

RULES = Rules()
SHAPES = ((1, 28, 28), (3, 32, 32), (3, 256, 1), (3, 224, 224), (3, 299, 299))
CARD_IMAGES = 1000
CARD_TOLERANCE = 0.01  # of accuracy: a few borderline images may go the other way on another machine


@dataclass(frozen=True)
class ModelTrial:
    """A model with its options. Raises Broken and Unasked, never what the model raises."""

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
        """Say why it cannot be built on this machine, if it cannot."""
        try:
            self.build()
        except Unasked as absent:
            return str(absent)
        except Broken:
            return None
        return None

    def build(self, seed: int = 0) -> nn.Module:
        """Build the model as a worker does, with some global seed. Raises Unasked where its weights are not here."""
        options = self.filled(self.options)
        try:
            self.recipe.identity(**options)
            with with_input("the recipe"), torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                parts = {name: self.parts(options[name]) for name in self.offer.made_of}
                built: nn.Module = self.offer.build(**{**options, **parts})
        except UsageError as error:
            raise Unasked(str(error)) from error
        except Broken as broken:
            if isinstance(broken.__cause__, UsageError):
                raise Unasked(str(broken.__cause__)) from broken
            raise
        return built.eval().requires_grad_(False)

    def filled(self, options: Json) -> Json:
        """Give options with the defaults, as the host gives those of a suite."""
        return self.offer.check(options, "check", self.offer.name)[0]

    def parts(self, chosen: Any) -> Any:
        """Build the models that this one is made of: each is given as its recipe's name with its options."""
        if isinstance(chosen, list | tuple):
            return [self.parts(each) for each in chosen]
        options = {name: value for name, value in chosen.items() if name != "recipe"}
        return self.registry.find("models", chosen["recipe"], "check", self.offer.name).build(**options)

    def card(self) -> Json:
        return self.recipe.card(**self.filled(self.options)) if self.recipe.card else {}

    def scene(self, count: int = 4) -> tuple[nn.Module, Tensor]:
        """Give the model and images [n, c, h, w] of a shape that it takes, the first black, the second white."""
        model, card = self.build(), self.card()
        reasons = []
        for shape in [tuple(card["shape"])] if "shape" in card else SHAPES:
            images = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))
            images[0], images[1] = 0, 1
            try:
                with torch.no_grad():
                    model(images)
            except Exception as error:
                reasons.append(f"{type(error).__name__}: {error}")
                continue
            return model, images
        raise Broken(f"it takes none of these images: {reasons[0]}", f"images of {SHAPES}")


def told(images: Tensor) -> str:
    return f"{len(images)} images {'x'.join(map(str, images.shape[1:]))}, the first black, the second white"


def answer(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad(), with_input(told(images)):
        logits: Tensor = model(images)
    return logits


@RULES.add()
def logits(trial: ModelTrial) -> None:
    """Images [n, c, h, w] in [0, 1] give finite logits [n, classes], for a black and a white image too."""
    model, images = trial.scene()
    given = answer(model, images)
    if not isinstance(given, Tensor) or given.ndim != 2 or len(given) != len(images) or given.shape[1] < 2:
        raise Broken(f"it gave {tuple(getattr(given, 'shape', ())) or type(given).__name__}", told(images))
    if not given.is_floating_point() or not given.isfinite().all():
        raise Broken("its logits are not all finite numbers", told(images))


@RULES.add()
def no_softmax(trial: ModelTrial) -> None:
    """It gives logits, not probabilities, of which the gradient has been squeezed once already."""
    model, images = trial.scene()
    given = answer(model, images)
    if (given >= 0).all() and torch.allclose(given.sum(1), torch.ones(len(given)), atol=1e-4):
        raise Broken("each of its rows sums to 1: a softmax is inside", told(images))


@RULES.add()
def determinism(trial: ModelTrial) -> None:
    """The same images give the same bits, from a model that is built again too."""
    model, images = trial.scene()
    first = answer(model, images)
    if not torch.equal(first, answer(model, images)):
        raise Broken("it answers the same images otherwise the second time", told(images))
    if not torch.equal(first, answer(trial.build(seed=1), images)):
        raise Broken("built again it answers otherwise: its weights are not those of a file or of a seed", told(images))


@RULES.add()
def batch_independence(trial: ModelTrial) -> None:
    """The logits of an image are the same whoever is beside it."""
    model, images = trial.scene()
    together = answer(model, images)
    for i, image in enumerate(images):
        alone = answer(model, image[None])[0]
        if not torch.allclose(alone, together[i], rtol=1e-3, atol=1e-3):
            raise Broken(f"image {i} alone gets other logits, by {(alone - together[i]).abs().max():.3g}", told(images))


@RULES.add()
def gradient(trial: ModelTrial) -> None:
    """The logits have a finite gradient in the images, and it is not zero."""
    model, images = trial.scene()
    inputs = images[2:].clone().requires_grad_(True)
    with with_input(told(images)):
        (found,) = torch.autograd.grad(model(inputs).logsumexp(1).sum() + model(inputs)[:, 0].sum(), inputs)
    if not found.isfinite().all():
        raise Broken("the gradient is not finite", told(images))
    if (found.flatten(1).abs().amax(1) == 0).any():
        raise Broken("the gradient is exactly zero", told(images))


@RULES.add()
def eval_mode(trial: ModelTrial) -> None:
    """Asking it changes neither it nor the images: no statistics are kept, no random numbers drawn."""
    model, images = trial.scene()
    before = images.clone()
    with with_input(told(images)), guarded(model):
        answer(model, images)
    if not torch.equal(before, images):
        raise Broken("it changed the images in place", told(images))


@RULES.add()
def identity(trial: ModelTrial) -> None:
    """Its identity is JSON, the same each time, and tells it from the recipe's other examples."""
    trial.build()
    with with_input("the recipe's identity"):
        said = json.dumps(trial.recipe.identity(**trial.filled(trial.options)), sort_keys=True)
        if said == "{}":
            raise Broken("it is empty, so that other weights would be taken for these")
        if said != json.dumps(trial.recipe.identity(**trial.filled(trial.options)), sort_keys=True):
            raise Broken("it differs from call to call")
        for other in trial.recipe.examples:
            if dict(other) != dict(trial.options) and said == json.dumps(
                trial.recipe.identity(**trial.filled(other)), sort_keys=True
            ):
                raise Broken(f"it is also that of {dict(other)}")


@RULES.add()
def card(trial: ModelTrial) -> None:
    """What its card says is so: `shape`, `classes`, and `accuracy` on the first 1,000 images of the dataset `data`."""
    said = trial.card()
    if not said:
        raise Unasked("it has no card")
    model, images = trial.scene()
    classes = answer(model, images).shape[1]
    if said.get("classes", classes) != classes:
        raise Broken(f"its card says {said['classes']} classes, it has {classes}", told(images))
    if "accuracy" not in said:
        return
    try:
        data: Images = trial.registry.find("datasets", said["data"], "card", "data").build()
    except UsageError as error:
        raise Unasked(str(error)) from error
    count = min(CARD_IMAGES, len(data.ids))
    pictures, labels = torch.from_numpy(data.load(list(np.arange(count)))), torch.tensor(list(data.labels)[:count])
    right = [
        answer(model, part).argmax(1) == truth
        for part, truth in zip(pictures.split(100), labels.split(100), strict=True)
    ]
    found = torch.cat(right).double().mean().item()
    if abs(found - said["accuracy"]) > CARD_TOLERANCE:
        raise Broken(
            f"its card says accuracy {said['accuracy']:.4g}, found {found:.4g}", f"{count} images of {said['data']}"
        )
