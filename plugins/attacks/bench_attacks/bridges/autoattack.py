"""AutoAttack, with its authors' code: `recipe = "autoattack"` (Croce and Hein, 2020; arXiv:2003.01690).

It uses only the norm and eps of a budget and sets its own numbers of steps. `torchattacks:AutoAttack` is no substitute:
torchattacks 3.5 runs its attacks with 10 steps instead of 100. AutoAttack draws random numbers for a complete
micro-batch, from the seed that the host sets, so they depend on which images share a batch.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal

from bench_core.hookspecs import hookimpl
from bench_core.types import Access, AttackRecipe, Budget, Cost, Examples, Rejection, Streams

from .estimates import TARGETS, VERSIONS, autoattack_cost
from .square import check_l2_square

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch

LIBRARY = "pyautoattack"
BENCH_DEPENDS = (LIBRARY,)
NORMS = {"linf": "Linf", "l2": "L2", "l1": "L1"}
STEPS = 100  # of APGD and FAB
LEAST_CLASSES = {"apgd-dlr": 3, "apgd-t": 4}  # the DLR loss divides by a difference of the 1st and 3rd or 4th logit

if importlib.util.find_spec(LIBRARY) is None:
    raise ImportError('pyautoattack is not installed (try pip install "adversarial-bench[autoattack]")')


@dataclass(frozen=True)
class AutoAttack:
    """Several attacks in turn; each tries the images that still have their true class. The others are unchanged.

    The version `standard` is APGD on the cross-entropy, targeted APGD on the DLR loss, targeted FAB and Square. `plus`
    adds restarts and untargeted attacks, and `rand` averages gradients for randomised networks. `only` names the
    attacks to run in place of a version. With fewer than ten classes the targeted attacks try all wrong classes. The
    DLR loss needs three classes, and four if targeted. An image that no attack fools is returned unchanged.
    """

    budget: Budget
    version: Literal["standard", "plus", "rand"]
    only: tuple[str, ...]
    global_seed: ClassVar[bool] = True
    all_or_nothing: ClassVar[bool] = True
    deviations: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "cost": "its cost depends on how soon an image is fooled",
            "batching": "APGD goes back to the best images so far and evaluates them again",
        }
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The attacks that run, in order."""
        return self.only or VERSIONS[self.version]

    @property
    def access(self) -> Access:
        """The least that the attacks need of the network."""
        return "scores" if self.names == ("square",) else "gradients"

    @property
    def cost(self) -> Cost:
        """An estimate; see `estimates`."""
        return autoattack_cost(self.version, STEPS, self.only)

    def check(self, shape: tuple[int, int, int]) -> Rejection | None:
        """Return why the images or the budget cannot be used, or None if they can."""
        if self.budget.targeted:
            return Rejection("recipe", "autoattack cannot be targeted")
        if self.budget.norm not in NORMS:
            return Rejection("recipe", f"autoattack has no attacks in {self.budget.norm} (try sigma_zero)")
        in_l2 = "square" in self.names and self.budget.norm == "l2"
        return check_l2_square(shape) if in_l2 else None

    @property
    def asks_source(self) -> bool:
        """Whether `check_classes` may reject a network."""
        return not LEAST_CLASSES.keys().isdisjoint(self.names)

    def check_classes(self, classes: int) -> Rejection | None:
        """Return why a network with so few classes cannot be attacked, or None if it can."""
        needed = max(LEAST_CLASSES.get(name, 2) for name in self.names)
        if classes >= needed:
            return None
        possible = [name for name in self.names if classes >= LEAST_CLASSES.get(name, 2)]
        hint = f"(try only = {json.dumps(possible or ['apgd-ce'])})"
        return Rejection("only", f"the DLR loss needs at least {needed} classes, the network has {classes} {hint}")

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:  # noqa: ARG002
        from pyautoattack.autoattack import AutoAttack as LibraryAttack

        version = "custom" if self.only else self.version
        attack = LibraryAttack(
            model,
            attacks=list(self.only) or None,
            device=examples.images.device,
            eps=self.budget.eps,
            norm=NORMS[self.budget.norm],
            seed=torch.initial_seed() % 2**31,
            version=version,
        )
        attack.verbose = False
        with torch.no_grad():
            wrong_classes = model(examples.images[:1]).shape[-1] - 1
        for targeted in (attack.apgd_targeted, attack.fab):
            targeted.n_target_classes = min(TARGETS, wrong_classes)
        if self.only:
            attack.apgd.n_restarts = attack.fab.n_restarts = 1  # as in the standard version
        images, labels = examples.images.clone(), examples.labels.clone()
        adversarial, _ = attack.run_standard_evaluation(images, labels, batch_size=len(images))
        yield adversarial


AttackName = Literal["apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square"]


def autoattack(
    budget: Budget, version: Literal["standard", "plus", "rand"] = "standard", only: list[AttackName] | None = None
) -> AutoAttack:
    return AutoAttack(budget, version, tuple(only or ()))


@hookimpl
def bench_attacks() -> Mapping[str, AttackRecipe]:
    summary = "AutoAttack: APGD, targeted APGD, FAB and Square, one after another, each with its own loss."
    return {"autoattack": AttackRecipe(autoattack, summary, examples=({"only": ["apgd-ce"]},))}
