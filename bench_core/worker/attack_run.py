"""Runs one attack on one batch: counts its passes, and checks that it leaves inputs, network and process unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ContractError
from ..types import Attack, Examples, Memory
from .guard import guarded
from .instrument import PassCounter, contiguous_gradients
from .pass_limit import PassesSpent, PassLimit
from .streams import ImageStreams


def with_targets(examples: Examples, source: nn.Module, rng: ImageStreams) -> Examples:
    """Return examples with target classes: those of the dataset, or a random wrong class for each image."""
    if examples.targets is not None:
        return examples
    classes = source(examples.images[:1]).shape[-1]
    offset = 1 + (rng.uniform("target class", 0, ()) * (classes - 1)).long().to(examples.labels)
    return Examples(examples.images, examples.labels, examples.ids, (examples.labels + offset) % classes)


def batch_seed(examples: Examples, seed: int) -> int:
    """Return the seed of the global generators for a batch, derived from its first image."""
    return int(examples.ids[0][:12], 16) + seed


def copied(examples: Examples) -> Examples:
    targets = None if examples.targets is None else examples.targets.clone()
    return Examples(examples.images.clone(), examples.labels.clone(), examples.ids, targets)


def equal(first: Examples, second: Examples) -> bool:
    """Return whether images, labels and targets are equal."""
    pairs = [(first.images, second.images), (first.labels, second.labels)]
    if first.targets is not None and second.targets is not None:
        pairs.append((first.targets, second.targets))
    return all(torch.equal(*pair) for pair in pairs)


@dataclass
class AttackRun:
    """One run of an attack. Iterate over `steps` once; afterwards `passes` and `returned` are complete.

    Attributes:
        attack: The attack.
        source: The network that it attacks.
        examples: The batch, which the attack must not change.
        rng: The batch's random streams.
        passes: The counter of passes through the source or its members.
        donors: The clean images that it may mix in, if it declares any.
        returned: The rows that the attack's generator returned.
        memory: Where an attack that can be resumed keeps its state; None for another one.
        limit: The limit of its passes, which the counter enforces; None for none.
    """

    attack: Attack
    source: nn.Module
    examples: Examples
    rng: ImageStreams
    passes: PassCounter
    donors: Examples | None = None
    returned: Mapping[str, Tensor] = field(default_factory=dict)
    memory: Memory | None = None
    limit: PassLimit | None = None

    def steps(self) -> Iterator[Tensor]:
        """Yield the images [n, c, h, w] after each step.

        Raises:
            ContractError: if the attack changed its inputs, the source, or the settings of the process.
        """
        examples = self.examples
        given = copied(examples)  # so that the attack cannot change what others see
        draws_globally = getattr(self.attack, "global_seed", False)
        with guarded(self.source, batch_seed(examples, self.rng.seed) if draws_globally else None):
            generator = self.start(given)
            try:
                yield from self._advance(generator)
            finally:
                close = getattr(generator, "close", None)
                if close:
                    close()
            if self.limit is not None and self.passes.bypassed:
                raise ContractError("ran its source around the count of passes, which the budget limits")
            if not equal(given, examples):
                raise ContractError("the attack changed its input images or labels in place")

    def start(self, given: Examples) -> Iterator[Tensor]:
        """Call the attack on examples, with a copy of its donors if it declares any, and with its memory."""
        more: dict[str, Any] = {} if self.donors is None else {"donors": copied(self.donors)}
        if self.memory is not None:
            more["memory"] = self.memory
        return self.attack(self.source, given, self.rng, **more)

    def _advance(self, generator: Iterator[Tensor]) -> Iterator[Tensor]:
        """Yield an attack's images; count passes and enable gradients, contiguous ones, only while the attack runs.

        An attack that has spent its passes is stopped, and what it had found until then is yielded.
        """
        limit, last = self.limit, None
        while True:
            try:
                with self.passes.counting(), contiguous_gradients(self.source), torch.enable_grad(), self.observed():
                    images = next(generator)
            except StopIteration as end:
                self.returned = end.value or {}
                return
            except PassesSpent:
                if limit is not None and (last is None or limit.searches):
                    yield limit.result(last)
                return
            if images is None:
                return
            # a copy, because the attack may go on in the tensor that it yielded
            last = images.detach().clone() if isinstance(images, Tensor) else images
            yield limit.result(last) if limit is not None and isinstance(last, Tensor) else last

    def spent(self) -> dict[str, Tensor]:
        """Return the `forwards` and `backwards` of each image, and which were `stopped` at the limit, [n] each."""
        if self.limit is not None:
            passes = {"forwards": self.limit.forwards.float(), "backwards": self.limit.backwards.float()}
            return {**passes, "stopped": self.limit.over}
        count = len(self.examples.ids)
        return {name: torch.full((count,), getattr(self.passes, name) / count) for name in ("forwards", "backwards")}

    @contextmanager
    def observed(self) -> Iterator[None]:
        """Show the points that the attack asks the source about to the limit."""
        handle = None if self.limit is None else self.source.register_forward_hook(self.limit.observe, with_kwargs=True)
        try:
            yield
        finally:
            if handle is not None:
                handle.remove()
