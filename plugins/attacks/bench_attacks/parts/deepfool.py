"""DeepFool (Moosavi-Dezfooli et al., 2016; arXiv:1511.04599)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from bench_core.types import AttackRecipe, Budget, Cost

from ..balls import per_image
from ..minimal_norm import MinimalNorm, Problem

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Norm
else:
    from bench_core.lazy import torch

PAST = 1e-4  # added to each step, so that it does not end on the boundary; from the authors' code
SMALLEST = 1e-8


@dataclass(frozen=True)
class DeepFool:
    """Steps onto the nearest boundary of the network's linearisation, until it is fooled.

    The boundaries are those of the label's class with the likeliest others at the clean image, so that there are
    `candidates` classes. Each step is `1 + overshoot` times as long. An image that fools the network takes no further
    step.

    The paper has no bounds of pixels, and where they enter changes the distance. By default each step starts at the
    clipped image, as in adversarial-library, with whose results these agree. Otherwise only the sum of the steps is
    clipped, as in foolbox: a pixel that the sum has moved far out of range does not come back with the next step, and
    distances are up to 3% longer in L2 on ten images of the embedded ResNet-S, and up to 6% in L-inf.
    """

    candidates: int
    overshoot: float
    clip_steps: bool
    norms: ClassVar[tuple[Norm, ...]] = ("l2", "linf")
    can_target: ClassVar[bool] = False
    deviations: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"cost": "an image that is fooled takes no more steps, and a network may have fewer classes"}
    )

    @property
    def cost(self) -> Cost:
        return Cost(1, self.candidates - 1, forwards_once=1)

    def run(self, problem: Problem) -> Iterator[None]:
        clean, examples = problem.clean, problem.examples
        points, total = clean, torch.zeros_like(clean)
        moving, at, logits = self._forward(problem, points, torch.arange(len(clean), device=clean.device))
        all_logits = logits.detach()
        ranked = all_logits.scatter(1, examples.labels[:, None], torch.inf).argsort(dim=1, descending=True)
        classes = ranked[:, : self.candidates]  # the label's is the first
        going = ~problem.judge(points, all_logits)
        for _ in range(problem.budget.steps):
            if going.any():
                step = self._step(problem.budget.norm, at, logits, classes[moving])
                kept = going[moving]
                total = total.index_add(0, moving[kept], step[kept])
                ahead = (clean + (1 + self.overshoot) * total).clamp(0, 1)
                points = ahead.where(per_image(going, clean), points)
                if self.clip_steps:
                    total = (points - clean) / (1 + self.overshoot)
                moving, at, logits = self._forward(problem, points, going.nonzero().flatten())
                all_logits = all_logits.index_copy(0, moving, logits.detach())
                going = ~problem.judge(points, all_logits)
            yield

    def _forward(self, problem: Problem, points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the rows, their points and their logits with a graph."""
        with torch.enable_grad():
            at = points[rows].detach().requires_grad_(True)
            return rows, at, problem.model(at)

    def _step(self, norm: Norm, at: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
        """Return the shortest of the steps [n, c, h, w] onto the boundaries with each of the classes [n, k]."""
        chosen = logits.gather(1, classes)
        leads = chosen[:, 1:] - chosen[:, :1]
        slopes = torch.stack([torch.autograd.grad(lead.sum(), at, retain_graph=True)[0] for lead in leads.unbind(1)], 1)
        sizes = torch.linalg.vector_norm(slopes.flatten(2), ord=2 if norm == "l2" else 1, dim=2) + SMALLEST
        nearest = (leads.detach().abs() / sizes).argmin(1, keepdim=True)
        distance = (leads.detach().abs() / sizes).gather(1, nearest)[:, 0] + PAST
        slope = slopes.gather(1, nearest.view(-1, 1, 1, 1, 1).expand(-1, 1, *at.shape[1:]))[:, 0]
        direction = slope / per_image(sizes.gather(1, nearest)[:, 0], slope) if norm == "l2" else slope.sign()
        return per_image(distance, slope) * direction


def deepfool(
    budget: Budget,
    candidates: Annotated[int, Ge(2)] = 10,
    overshoot: Annotated[float, Ge(0)] = 0.02,
    clip_steps: bool = True,
) -> MinimalNorm:
    """Build the attack.

    Args:
        budget: The budget, of which the norm, the steps and eps are used.
        candidates: The number of classes, the label's among them.
        overshoot: By how much of its length each step goes beyond the boundary.
        clip_steps: Whether each step starts at the clipped image, and not only their sum is clipped.
    """
    return MinimalNorm(budget, DeepFool(candidates, overshoot, clip_steps))


RECIPE = AttackRecipe(
    deepfool,
    "The nearest boundary of the linearised network, in L2 or L-inf (Moosavi-Dezfooli et al., 2016).",
    norms=DeepFool.norms,
)
