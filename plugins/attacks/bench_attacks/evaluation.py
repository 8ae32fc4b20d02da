"""The gradient of the objective (the loss over the views, and the terms) at given points, in one forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from bench_core.batches import in_parts, in_passes

from .features import Recorder
from .kinds import Loss, Surrogate, Tap, Term, View
from .members import averages_losses, member_logits, members_of
from .messages import Answer, Outputs, Query, TermInputs
from .rows import Rows, repeated
from .views import apply_views, copies_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model

    from .run_state import RunState
else:
    from bench_core.lazy import torch


class Part(NamedTuple):
    """The answer for some rows: gradients [n, ...], values [n], and the rest as in `Answer`, without its axis k."""

    gradients: Tensor
    values: Tensor
    member_values: Tensor
    logits: Tensor
    features: Tensor


@dataclass(frozen=True)
class Evaluation:
    """How the objective and its gradient are computed.

    Attributes:
        loss: The loss, which is computed at all copies of the point that the views make; None for none.
        views: The views.
        pooling: Whether the mean over the copies is taken of their losses or of their logits.
        weight: The factor of the loss beside other terms.
        terms: The other terms.
        surrogates: Changes of the network, each applied to the network that the one before it yields.
        tap: The layer whose features the loss uses.
        with_image: Whether the network also gets the image itself, beside the copies and the terms' own points.
    """

    loss: Loss | None
    views: tuple[View, ...]
    pooling: Literal["losses", "logits"]
    weight: float
    terms: tuple[Term, ...]
    surrogates: tuple[Surrogate, ...]
    tap: Tap | None
    with_image: bool

    @property
    def copies(self) -> int:
        """The number of inputs of the loss: without views it uses the image itself."""
        return copies_of(self.views) if self.loss and self.views else 0

    @property
    def inputs(self) -> int:
        """The number of inputs that the network gets for each point of a query."""
        return self.with_image + self.copies + sum(term.count for term in self.terms)

    @property
    def extra_forwards(self) -> int:
        """The number of images beside these inputs that surrogates pass through the network for each point."""
        return sum(surrogate.forwards for surrogate in self.surrogates)

    def of_query(self, query: Query) -> Evaluation:
        """Return how a query is answered."""
        loss = self.loss if query.loss is None else query.loss
        if query.alone:
            return replace(self, loss=loss, views=(), weight=1, terms=(), with_image=True)
        return replace(self, loss=loss)

    def answer(
        self, query: Query, model: Model, examples: Examples, run: RunState, clean_logits: Tensor | None,
        index: int = 0, prepared: Tensor | None = None,
    ) -> Answer:  # fmt: skip
        """Return gradients, values and logits at the points of a query, each independent of the other points.

        Args:
            query: The points [n, k, c, h, w].
            model: The network, unchanged.
            examples: The clean images, labels and targets [n].
            run: The state of the run at this step.
            clean_logits: Logits [n, members, classes] at the clean images, None if no term uses them.
            index: The number of the query within the step, from 0; each query draws fresh random numbers.
            prepared: What the attack's preparation returned [n, ...].
        """
        evaluation, points = self.of_query(query), query.points.shape[1]
        images = query.points.flatten(0, 1)
        data = prepared if query.data is None else query.data
        rows = Rows(images, examples, run, clean_logits, data, query.weights)
        parts: list[Part] = []
        order: list[Tensor] = []
        for network, places in routed(model, query.member):

            def compute(part: slice, network: Model = network, places: Tensor | None = places) -> Part:
                chosen = rows.at_points(images, points, index, part if places is None else places[part])
                chosen = chosen if places is None else chosen.of_member(network, model)
                return evaluation.evaluate(network, chosen, query)

            count = len(images) if places is None else len(places)
            parts += in_parts(compute, count, evaluation.inputs, network, images)
            order += [] if places is None else [places]
        whole = Part(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
        if order:
            back = torch.cat(order).argsort()
            whole = Part(*(tensor[back] for tensor in whole))
        shaped = Part(*(tensor.unflatten(0, (-1, points)) for tensor in whole))
        return Answer(
            *shaped[:3],
            logits=shaped.logits if evaluation.with_image else None,
            features=shaped.features if query.alone and self.tap else None,
        )

    def evaluate(self, model: Model, rows: Rows, query: Query) -> Part:
        """Answer for some rows.

        Values are summed over the batch, never averaged, so that no gradient depends on the batch size.
        """
        by_member = averages_losses(model)
        if query.separately or query.weights is not None:
            by_member = len(members_of(model)) > 1
        changed, run = model, rows.run
        with ExitStack() as stack, torch.set_grad_enabled(query.backward):
            for surrogate in self.surrogates:
                changed = stack.enter_context(surrogate.apply(changed, run))
            recorder = stack.enter_context(Recorder(self.tap, model, cut=query.at_tap))
            images = rows.images.detach().requires_grad_(query.backward)
            points = self._points(images, run)
            inputs = points.flatten(0, 1)
            if changed is model:
                once = self.tap is None  # a recorder would see each layer twice
                logits = in_passes(lambda part: member_logits(model, part, by_member), inputs, model, once)
            else:  # a surrogate may depend on the position of an input in the batch, so do not split the batch
                logits = member_logits(changed, inputs, by_member)
            count, logits = len(images), logits.unflatten(0, points.shape[:2])
            if query.weights is not None:
                assert rows.weights is not None
                logits = (rows.weights[:, None, :, None] * logits).sum(2, keepdim=True)
                rows = rows.weighted()
            members = logits.shape[2]
            logits = logits.transpose(1, 2).flatten(0, 1)
            features = recorder.features(len(inputs), points.shape[:2])
            values, member_values = self._values(images, logits, features, rows, members)
            gradients = images.new_zeros(count, 0)
            if query.at_tap:
                gradients = recorder.gradient(values.sum()).unflatten(0, points.shape[:2])[:, 0]
            elif query.backward:
                (gradients,) = torch.autograd.grad(values.sum(), images)
        nothing = images.new_zeros(count, 0)
        image_logits = logits[:, 0].detach().unflatten(0, (count, members)) if self.with_image else nothing
        seen = features[:, 0].detach() if query.alone and features is not None else nothing
        return Part(gradients, values.detach(), member_values.detach(), image_logits, seen)

    def _points(self, images: Tensor, run: RunState) -> Tensor:
        """Return all inputs [n, inputs, c, h, w]: the image, if `with_image`, the copies, the points of each term."""
        # Add the image to the graph after the points: autograd sums gradients in the order in which nodes were created.
        copies = [apply_views(self.views, images, run)] if self.copies else []
        by_term = [term.points(images, run) for term in self.terms]
        inputs = [images[:, None]] if self.with_image else []
        inputs += [*copies, *(points for points in by_term if points is not None)]
        return torch.cat(inputs, dim=1)

    def _values(
        self, images: Tensor, logits: Tensor, features: Tensor | None, rows: Rows, members: int
    ) -> tuple[Tensor, Tensor]:
        """Return the objective [n] and the loss of each member [n, members].

        Args:
            images: The points [n, c, h, w].
            logits: The logits [n * members, inputs, classes] of all inputs, image-major.
            features: The features [n, inputs, ...] at the tap.
            rows: What else belongs to the points.
            members: The number of members.
        """
        examples = repeated(rows.examples, members)
        clean = None if rows.clean is None else rows.clean.flatten(0, 1)
        at_image = logits[:, 0] if self.with_image else None
        first = int(self.with_image)
        values, member_values = images.new_zeros(len(images)), images.new_zeros(len(images), members)
        if self.loss:
            own = slice(first, first + self.copies) if self.copies else slice(0, 1)
            seen = None if features is None else features[:, own]
            of_copies = logits[:, own]
            if self.pooling == "logits":
                of_copies = of_copies.mean(1, keepdim=True)
            loss = self.loss.value(Outputs(of_copies, seen, rows.data), examples).mean(1)
            member_values = loss.view(-1, members)
            values = values + (self.weight * loss if self.terms and self.weight != 1 else loss).view(-1, members).mean(
                1
            )
            first += self.copies
        for term in self.terms:
            at_points = logits[:, first : first + term.count]
            value = term.value(TermInputs(images - rows.examples.images, at_image, at_points, clean), examples)
            values = values + value.view(len(images), -1).mean(1)
            first += term.count
        return values, member_values


def routed(model: Model, member: Tensor | None) -> Iterator[tuple[Model, Tensor | None]]:
    """Yield each network that points go through, and the places of its points, None for all of them."""
    if member is None:
        yield model, None
        return
    chosen = member.flatten()
    for number, network in enumerate(members_of(model)):
        places = (chosen == number).nonzero().flatten()
        if len(places):
            yield network, places
