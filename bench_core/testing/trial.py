"""An attack on trial: built as a suite builds it, run as a worker runs it, every step held to the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..registry import Offer
from ..types import Attack, Budget, Examples, Json, Norm
from ..worker.attack_run import AttackRun
from ..worker.contracts import check_images
from ..worker.instrument import PassCounter
from .scenes import ALL_SHAPES, ODD_SHAPES, SHAPES, budget, examples, network, streams, told
from .verdicts import Unasked, with_input


@dataclass(frozen=True)
class AttackTrial:
    """An attack with its options under one norm. Raises Broken and Unasked, never what the attack raises."""

    offer: Offer
    options: Json
    norm: Norm
    kind: ClassVar[str] = "attacks"

    @property
    def name(self) -> str:
        options = "".join(f" {key}={value}" for key, value in self.options.items())
        return f"attack {self.offer.name}{options} ({self.norm})"

    def attack(self, limits: Budget) -> Attack:
        """Build the attack. Raises Unasked where it refuses the budget."""
        try:
            built: Attack = self.offer.build(limits, **self.options)
        except ValueError as error:
            raise Unasked(f"it refuses the budget: {error}") from error
        return built

    def declared(self) -> Mapping[str, str]:
        """Give the rules that the attack says it breaks, and why."""
        attack = self.attack(budget(self.norm))
        said = dict(getattr(attack, "deviations", {}))
        if getattr(attack, "global_seed", False):
            said.setdefault("batch_independence", "it draws from the global generators (global_seed = True)")
        return said

    def refuses(self) -> str | None:
        """Say why it takes no budget of this norm, if it takes none."""
        try:
            self.shape()
        except Unasked as refusal:
            return str(refusal)
        return None

    def shape(self, channels: int | None = None, odd: bool = False, **changes: Any) -> tuple[int, int, int]:
        """Give the first shape (c, h, w) that the attack does not refuse. Raises Unasked where it refuses all."""
        candidates = ODD_SHAPES if odd else SHAPES[channels] if channels else ALL_SHAPES
        check = getattr(self.attack(budget(self.norm, **changes)), "check", None)
        reasons = []
        for shape in candidates:
            reason = check(shape) if check else None
            if not reason:
                return shape
            reasons.append(reason)
        raise Unasked(f"it refuses such images: {reasons[0]}")

    def scene(
        self, channels: int | None = None, count: int = 4, odd: bool = False, inplace: bool = False, **changes: Any
    ) -> tuple[nn.Module, Examples, Budget]:
        """Make a network, images that it knows, and a budget, whichever the attack takes."""
        limits = budget(self.norm, **changes)
        shape = self.shape(channels, odd, **changes)
        model = network(shape[0], inplace=inplace)
        unfit = getattr(self.attack(limits), "check_source", lambda _model: None)(model)
        if unfit:
            raise Unasked(f"it refuses the kit's network: {unfit}")
        return model, examples(model, shape, count, limits.targeted), limits

    def run(
        self, model: nn.Module, given: Examples, limits: Budget, seed: int = 0, attack: Attack | None = None,
        passes: PassCounter | None = None, extra: str = "",
    ) -> list[Tensor]:  # fmt: skip
        """Run the attack to its end and give the images [n, c, h, w] of every step; each is held to the contract."""
        with with_input(told(given, limits, seed, extra)):
            return list(self.live(model, given, limits, seed, attack, passes))

    def live(
        self, model: nn.Module, given: Examples, limits: Budget, seed: int = 0, attack: Attack | None = None,
        passes: PassCounter | None = None,
    ) -> Iterator[Tensor]:  # fmt: skip
        """The same, step by step."""
        attack = self.attack(limits) if attack is None else attack
        counted, none = passes or PassCounter(model), True
        with torch.no_grad():
            for images in AttackRun(attack, model, given, streams(given, seed), counted).steps():
                check_images(given.images, images, limits)
                none = False
                yield images
        if none:
            raise RuntimeError("the attack gave no images")
