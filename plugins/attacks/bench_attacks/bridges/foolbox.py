"""Attacks of foolbox, by their name there: `recipe = "foolbox:L2DeepFoolAttack"` (Rauber et al., 2020).

Offered are those whose name begins with a norm that budgets have, and DDN, less Brendel and Bethge's: it wants starting
points that fool, looks for them with noise, and stops without a word at the first batch with an image that noise does
not fool. The budget gives their constructors `steps`, the step size and the random start, whichever they take, and eps
bounds what comes back, which foolbox cuts off at the ball; the losses are the library's, whatever the suite's `loss`.
They draw from the global generators, which the host seeds anew for each micro-batch.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe, Budget, Examples, Streams

from .sources import TYPES, aliases, reexported

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Model

LIBRARY = "foolbox"
BENCH_DEPENDS = (LIBRARY,)

found = importlib.util.find_spec(LIBRARY)
if found is None or found.origin is None:
    raise ImportError('foolbox is not installed (would do: pip install "adversarial-bench[foolbox]")')
ATTACKS = Path(found.origin).parent / "attacks"
NORMS = {"linf": ("Linf", "LInf"), "l2": ("L2", "DDN")}  # how names begin
UNTARGETED = ("FastGradientAttack", "DeepFoolAttack")  # refuse a target, or go to the nearest classes whatever it is
NAMES = [
    name
    for name in (*reexported(ATTACKS, ""), *aliases(ATTACKS))
    if name.startswith(sum(NORMS.values(), ())) and "BrendelBethge" not in name
]
GIVEN: Mapping[str, Callable[[Budget], Any]] = MappingProxyType(
    {
        "steps": lambda budget: budget.steps,
        "abs_stepsize": lambda budget: budget.step_size,
        "random_start": lambda budget: budget.random_start,
    }
)
OURS = {*GIVEN, "rel_stepsize"}
SIMPLE = {*TYPES.values(), *(kind | None for kind in TYPES.values())}


@dataclass(frozen=True)
class Foreign:
    """An attack of foolbox under a budget.

    One that searches for the smallest perturbation has failed where what is left of it inside the ball does not fool:
    that image comes back as it was.
    """

    name: str
    budget: Budget
    options: Mapping[str, Any]
    takes: frozenset[str]
    global_seed: ClassVar[bool] = True

    @property
    def searches(self) -> bool:
        attacks = importlib.import_module(f"{LIBRARY}.attacks")
        return issubclass(getattr(attacks, self.name), attacks.base.MinimizationAttack)

    @property
    def deviations(self) -> dict[str, str]:
        """What the library's attacks are not made to keep."""
        search = self.searches or "Repeated" in self.name
        odd = {
            **dict.fromkeys(
                ("first_step", "ascent", "targeted"), "a search gives back what it does not fool as it was"
            ),
            "random_start": "a search has no random start",
            "batching": "a search asks about the same images again",
        }
        return {
            "batch_independence": "the library draws for the whole batch",
            "cost": "the library does not say what its attacks cost",
            **(odd if search else {}),
        }

    def check(self, _shape: tuple[int, int, int]) -> str | None:
        """Say why a budget will not do."""
        if not self.name.startswith(NORMS[self.budget.norm]):
            return f"recipe: {self.name} is bounded in another norm than the budget, which is in {self.budget.norm}"
        if self.budget.targeted and self.name.endswith(UNTARGETED):
            return f"recipe: {self.name} cannot be targeted"
        return None

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:  # noqa: ARG002
        from .contiguous import Contiguous

        library = importlib.import_module(LIBRARY)
        given = {name: value(self.budget) for name, value in GIVEN.items() if name in self.takes}
        attack = getattr(library.attacks, self.name)(**given, **self.options)
        wrapped = library.PyTorchModel(Contiguous(model), bounds=(0, 1), device=examples.images.device)
        aim = library.criteria.Misclassification(examples.labels.clone())
        if examples.targets is not None:
            aim = library.criteria.TargetedMisclassification(examples.targets.clone())
        _, within, fooled = attack(wrapped, examples.images.clone(), aim, epsilons=self.budget.eps)
        if self.searches:
            within = within.where(fooled.view(-1, 1, 1, 1), examples.images)
        yield within.detach()


@dataclass(frozen=True)
class Bridge:
    """Builds an attack of foolbox; the library, which brings no torch, is imported when somebody asks what it takes."""

    name: str

    @property
    def parameters(self) -> list[inspect.Parameter]:
        made = getattr(importlib.import_module(f"{LIBRARY}.attacks"), self.name).__init__
        types = typing.get_type_hints(made)
        return [
            inspect.Parameter(each.name, each.KEYWORD_ONLY, default=each.default, annotation=types.get(each.name))
            for each in inspect.signature(made).parameters.values()
            if each.name != "self" and types.get(each.name) in SIMPLE
        ]

    @property
    def __signature__(self) -> inspect.Signature:
        options = [each for each in self.parameters if each.name not in OURS]
        return inspect.Signature([inspect.Parameter("budget", inspect.Parameter.POSITIONAL_OR_KEYWORD), *options])

    def __call__(self, budget: Budget, **options: Any) -> Foreign:
        return Foreign(self.name, budget, options, frozenset(each.name for each in self.parameters))


@hookimpl
def bench_attacks() -> Mapping[str, AttackRecipe]:
    return {f"{LIBRARY}:{name}": AttackRecipe(Bridge(name), f"{name} of foolbox, with its own loss.") for name in NAMES}
