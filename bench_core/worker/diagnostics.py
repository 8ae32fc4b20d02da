"""Measures properties of a network and the progress of an attack, from which warnings are derived.

The checks are those of arXiv:1802.00420 (sec. 3.1) and arXiv:1902.06705 (sec. 4); `scores/warnings.py` turns their
rows into warnings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..batches import at_once, batched_forward, in_parts
from ..logits import LOSSES, margin
from ..types import Budget, Examples, Norm, Streams
from .guard import own_changes
from .known_logits import KnownLogits
from .rng_state import is_randomised
from .streams import ImageStreams

EXAMINED_IMAGES = 32  # the first of the dataset
EXAMINED_LOSSES = ("cross_entropy", "margin")
IMAGES_ALONE = 8  # images that are also passed alone
LAST_STEPS = 10  # steps over which progress is measured, or half of all steps if fewer
REPEATS = 16  # forwards of a randomised network: two draws from a few possible values may be equal
TOLERANCE = 1e-4  # share of the largest logit by which outputs of a deterministic network may differ
TOLERANCE_ALONE = 1e-3  # the same for an image alone and in a batch, which may be computed by other algorithms
ROUNDING = 8  # relative roundings (eps of the number type) by which outputs of half precision may differ
PRECISIONS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}


def examine(network: nn.Module, examples: Examples) -> Mapping[str, Tensor]:
    """Examine a network on the first images of a batch, no more than it is usually attacked with at once.

    All of them are passed at once, so 32 images of 224 pixels would take gigabytes. With a limit of memory the images
    are the same, but their gradients are computed in parts.

    Returns:
        Rows [n], which are false or 0 for images that were not used. `examined`: the image was used; `softmax`: the
        outputs are probabilities; `randomised`: a repeated forward differs, or would if the network did not repeat its
        one random draw (`one_draw`); `no_gradient`: the network cannot be differentiated; `zero_gradient`: the input
        gradient of the margin is zero; `saturated`: only that of the cross entropy is zero, in float32; `nan_gradient`:
        one of them is NaN or infinite; `batch_gap`: see there; `float16`, `bfloat16`, `float64`: the type of its
        answers, if it is not that of the images; `changes_images`: it writes into its input; `changes_itself`: it
        changes its buffers, or other parts of itself, at every forward.
    """
    count = len(examples.labels)
    sample = examples.take(slice(0, min(EXAMINED_IMAGES, at_once(network, examples.images, limited=False))))
    with noting(network) as noted:
        first = network(sample.images)
    repeated = [network(sample.images) for _ in range(REPEATS if is_randomised(network, sample.images[:1]) else 1)]
    gradients = {name: loss_gradient(network, sample, name) for name in EXAMINED_LOSSES}
    examined = torch.ones_like(sample.labels, dtype=torch.bool)
    zero = {name: ~examined if size is None else size == 0 for name, size in gradients.items()}
    lost = [~examined if size is None else ~size.isfinite() for size in gradients.values()]
    differs = (torch.stack(repeated) - first).abs().amax((0, 2)) > TOLERANCE * first.abs().amax(1)
    types = {name: dtype in noted.types for name, dtype in PRECISIONS.items() if dtype != sample.images.dtype}
    rows = {
        "examined": examined,
        "no_gradient": examined if gradients["margin"] is None else ~examined,
        "softmax": (first >= 0).all(1) & ((first.sum(1) - 1).abs() < 1e-3),
        "randomised": differs | examined if getattr(network, "one_draw", False) else differs,
        "zero_gradient": zero["margin"],
        "saturated": zero["cross_entropy"] & ~zero["margin"],
        "nan_gradient": torch.stack(lost).any(0),
        "batch_gap": batch_gap(network, sample.images, noted.types) * ~differs,
        "changes_images": examined & noted.changed_images,
        "changes_itself": examined & bool(own_changes(network, sample.images[:1])),
        **{name: examined & answered for name, answered in types.items()},
    }
    return {name: torch.cat([row, row.new_zeros(count - len(row))]) for name, row in rows.items()}


@dataclass
class Noted:
    """What the hooks of `noting` saw of a network: the types of its answers, and whether it writes into its input."""

    types: set[torch.dtype] = field(default_factory=set)
    changed_images: bool = False
    images: list[Tensor] = field(default_factory=list)  # a copy of the input of each call that is not finished


@contextmanager
def noting(network: nn.Module) -> Iterator[Noted]:
    """Note what a network itself does, before others that have registered hooks convert its answer."""
    noted = Noted()

    def enter(_network: nn.Module, inputs: Any) -> None:
        noted.images.append(inputs[0].clone())

    def leave(_network: nn.Module, inputs: Any, answer: Any) -> None:
        noted.changed_images |= not torch.equal(noted.images.pop(), inputs[0])
        if isinstance(answer, Tensor):
            noted.types.add(answer.dtype)

    before, after = network.register_forward_pre_hook(enter), network.register_forward_hook(leave, prepend=True)
    try:
        yield noted
    finally:
        before.remove()
        after.remove()


def batch_gap(network: nn.Module, images: Tensor, types: set[torch.dtype]) -> Tensor:
    """Compare the first images alone with the same images in company, as a network must not look at the others.

    Args:
        network: The network.
        images: Images [n, c, h, w].
        types: The types of the network's answers, which decide how much rounding is expected.

    Returns:
        Differences [n], as shares of the image's largest logit; 0 where it is no more than rounding.
    """
    together = network(images)[:IMAGES_ALONE]
    alone = torch.cat([network(image[None]) for image in images[:IMAGES_ALONE]])
    gap = relative_gap(alone, together, types)
    return torch.cat([gap, gap.new_zeros(len(images) - len(gap))])


def relative_gap(alone: Tensor, together: Tensor, types: set[torch.dtype]) -> Tensor:
    """Return the differences [n] of logits [n, classes], as shares of the largest; 0 where they are only rounding."""
    gap = (alone.double() - together).abs().amax(1) / together.double().abs().amax(1).clamp(min=1e-30)
    expected = max([TOLERANCE_ALONE, *(ROUNDING * torch.finfo(dtype).eps for dtype in types)])
    return torch.where(gap > expected, gap, 0.0).float()


def loss_gradient(network: nn.Module, examples: Examples, name: str) -> Tensor | None:
    """Return the L-inf norms [n] of a loss's input gradients; None if the network cannot be differentiated."""

    def compute(rows: slice) -> Tensor:
        images = examples.images[rows].clone().requires_grad_(True)
        loss = LOSSES[name](network(images), examples.labels[rows]).sum()
        return torch.autograd.grad(loss, images)[0].flatten(1).abs().amax(1)

    with torch.enable_grad():
        try:
            return torch.cat(list(in_parts(compute, len(examples.labels), 1, network, examples.images)))
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, NotImplementedError, TypeError, ValueError):
            return None


class AttackDiagnostics:
    """Measures the progress of an attack on its source network, with a few forwards per image.

    The *attack margin* of an image, in logits, is the margin of the strongest wrong class, or of the target class. It
    is positive where the source is fooled.

    Args:
        source: The network.
        examples: The batch.
        budget: The budget of the attack.
        rng: The streams of the noise that the attack is compared with.
        answer: Returns the source's logits, if others ask for those of the same images; None to compute them here.
        noisy: Keeps the logits of noise for other attacks; None to compute them here.
    """

    def __init__(
        self, source: nn.Module, examples: Examples, budget: Budget, rng: ImageStreams,
        answer: Callable[[Tensor], Tensor] | None = None, noisy: NoiseLogits | None = None,
    ) -> None:  # fmt: skip
        self.source, self.examples, self.budget, self.rng = source, examples, budget, rng
        self.answer, self.noisy = answer or partial(forward, source), noisy or NoiseLogits()
        self.before = torch.full(examples.labels.shape, torch.nan, device=examples.labels.device)
        self.step_before = budget.steps - min(LAST_STEPS, budget.steps // 2)

    def attack_margin(self, images: Tensor) -> Tensor:
        return self._margin(self.answer(images))

    def _margin(self, logits: Tensor) -> Tensor:
        targets = self.examples.targets
        return margin(logits, self.examples.labels) if targets is None else -margin(logits, targets)

    def step(self, index: int, images: Tensor) -> None:
        if index == self.step_before < self.budget.steps:
            self.before = self.attack_margin(images)

    def rows(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return the attack margins [n] of the last images, of earlier ones, and of noise of the size eps.

        The earlier images are those of `step_before`; their margins are NaN if the attack has too few steps.
        """
        return {
            "margin": self.attack_margin(images),
            "margin_before": self.before,
            "margin_of_noise": self._margin(self.noisy.logits(self.source, self.examples, self.budget, self.rng)),
        }


class NoiseLogits:
    """The logits of noisy images, which are the same for all attacks on one source, batch, norm and eps."""

    def __init__(self, known: KnownLogits | None = None) -> None:
        self.known = known or KnownLogits()

    def logits(self, source: nn.Module, examples: Examples, budget: Budget, rng: ImageStreams) -> Tensor:
        """Return the logits [n, classes] of noise of the size eps, computed unless they are kept."""

        def compute() -> Tensor:
            return forward(source, noise_of_size(examples.images, budget.norm, budget.eps, rng))

        return self.known.get(source, ("noise", rng.ids, rng.seed, budget.norm, budget.eps), compute)


def forward(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return batched_forward(network, images)


def noise_of_size(images: Tensor, norm: Norm, eps: float, rng: Streams) -> Tensor:
    """Add noise of size eps to each image: random signs (L-inf), a random direction (L2), else salt and pepper.

    The latter sets random values (L1) or pixels (L0) to 0 or 1, as many as the size allows. Clip to [0, 1].
    """
    drawn = rng.normal("noise of the host", 0, images.shape[1:]).to(images)
    if norm in ("l1", "l0"):
        return images + salt_and_pepper(images, drawn, norm, eps)
    size = drawn.flatten(1).norm(dim=1).view(-1, *[1] * (images.ndim - 1))
    noise = drawn.sign() if norm == "linf" else drawn / size
    return (images + eps * noise).clamp(0, 1)


def salt_and_pepper(images: Tensor, drawn: Tensor, norm: Norm, eps: float) -> Tensor:
    """Return changes of images to 0 or 1, in the order of the random numbers `drawn`, until their size is eps."""
    change = (drawn > 0).to(images) - images
    if norm == "l0":
        rank = drawn.abs().sum(1).flatten(1).argsort(dim=1, descending=True, stable=True).argsort(1)
        return change * (rank < eps).view(len(images), 1, *images.shape[2:])
    order = drawn.flatten(1).abs().argsort(dim=1, descending=True, stable=True)
    sizes = change.flatten(1).abs().gather(1, order).double()
    share = ((eps - (sizes.cumsum(1) - sizes)) / sizes.clamp(min=1e-12)).clamp(0, 1).to(images)
    return change * torch.zeros_like(share).scatter(1, order, share).view_as(change)
