"""The attacks of adversarial-library, by their names there: `recipe = "adv_lib:fmn"` (Rony and Ben Ayed).

The bridge offers its searches for the smallest perturbation in L-inf, L2, L1 and L0. The budget sets the norm and the
number of steps, and eps is the largest distance that counts. The other numbers, booleans and texts of an attack's
function are options with its defaults, Greek letters spelt out, such as `gamma`. DDN does not round to grey levels
here: a suite's `quantise` does. The attacks use the losses of the library, not the `loss` of the suite, and draw from
the global generators, which the host seeds for each micro-batch.

The package cannot be an extra: it depends on visdom, which does not build with today's setuptools, and which only the
plots of its attacks need.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench_core.hookspecs import hookimpl
from bench_core.library_index import library_index
from bench_core.norms import perturbation_size
from bench_core.types import AttackRecipe, Budget, Cost, Examples, Json, Rejection, Streams

from .adv_lib_attacks import ATTACKS, Described, load
from .options import parameters

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Model

LIBRARY = "adv_lib"
BENCH_DEPENDS = ("adv-lib",)

if importlib.util.find_spec(LIBRARY) is None:
    raise ImportError("adversarial-library is not installed (try pip install --no-deps adv-lib)")
INDEX = library_index("adv-lib", "bench_attacks.bridges.adv_lib_index")


@dataclass(frozen=True)
class AdvLibAttack:
    """An attack of adversarial-library under a budget.

    A search for the smallest perturbation fails on an image if its result is outside the ball. It then returns the
    clean image.

    Attributes:
        name: The name of the attack in the library.
        budget: The norm, eps and steps.
        options: Arguments of the attack, under the names of its options here.
        described: The entry of the attack in the index, see `adv_lib_index.index`.
    """

    name: str
    budget: Budget
    options: Mapping[str, Any]
    described: Json
    global_seed: ClassVar[bool] = True
    all_or_nothing: ClassVar[bool] = True

    @property
    def attack(self) -> Described:
        return ATTACKS[self.name]

    @property
    def cost(self) -> Cost:
        """An estimate, for an image that is fooled late; see `Described.passes`."""
        values = {option["name"]: option.get("default") for option in self.described["options"]} | dict(self.options)
        forwards, backwards = self.attack.passes(values)
        return Cost(0, 0, self.budget.steps * forwards, self.budget.steps * backwards)

    @property
    def deviations(self) -> dict[str, str]:
        """The rules of `bench check` that the attack cannot follow, with the reasons."""
        return {
            "cost": "the library does not declare what its attacks cost, so this is an estimate",
            "batching": "searches stop early, image by image or for a whole batch",
            "random_start": "a search starts at the image",
            **self.attack.deviations,
        }

    def check(self, _shape: tuple[int, int, int]) -> Rejection | None:
        """Return why the budget cannot be used, or None if it can."""
        norms = self.attack.norms
        if self.budget.norm not in norms:
            found = f"{self.name} of adversarial-library minimises {' or '.join(norms)}"
            return Rejection("recipe", f"{found}, the budget is in {self.budget.norm}")
        if self.budget.targeted and not self.attack.can_target:
            return Rejection("recipe", f"{self.name} cannot be targeted")
        return None

    def check_classes(self, classes: int) -> Rejection | None:
        """Return why a network with so few classes cannot be attacked, or None if it can."""
        least = self.attack.least_classes
        found = f"{self.name} needs at least {least} classes, the network has {classes} (try adv_lib:fmn)"
        return None if classes >= least else Rejection("recipe", found)

    @property
    def asks_source(self) -> bool:
        """Whether `check_classes` may reject a network."""
        return self.attack.least_classes > 2

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:  # noqa: ARG002
        arguments = {self.described["arguments"][name]: value for name, value in self.options.items()}
        aimed = examples.targets is not None
        classes = (examples.targets if examples.targets is not None else examples.labels).clone()
        given = {**arguments, **self.attack.arguments(self.budget), "targeted": aimed}
        images = load(self.name)(model, examples.images.clone(), classes, **given).detach()
        inside = perturbation_size(images - examples.images, self.budget.norm) <= self.budget.eps
        yield images.where(inside.view(-1, 1, 1, 1), examples.images)


@dataclass(frozen=True)
class Bridge:
    """The build function of an attack. Its signature has the options that the budget does not set."""

    name: str

    @property
    def __signature__(self) -> inspect.Signature:
        options = parameters(INDEX[self.name]["options"])
        return inspect.Signature([inspect.Parameter("budget", inspect.Parameter.POSITIONAL_OR_KEYWORD), *options])

    def __call__(self, budget: Budget, **options: Any) -> AdvLibAttack:
        return AdvLibAttack(self.name, budget, options, INDEX[self.name])


@hookimpl
def bench_attacks() -> Mapping[str, AttackRecipe]:
    return {
        f"{LIBRARY}:{name}": AttackRecipe(
            Bridge(name), f"{name} of adversarial-library, with its own loss.", norms=ATTACKS[name].norms
        )
        for name in INDEX
    }
