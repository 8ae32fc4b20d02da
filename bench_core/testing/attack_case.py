"""An attack to check. It is built as in a suite and run as in a worker, and every step is checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..registry import Offer
from ..types import Attack, Budget, Examples, Json, Norm
from ..worker.attack_run import AttackRun
from ..worker.contracts import check_images
from ..worker.instrument import PassCounter
from ..worker.job import rejected_source
from .inputs import ALL_SHAPES, ODD_SHAPES, SHAPES, budget, describe, donors, examples, network, streams
from .surrogate import WithSurrogate
from .transformer import transformer
from .verdicts import Broken, Skipped, with_input

NO_OPTIONS: Json = MappingProxyType({})


@dataclass(frozen=True)
class AttackCase:
    """An attack with its options under one norm. Its exceptions become Broken or Skipped.

    `beside` is another attack that its inputs must suit as well.
    """

    offer: Offer
    options: Json
    norm: Norm
    beside: AttackCase | None = None
    tried: dict[tuple[int, int, int], bool] = field(default_factory=dict, compare=False, repr=False)
    kind: ClassVar[str] = "attacks"

    @property
    def name(self) -> str:
        return f"attack {self.label} ({self.norm})"

    @property
    def label(self) -> str:
        """The name of the recipe and its options."""
        return " ".join([self.offer.name, *(f"{key}={value}" for key, value in self.options.items())])

    def attack(self, limits: Budget) -> Attack:
        """Build the attack. Raises Skipped if it rejects the budget."""
        try:
            built: Attack = self.offer.build(limits, **self.options)
        except ValueError as error:
            raise Skipped(f"it rejects the budget: {error}") from error
        return built

    def declared(self) -> Mapping[str, str]:
        """Return the deviations that the attack declares, with their reasons."""
        deviations = dict(getattr(self.attack(budget(self.norm)), "deviations", {}))
        if self.draws_globally:
            deviations.setdefault("batch_independence", "it draws from the global generators (global_seed = True)")
        return deviations

    def excuses(self, rule: str) -> bool:
        """Return whether the attack itself declares a deviation from a rule."""
        return rule in getattr(self.attack(budget(self.norm)), "deviations", {})

    @property
    def draws_globally(self) -> bool:
        """Whether the attack declares that it draws from the global generators."""
        return bool(getattr(self.attack(budget(self.norm)), "global_seed", False))

    @property
    def all_or_nothing(self) -> bool:
        """Whether the attack declares that it returns an image that it does not fool unchanged."""
        return bool(getattr(self.attack(budget(self.norm)), "all_or_nothing", False))

    def needs_movement(self) -> None:
        """Raise Skipped if the attack may return images unchanged, for rules that look at every image's movement."""
        if self.all_or_nothing:
            raise Skipped("it returns an image that it does not fool unchanged (all_or_nothing = True)")

    def refuses(self) -> str | None:
        """Return the reason why the attack accepts no budget of this norm, or None."""
        try:
            self.shape()
        except Skipped as refusal:
            return str(refusal)
        return None

    def shape(self, channels: int | None = None, odd: bool = False, **changes: Any) -> tuple[int, int, int]:
        """Return the first shape (c, h, w) that the attack accepts. Raises Skipped if it rejects all."""
        candidates = ODD_SHAPES if odd else SHAPES[channels] if channels else ALL_SHAPES
        limits = budget(self.norm, **changes)
        reasons = []
        for shape in candidates:
            reason = self._rejects(shape, limits)
            if not reason:
                return shape
            reasons.append(reason)
        raise Skipped(reasons[0])

    def _rejects(self, shape: tuple[int, int, int], limits: Budget) -> str:
        """Return why the attack, or the one beside it, rejects images of a shape; empty if they accept them."""
        check = getattr(self.attack(limits), "check", None)
        reason = check(shape) if check else None
        if reason:
            return f"it rejects such images: {reason}"
        other = self.beside._rejects(shape, limits) if self.beside else ""
        return f"{self.beside.label}: {other}" if self.beside and other else ""

    def inputs(
        self, channels: int | None = None, count: int = 4, odd: bool = False, of: Json = NO_OPTIONS, **changes: Any
    ) -> tuple[nn.Module, Examples, Budget]:
        """Return a network, images that it classifies correctly, and a budget, all accepted by the attack.

        `of` are options of the network, and `changes` fields of the budget.
        """
        limits = budget(self.norm, **changes)
        shape = self.shape(channels, odd, **changes)
        model = self.network(shape[0], of)
        batch = examples(model, shape, count, limits.targeted)
        for case in filter(None, (self, self.beside)):
            rejection = rejected_source(case.attack(limits), model, batch)
            if rejection:
                who = "it" if case is self else f"{case.label}: it"
                raise Skipped(f"{who} rejects the kit's network: {rejection}")
        return model, batch, limits

    def network(self, channels: int, of: Json = NO_OPTIONS) -> nn.Module:
        """Return the kit's usual network; a transformer, or one with a surrogate, if the attack accepts only that."""
        usual = network(channels, **of)
        check = getattr(self.attack(budget(self.norm)), "check_source", None)
        if check is None or not check(usual):
            return usual
        others = (transformer(channels, **of), WithSurrogate(usual, network(channels, seed=1, **of)))
        return next((other for other in others if not check(other)), usual)

    def uses_gradient(self) -> bool:
        """Return whether the attack runs a backward pass."""
        model, batch, limits = self.inputs()
        passes = PassCounter(model)
        self.run(model, batch, limits, passes=passes)
        return passes.backwards > 0

    def run(
        self, model: nn.Module, batch: Examples, limits: Budget, seed: int = 0, attack: Attack | None = None,
        passes: PassCounter | None = None, extra: str = "",
    ) -> list[Tensor]:  # fmt: skip
        """Run the attack and return the images [n, c, h, w] of every step, each checked against the contract."""
        try:
            with with_input(describe(batch, limits, seed, extra)):
                return list(self.live(model, batch, limits, seed, attack, passes))
        except Broken as broken:
            broken.advice = self.advice(batch) if broken.raised else ""
            raise

    def advice(self, batch: Examples) -> str:
        """Return what to do if the attack cannot run on images of this shape, but runs on others; else an empty text.

        The others are found by trying the shapes that its `check` accepts.
        """
        _, channels, height, width = batch.images.shape
        if self._runs_on((channels, height, width)):
            return ""
        works = next((shape for shape in ALL_SHAPES if self._runs_on(shape)), None)
        return f"works at {'x'.join(map(str, works))}: say so in `check`" if works else ""

    def _runs_on(self, shape: tuple[int, int, int]) -> bool:
        """Return whether the attack accepts images of this shape and raises nothing on the usual network."""
        if shape not in self.tried:
            limits, model = budget(self.norm), self.network(shape[0])
            try:
                rejected = getattr(self.attack(limits), "check", lambda _shape: None)(shape)
                self.tried[shape] = not rejected and bool(list(self.live(model, examples(model, shape), limits)))
            except Exception:
                self.tried[shape] = False
        return self.tried[shape]

    def live(
        self, model: nn.Module, batch: Examples, limits: Budget, seed: int = 0, attack: Attack | None = None,
        passes: PassCounter | None = None,
    ) -> Iterator[Tensor]:  # fmt: skip
        """Yield the images [n, c, h, w] of every step, each checked against the contract."""
        attack = self.attack(limits) if attack is None else attack
        counted, empty = passes or PassCounter(model), True
        with torch.no_grad():
            run = AttackRun(attack, model, batch, streams(batch, seed), counted, donors(attack, batch))
            for images in run.steps():
                check_images(batch.images, images, limits)
                empty = False
                yield images
        if empty:
            raise RuntimeError("the attack yielded no images")
