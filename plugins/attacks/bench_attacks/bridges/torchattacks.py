"""The attacks of torchattacks, by their names there: `recipe = "torchattacks:MIFGSM"` (Kim, 2020; arXiv:2010.01950).

The budget sets `eps`, `alpha`, `steps`, `norm` and `random_start` if the constructor has them. Its other parameters are
options, with their defaults. The attacks use the losses of the library, not the `loss` of the suite. The library draws
from the global generators, which the host seeds for each micro-batch, so its random numbers depend on which images
share a batch.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge

from bench_core.hookspecs import hookimpl
from bench_core.library_index import library_index
from bench_core.norms import perturbation_size
from bench_core.types import Access, AttackRecipe, Budget, Cost, Examples, Json, Rejection, Streams

from .estimates import BLACK_BOX, autoattack_cost, torchattacks_cost
from .options import parameters
from .square import P_INIT, check_l2_square

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch

LIBRARY = "torchattacks"
BENCH_DEPENDS = (LIBRARY,)

if importlib.util.find_spec(LIBRARY) is None:
    raise ImportError('torchattacks is not installed (try pip install "adversarial-bench[torchattacks]")')
INDEX = library_index(LIBRARY, "bench_attacks.bridges.torchattacks_index")

NORMS = {"linf": "Linf", "l2": "L2"}
SIZES = ("eps", "max_epsilon")  # the parameters that bound the perturbation
SET_BY_BUDGET: Mapping[str, Callable[[Budget], Any]] = MappingProxyType(
    {
        **dict.fromkeys(SIZES, lambda budget: budget.eps),
        **dict.fromkeys(("steps", "num_iter_set"), lambda budget: budget.steps),
        "alpha": lambda budget: budget.step_size,
        "norm": lambda budget: NORMS[budget.norm],
        "random_start": lambda budget: budget.random_start,
        "verbose": lambda _budget: False,
    }
)
ALL_OR_NOTHING = ("APGD", "APGDT", "AutoAttack", "FAB", "MultiAttack", "Square")  # of those that take an eps
THREE_CHANNELS = ("TIFGSM", "PIFGSM", "PIFGSMPP")  # their kernels have three channels
SQUARE_IMAGES = ("Pixle",)  # it takes the height for the width
TARGETED_DLR = ("APGDT", "AutoAttack")  # this loss has the first and the fourth logit
SQUARE_ATTACKS = ("Square", "AutoAttack")
SEQUENTIAL = {"batching": "the library attacks one image after the other"}
MOMENTUM = {"zero_gradient": "it divides the gradient by its mean, and a momentum of 0 / 0 stays NaN"}
KEPT = {"all_or_nothing": "an image that the library changes but does not fool is kept if it is inside the ball"}
CLIPPED = {"zero_gradient": "it clips inside the gradient, so that pixels that leave [0, 1] have none from then on"}
SUMMED = {"batch_independence": "its search stops early by the sum of the losses of a batch"}
FIRST_STEP = {
    "batch_independence": "in l2 targeted APGD takes the step size of the first image for all images of a batch"
}
DEVIATIONS: Mapping[str, Mapping[str, str]] = {  # found by `bench check torchattacks`
    **dict.fromkeys(("MIFGSM", "DIFGSM", "TIFGSM", "NIFGSM", "SINIFGSM", "VMIFGSM", "VNIFGSM", "UPGD"), MOMENTUM),
    "APGDT": FIRST_STEP,
    "AutoAttack": {**FIRST_STEP, "batching": "it calls the network until the last image of a batch is fooled"},
    "DeepFool": {**SEQUENTIAL, **KEPT},
    "EADEN": SUMMED,
    "EADL1": SUMMED,
    "EOTPGD": {"batching": "it evaluates the same images again, for networks whose outputs are random"},
    "GN": KEPT,
    "JSMA": KEPT,
    "Jitter": {"targeted": "its loss is a distance to the one-hot output, which may rise while the target falls"},
    "OnePixel": {
        **SEQUENTIAL,
        **KEPT,
        "batch_independence": "its random numbers depend on how long the search took on the images before",
    },
    "PGDRS": CLIPPED,
    "PGDRSL2": CLIPPED,
    "Pixle": SEQUENTIAL,
    "SparseFool": SEQUENTIAL,
}
SET_AT_RUN_TIME = ("n_classes", "seed")
Count = Annotated[int, Ge(1)]
COUNTS = (
    "n_restarts", "eot_iter", "n_queries", "N", "m", "max_iterations", "restarts", "nb_iter", "nb_sample",
    "max_batch_size", "batch_max", "noise_batch_size", "inf_batch", "pixels", "popsize", "len_kernel",
)  # fmt: skip
CHOICES: Mapping[tuple[str, str], Any] = MappingProxyType(  # the values in the library's source, misspelt or not
    {
        ("AutoAttack", "version"): Literal["standard", "plus", "rand"],
        ("APGD", "loss"): Literal["ce", "dlr"],
        ("UPGD", "loss"): Literal["ce", "dlr", "margin"],
        ("Square", "loss"): Literal["ce", "margin"],
        ("TIFGSM", "kernel_name"): Literal["gaussian", "linear", "uniform"],
        ("PGDRS", "noise_type"): Literal["guassian", "uniform"],
        ("PGDRSL2", "noise_type"): Literal["guassian", "uniform"],
    }
)


@dataclass(frozen=True)
class TorchattacksAttack:
    """An attack of torchattacks under a budget.

    An attack without a bound, for example a search for the smallest perturbation, fails on an image if its result is
    outside the ball. It then returns the clean image.

    Attributes:
        name: The name of the attack in torchattacks.
        budget: The norm, eps and steps.
        options: Arguments of the attack's constructor.
        described: The entry of the attack in the index, see `torchattacks_index.index`.
    """

    name: str
    budget: Budget
    options: Mapping[str, Any]
    described: Json
    global_seed: ClassVar[bool] = True

    @property
    def access(self) -> Access:
        """The least that the attack needs of the network."""
        return "scores" if self.name in BLACK_BOX else "gradients"

    @property
    def accepted(self) -> set[str]:
        """The names of the constructor's parameters."""
        return {option["name"] for option in self.described["options"]}

    @property
    def bounded(self) -> bool:
        """Whether the library bounds the perturbation by eps."""
        return not self.accepted.isdisjoint(SIZES)

    @property
    def all_or_nothing(self) -> bool:
        """Whether an image that the attack does not fool is returned unchanged."""
        return not self.bounded or self.name in ALL_OR_NOTHING

    @property
    def cost(self) -> Cost:
        """An estimate; see `estimates`."""
        if self.name == "AutoAttack":
            return autoattack_cost(self.options.get("version", "standard"), steps=10)  # the default of its attacks
        return torchattacks_cost(self.name, self.described, self.budget, self.options)

    @property
    def deviations(self) -> dict[str, str]:
        """The rules of `bench check` that the attack cannot follow, with the reasons."""
        return {
            "cost": "the library does not declare what its attacks cost, so this is an estimate",
            **({} if "random_start" in self.accepted else {"random_start": "the library's attack has none"}),
            **DEVIATIONS.get(self.name, {}),
        }

    def check(self, shape: tuple[int, int, int]) -> Rejection | None:
        """Return why the images or budget cannot be used, as far as the library documents it, or None if they can."""
        if self.name in THREE_CHANNELS and shape[0] != 3:
            return Rejection("recipe", f"{self.name} takes three channels, the images have {shape[0]}")
        if self.name in SQUARE_IMAGES and shape[1] != shape[2]:
            return Rejection("recipe", f"{self.name} takes square images, these are {shape[1]}x{shape[2]}")
        if self.name in SQUARE_ATTACKS and self.budget.norm == "l2":
            rejection = check_l2_square(shape, self.options.get("p_init", P_INIT))
            if rejection:
                return rejection
        if self.bounded and self.budget.norm == "l2" and self.budget.eps == 0:
            return Rejection("recipe", f"{self.name} divides by the length of the perturbation, and eps is 0")
        if self.bounded and self.budget.norm not in NORMS:
            return Rejection("recipe", f"{self.name} is bounded in another norm than the budget's {self.budget.norm}")
        norms = self.described["norms"]
        if self.bounded and norms and NORMS[self.budget.norm] not in norms:
            return Rejection("recipe", f"{self.name} is bounded in {norms}, the budget in {self.budget.norm}")
        if self.budget.targeted and not self.described["targeted"]:
            return Rejection("recipe", f"{self.name} cannot be targeted")
        return None

    def check_classes(self, classes: int) -> Rejection | None:
        """Return why a network with so few classes cannot be attacked, or None if it can."""
        needed, hint = self.least_classes
        if classes >= needed:
            return None
        return Rejection("recipe", f"{self.name} needs at least {needed} classes, the network has {classes} {hint}")

    @property
    def asks_source(self) -> bool:
        """Whether `check_classes` may reject a network."""
        return self.least_classes[0] > 2

    @property
    def least_classes(self) -> tuple[int, str]:
        """The number of classes that the attack needs, and what would do with fewer."""
        if self.options.get("loss") == "dlr":
            return 3, '(try loss = "ce")'
        if self.name == "AutoAttack" and self.options.get("version") == "rand":
            return 3, "(try torchattacks:APGD)"
        if self.name == "JSMA" and not self.budget.targeted:
            return 10, "(try targeted = true)"  # it aims at class (y + 1) % 10
        return (4, "(try torchattacks:APGD)") if self.name in TARGETED_DLR else (2, "")

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:  # noqa: ARG002
        arguments = {name: value(self.budget) for name, value in SET_BY_BUDGET.items() if name in self.accepted}
        if "n_classes" in self.accepted:
            with torch.no_grad():
                arguments["n_classes"] = model(examples.images[:1]).shape[-1]
        if "seed" in self.accepted:
            arguments["seed"] = torch.initial_seed() % 2**31
        options = {name: tuple(value) if isinstance(value, list) else value for name, value in self.options.items()}
        attack = getattr(importlib.import_module(LIBRARY), self.name)(model, **arguments, **options)
        labels = examples.labels
        if examples.targets is not None:
            attack.set_mode_targeted_by_label(quiet=True)
            labels = examples.targets
        adversarial: Tensor = attack(examples.images.clone(), labels.clone())
        yield adversarial if self.bounded else self.inside(adversarial, examples.images)

    def inside(self, adversarial: Tensor, clean: Tensor) -> Tensor:
        """Replace each image that is outside the ball by its clean image."""
        inside = perturbation_size(adversarial - clean, self.budget.norm) <= self.budget.eps
        return adversarial.where(inside.view(-1, 1, 1, 1), clean)


@dataclass(frozen=True)
class Bridge:
    """The build function of an attack of torchattacks. Its signature has the options that the budget does not set."""

    name: str

    @property
    def __signature__(self) -> inspect.Signature:
        fixed = {*SET_BY_BUDGET, *SET_AT_RUN_TIME}
        accepted = parameters(INDEX[self.name]["options"])
        options = [self.narrowed(option) for option in accepted if option.name not in fixed]
        return inspect.Signature([inspect.Parameter("budget", inspect.Parameter.POSITIONAL_OR_KEYWORD), *options])

    def narrowed(self, option: inspect.Parameter) -> inspect.Parameter:
        """Return an option with its bounds or choices, which the library checks too late or never."""
        annotation = Count if option.name in COUNTS else option.annotation
        return option.replace(annotation=CHOICES.get((self.name, option.name), annotation))

    def __call__(self, budget: Budget, **options: Any) -> TorchattacksAttack:
        return TorchattacksAttack(self.name, budget, options, INDEX[self.name])


@hookimpl
def bench_attacks() -> Mapping[str, AttackRecipe]:
    return {
        f"{LIBRARY}:{name}": AttackRecipe(Bridge(name), f"{name} of torchattacks, with its own loss.") for name in INDEX
    }
