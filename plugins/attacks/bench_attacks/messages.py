"""What the building blocks exchange: queries of points and their answers, the inputs of losses and terms, passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from .kinds import Loss


class Passes(NamedTuple):
    """The points of one image that go through the source, by the kind of their query.

    Attributes:
        objective: Points with the gradient of the complete objective: each through all views and with all terms.
        plain: Points with the gradient of the loss at the point alone.
        forwards: Points without a gradient.
    """

    objective: float = 0
    plain: float = 0
    forwards: float = 0

    def plus(self, other: Passes) -> Passes:
        """Return the sum of both."""
        return Passes(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Query:
    """A request for the gradient of the objective at each of the `points` [n, k, c, h, w].

    Attributes:
        points: The points.
        plain: Only the loss at the point itself: no views, no other terms.
        backward: Without it the answer has no gradients, and the query is plain.
        at_tap: The gradients are those in the features at the attack's tap, and the query is plain.
        loss: Replaces the attack's loss.
        data: One row for each image, [n, ...]: replaces what was prepared as the loss's `Outputs.data`.
        member: The number of the source's member that each point goes through, [n, k]; None for the complete source.
        weights: Weights [n, members] with which the members' logits are added; [n, 1] with `member`.
        separately: Compute the values and logits of each member.
    """

    points: Tensor
    plain: bool = False
    backward: bool = True
    at_tap: bool = False
    loss: Loss | None = None
    data: Tensor | None = None
    member: Tensor | None = None
    weights: Tensor | None = None
    separately: bool = False

    @property
    def alone(self) -> bool:
        """Whether the loss is computed at the points themselves, without views and other terms."""
        return self.plain or self.at_tap or not self.backward

    def passes(self, members: int) -> Passes:
        """Return the points of each image, from a source of so many networks."""
        points = self.points.shape[1] / (1 if self.member is None else members)
        if not self.backward:
            return Passes(forwards=points)
        return Passes(plain=points) if self.alone else Passes(objective=points)


@dataclass(frozen=True)
class Answer:
    """The answer to a Query. The points of one image do not influence each other."""

    gradients: Tensor  # [n, k, c, h, w], or with `at_tap` in the features' shape; empty [n, k, 0] without `backward`
    values: Tensor  # [n, k], the objective
    member_values: Tensor  # [n, k, members], the loss; one member unless losses are averaged or computed separately
    logits: Tensor | None  # [n, k, members, classes] at the points, if the query is alone or something uses them
    features: Tensor | None  # [n, k, ...] at the attack's tap, if the query is alone


@dataclass(frozen=True)
class Outputs:
    """What a loss is computed from, with a graph, at the k points of each image: the copies that the views made.

    For an ensemble that averages losses there is one row for each image and member, image-major.
    """

    logits: Tensor  # [n, k, classes]
    features: Tensor | None  # [n, k, ...] at the attack's tap; None if it has none
    data: Tensor | None  # [n, ...], what was prepared or the query's data, without a graph


@dataclass(frozen=True)
class TermInputs:
    """The inputs of a term's value: the perturbation, and the logits at the term's points.

    For an ensemble that averages losses, the logits and examples have one row for each image and member, image-major.
    """

    delta: Tensor  # [n, c, h, w], with a graph
    image: Tensor | None  # [n, classes], logits at the current image, with a graph; None unless they are computed
    points: Tensor  # [n, k, classes], logits at the term's own points, with a graph
    clean: Tensor | None  # [n, classes], logits at the clean image, without a graph; None unless they are computed
