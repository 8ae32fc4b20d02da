"""Attacks of foolbox, by their names in foolbox: `recipe = "foolbox:L2DeepFoolAttack"` (Rauber et al., 2020).

The bridge offers DDN, the attacks whose names begin with L-inf, L2, L1 or L0, and BoundaryAttack and HopSkipJumpAttack,
which ask for the predicted class only. It leaves out Brendel and Bethge's: that attack searches for adversarial
starting points with noise, and stops without an error at the first batch with an image that noise does not fool. The
budget sets the number of steps, the step size and the random start if the constructor has them; foolbox clips the
result to the ball of eps. It cannot in L0, where a result outside the ball does not count, and where it minimises the
number of values that change: of an image with channels, no fewer than the pixels that a budget counts. The attacks use
the losses of the library, not the `loss` of the suite. They draw from the global generators, which the host seeds for
each micro-batch.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from bench_core.hookspecs import hookimpl
from bench_core.library_index import library_index
from bench_core.norms import perturbation_size
from bench_core.types import Access, AttackRecipe, Budget, Cost, Examples, Json, Norm, Rejection, Streams

from .estimates import foolbox_cost, once
from .options import parameters

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch

LIBRARY = "foolbox"
BENCH_DEPENDS = (LIBRARY,)

if importlib.util.find_spec(LIBRARY) is None:
    raise ImportError('foolbox is not installed (try pip install "adversarial-bench[foolbox]")')
NORMS: Mapping[Norm, tuple[str, ...]] = {  # the beginnings of the attacks' names
    "linf": ("Linf", "LInf"), "l2": ("L2", "DDN"), "l1": ("L1", "SparseL1"), "l0": ("L0",),
}  # fmt: skip
BY_LABELS: Mapping[str, tuple[Norm, ...]] = {"BoundaryAttack": ("l2",), "HopSkipJumpAttack": ("l2", "linf")}
NO_GRADIENT = (*BY_LABELS, "Noise", "Contrast")  # in the names of attacks that only ask whether the network is fooled
UNTARGETED = ("FastGradientAttack", "DeepFoolAttack")  # the ends of names of attacks that reject or ignore a target
INDEX = {
    name: described
    for name, described in library_index(LIBRARY, "bench_attacks.bridges.foolbox_index").items()
    if name in BY_LABELS or (name.startswith(sum(NORMS.values(), ())) and "BrendelBethge" not in name)
}
SET_BY_BUDGET: Mapping[str, Callable[[Budget], Any]] = MappingProxyType(
    {
        "steps": lambda budget: budget.steps,
        "abs_stepsize": lambda budget: budget.step_size,
        "random_start": lambda budget: budget.random_start,
    }
)
NOT_OPTIONS = {*SET_BY_BUDGET, "rel_stepsize"}


@dataclass(frozen=True)
class FoolboxAttack:
    """An attack of foolbox under a budget.

    A search for the smallest perturbation fails on an image if its result, clipped to the ball, does not fool the
    network. It then returns the clean image.

    Attributes:
        name: The name of the attack in foolbox.
        budget: The norm, eps and steps.
        options: Arguments of the attack's constructor.
        described: The entry of the attack in the index, see `foolbox_index.index`.
    """

    name: str
    budget: Budget
    options: Mapping[str, Any]
    described: Json
    global_seed: ClassVar[bool] = True

    @property
    def access(self) -> Access:
        """The least that the attack needs of the network."""
        return "labels" if any(part in self.name for part in NO_GRADIENT) else "gradients"

    @property
    def searches(self) -> bool:
        """Whether the attack searches for the smallest perturbation."""
        return bool(self.described["searches"])

    @property
    def all_or_nothing(self) -> bool:
        """Whether an image that the attack does not fool is returned unchanged."""
        return self.searches or "Repeated" in self.name

    @property
    def cost(self) -> Cost:
        """An estimate; see `estimates`."""
        if self.name in BY_LABELS and self.budget.queries is not None:
            return once(self.budget.queries, 0)
        return foolbox_cost(self.name, self.described, self.budget, self.options)

    @property
    def deviations(self) -> dict[str, str]:
        """The rules of `bench check` that the attack cannot follow, with the reasons."""
        repeats = {"batching": "a search evaluates the same images again"}
        return {
            "cost": "the library does not declare what its attacks cost, so this is an estimate",
            **(repeats if self.searches or "Repeated" in self.name else {}),
        }

    def check(self, _shape: tuple[int, int, int]) -> Rejection | None:
        """Return why the budget cannot be used, or None if it can."""
        norm, norms = self.budget.norm, norms_of(self.name)
        if norm not in norms:
            found = f"{self.name} is bounded in {' or '.join(norms)}, the budget in {norm}"
            return Rejection("recipe", found)
        if self.budget.targeted and self.name.endswith(UNTARGETED):
            return Rejection("recipe", f"{self.name} cannot be targeted")
        if "ClippingAware" in self.name and self.budget.eps == 0:
            return Rejection("recipe", f"{self.name} divides by the length of its noise, and eps is 0")
        return None

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:  # noqa: ARG002
        library = importlib.import_module(LIBRARY)
        accepted = {option["name"] for option in self.described["options"]}
        from_budget = {name: value(self.budget) for name, value in SET_BY_BUDGET.items() if name in accepted}
        if self.name == "HopSkipJumpAttack":
            from_budget["constraint"] = self.budget.norm
        attack = getattr(library.attacks, self.name)(**from_budget, **self.options)
        wrapped = library.PyTorchModel(model, bounds=(0, 1), device=examples.images.device)
        criterion = library.criteria.Misclassification(examples.labels.clone())
        if examples.targets is not None:
            criterion = library.criteria.TargetedMisclassification(examples.targets.clone())
        try:
            bound = None if self.budget.norm == "l0" else self.budget.eps
            _, clipped, fooled = attack(wrapped, examples.images.clone(), criterion, epsilons=bound)
        except ValueError as error:
            if "init_attack failed" not in str(error):
                raise
            clipped, fooled = examples.images, torch.zeros_like(examples.labels, dtype=torch.bool)
        if self.budget.norm == "l0":
            fooled = fooled & (perturbation_size(clipped - examples.images, "l0") <= self.budget.eps)
        if self.searches:
            clipped = clipped.where(fooled.view(-1, 1, 1, 1), examples.images)
        yield clipped.detach()


def norms_of(name: str) -> tuple[Norm, ...]:
    """Return the norms of the balls in which an attack can search."""
    return BY_LABELS.get(name) or tuple(norm for norm, begins in NORMS.items() if name.startswith(begins))


@dataclass(frozen=True)
class Bridge:
    """The build function of an attack of foolbox. Its signature has the options that the budget does not set."""

    name: str

    @property
    def __signature__(self) -> inspect.Signature:
        accepted = parameters(INDEX[self.name]["options"])
        options = [option for option in accepted if option.name not in NOT_OPTIONS]
        return inspect.Signature([inspect.Parameter("budget", inspect.Parameter.POSITIONAL_OR_KEYWORD), *options])

    def __call__(self, budget: Budget, **options: Any) -> FoolboxAttack:
        return FoolboxAttack(self.name, budget, options, INDEX[self.name])


@hookimpl
def bench_attacks() -> Mapping[str, AttackRecipe]:
    return {
        f"{LIBRARY}:{name}": AttackRecipe(Bridge(name), f"{name} of foolbox, with its own loss.", norms=norms_of(name))
        for name in INDEX
    }
