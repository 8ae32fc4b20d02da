"""The gradient of the objective (the sum of the terms) at given points, with all terms in one forward pass."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench_core.batches import in_parts, in_passes
from bench_core.types import Examples

from .kinds import Answer, Query, Surrogate, Term, TermInputs
from .members import averages_losses, member_logits
from .run_state import RunState

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Evaluation:
    """How the sum of the terms and its gradient are computed.

    Attributes:
        terms: The terms.
        surrogates: Changes of the network, each applied to the network that the one before it yields.
        with_image: Whether the network also gets the image itself, beside the terms' own points.
    """

    terms: tuple[Term, ...]
    surrogates: tuple[Surrogate, ...]
    with_image: bool

    @property
    def inputs(self) -> int:
        """The number of inputs that the network gets for each point of a query."""
        return self.with_image + sum(term.count for term in self.terms)

    def answer(
        self, query: Query, model: Model, examples: Examples, run: RunState, clean_logits: Tensor | None, index: int = 0
    ) -> Answer:
        """Return gradients, values and logits at the points of a query, each independent of the other points.

        Args:
            query: The points [n, k, c, h, w].
            model: The network, unchanged.
            examples: The clean images, labels and targets [n].
            run: The state of the run at this step.
            clean_logits: Logits [n, members, classes] at the clean images, None if no term uses them.
            index: The number of the query within the step, from 0; each query draws fresh random numbers.
        """
        count, points = query.points.shape[:2]
        images, run = query.points.flatten(0, 1), run.at_points(points, index)
        examples = repeated(examples, points)
        clean = None if clean_logits is None else clean_logits.repeat_interleave(points, 0)

        def evaluate(rows: slice) -> tuple[Tensor, Tensor, Tensor | None]:
            clean_rows = None if clean is None else clean[rows]
            return self._evaluate(model, examples.take(rows), images[rows], run.take(rows), clean_rows)

        parts = list(in_parts(evaluate, count * points, self.inputs, model, images))
        gradients, values, logits = zip(*parts, strict=True)
        shape = (count, points)
        return Answer(
            torch.cat(gradients).unflatten(0, shape),
            torch.cat(values).unflatten(0, shape),
            torch.cat(logits).unflatten(0, shape) if self.with_image else None,
        )

    def _evaluate(
        self, model: Model, examples: Examples, images: Tensor, run: RunState, clean_logits: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return gradients [n, c, h, w], values [n], and logits at the images [n, members, classes] or None.

        Values are summed over the batch, never averaged, so that no gradient depends on the batch size.
        """
        changed, by_member = model, averages_losses(model)
        with ExitStack() as stack, torch.enable_grad():
            for surrogate in self.surrogates:
                changed = stack.enter_context(surrogate.apply(changed, run))
            images = images.detach().requires_grad_(True)
            points = self._points(images, run)
            inputs = points.flatten(0, 1)
            if changed is model:
                logits = in_passes(lambda part: member_logits(model, part, by_member), inputs, model)
            else:  # a surrogate may depend on the position of an input in the batch, so do not split the batch
                logits = member_logits(changed, inputs, by_member)
            count, members = len(images), logits.shape[1]
            logits = logits.unflatten(0, points.shape[:2]).transpose(1, 2).flatten(0, 1)
            member_examples = repeated(examples, members)
            clean = None if clean_logits is None else clean_logits.flatten(0, 1)
            at_image = logits[:, 0] if self.with_image else None
            first, values = int(self.with_image), images.new_zeros(count)
            for term in self.terms:
                at_points = logits[:, first : first + term.count]
                term_inputs = TermInputs(images - examples.images, at_image, at_points, clean)
                value = term.value(term_inputs, member_examples)
                values = values + value.view(count, -1).mean(1)
                first += term.count
            (gradient,) = torch.autograd.grad(values.sum(), images)
        image_logits = None if at_image is None else at_image.detach().unflatten(0, (count, members))
        return gradient, values.detach(), image_logits

    def _points(self, images: Tensor, run: RunState) -> Tensor:
        """Return all inputs [n, inputs, c, h, w]: the image, if `with_image`, then the points of each term."""
        # Add the image to the graph after the points: autograd sums gradients in the order in which nodes were created.
        by_term = [term.points(images, run) for term in self.terms]
        inputs = [images[:, None]] if self.with_image else []
        inputs += [points for points in by_term if points is not None]
        return torch.cat(inputs, dim=1)


def repeated(examples: Examples, times: int) -> Examples:
    """Repeat each example `times` times, image-major: [n * times]."""
    if times == 1:
        return examples
    images, labels = (tensor.repeat_interleave(times, 0) for tensor in (examples.images, examples.labels))
    targets = None if examples.targets is None else examples.targets.repeat_interleave(times)
    return Examples(images, labels, tuple(image_id for image_id in examples.ids for _ in range(times)), targets)
