"""Which attacks of adversarial-library the bridge offers, and how a budget becomes their arguments."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bench_core.types import Budget

if TYPE_CHECKING:
    from bench_core.types import Norm

Values = Mapping[str, Any]
ORDERS: Mapping[str, float] = MappingProxyType({"linf": math.inf, "l2": 2, "l1": 1, "l0": 0})
CLASSES = 10  # that an estimate of passes assumes where an attack differentiates all of them
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Described:
    """A search of the library for the smallest perturbation.

    Attributes:
        norms: The norms that it minimises.
        steps: The argument for the number of steps.
        norm: The argument for the norm; "" for an attack of a single norm.
        norm_of: The value of that argument for each norm.
        module: The module with its function.
        can_target: Whether it can aim at a class.
        fixed: Arguments that the bridge sets.
        least_steps: The fewest steps with which it runs; fewer become so many.
        least_classes: The fewest classes of a network that it can attack.
        passes: (options) -> the forwards and backwards of a step, an estimate.
        deviations: Rules of `bench check` that it does not keep, and why.
    """

    norms: tuple[Norm, ...]
    steps: str
    norm: str = ""
    norm_of: Mapping[str, Any] = field(default_factory=lambda: ORDERS)
    module: str = "adv_lib.attacks"
    can_target: bool = True
    fixed: Values = field(default_factory=lambda: NOTHING)
    least_steps: int = 1
    least_classes: int = 2
    passes: Callable[[Values], tuple[float, float]] = lambda _options: (1, 1)
    deviations: Mapping[str, str] = field(default_factory=lambda: NOTHING)

    @property
    def set_here(self) -> set[str]:
        """The arguments that are no options."""
        return {self.steps, self.norm, *self.fixed}

    def arguments(self, budget: Budget) -> dict[str, Any]:
        """Return the arguments that a budget sets, and those that the bridge sets."""
        norm = {self.norm: self.norm_of[budget.norm]} if self.norm else {}
        return {self.steps: max(budget.steps, self.least_steps), **norm, **self.fixed}


ALL: tuple[Norm, ...] = ("l2", "linf", "l1", "l0")
SUMMED = MappingProxyType({"batch_independence": "it stops early by the sum of the losses of a batch"})
KEPT = MappingProxyType({"all_or_nothing": "it returns an image that it changed and does not fool"})
ROUNDED = MappingProxyType({"batch_independence": "its searches on a line amplify the rounding of smaller batches"})
ATTACKS: Mapping[str, Described] = MappingProxyType(
    {
        "alma": Described(
            ("l2", "l1"), "num_steps", norm="distance", norm_of={"l2": "l2", "l1": "l1"}, least_classes=3
        ),
        "carlini_wagner_l2": Described(
            ("l2",), "max_iterations", least_steps=10, passes=lambda options: (options["binary_search_steps"],) * 2,
            deviations=SUMMED,
        ),
        "carlini_wagner_linf": Described(
            ("linf",), "max_iterations", deviations=SUMMED,
            passes=lambda options: (
                math.log(options["largest_const"] / options["initial_const"], options["const_factor"]),
            ) * 2,
        ),
        "ddn": Described(("l2",), "steps", fixed={"levels": None}),
        "df": Described(
            ("l2", "linf"), "steps", norm="norm", can_target=False,
            fixed={"return_unsuccessful": False, "return_targets": False}, passes=lambda _options: (1, CLASSES - 1),
        ),
        "fab": Described(
            ("linf", "l2", "l1"), "n_iter", norm="norm", can_target=False, fixed={"targeted_restarts": False},
            passes=lambda _options: (2, CLASSES - 1),
        ),
        "fmn": Described(ALL, "steps", norm="norm", fixed={"binary_search_steps": 10}),
        "pdgd": Described(("l2",), "num_steps", least_steps=2),
        "pdpgd": Described(ALL, "num_steps", norm="norm", least_steps=2),
        "sdf": Described(
            ("l2",), "steps", can_target=False, passes=lambda options: (2 + options["search_iter"], CLASSES),
            deviations=ROUNDED,
        ),
        "sigma_zero": Described(("l0",), "num_steps", module="adv_lib.attacks.sigma_zero"),
        "tr": Described(
            ("l2", "linf"), "iter", norm="p", can_target=False, passes=lambda options: (2, options["c"] + 1),
            deviations=KEPT,
        ),
    }
)  # fmt: skip


def load(name: str) -> Any:
    """Return the function of an attack of the library.

    Its modules import visdom, which draws the progress of attacks. Where visdom is missing they get an empty module in
    its place, which nothing that the bridge calls uses.
    """
    module = ATTACKS[name].module
    missing = "visdom" not in sys.modules and importlib.util.find_spec("visdom") is None
    if missing:
        sys.modules["visdom"] = types.ModuleType("visdom")
    try:
        importlib.import_module(module)
        return getattr(sys.modules[module], name)
    finally:
        if missing:
            del sys.modules["visdom"]
