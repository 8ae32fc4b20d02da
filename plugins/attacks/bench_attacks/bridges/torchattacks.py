"""Every attack of torchattacks, by its name there: `recipe = "torchattacks:MIFGSM"` (Kim, 2020; arXiv:2010.01950).

The budget gives its constructor `eps`, `alpha`, `steps`, `norm` and `random_start`, whichever it has; all else are
options, with their defaults; the losses are the library's, whatever the suite's `loss`. It draws from the global
generators, which the host seeds anew for each micro-batch: its draws, unlike those of bench's own attacks, depend on
which images are together.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge

from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe, Budget, Examples, Streams

from .sources import Description, describe, reexported

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch

LIBRARY = "torchattacks"
BENCH_DEPENDS = (LIBRARY,)

found = importlib.util.find_spec(LIBRARY)
if found is None or found.origin is None:
    raise ImportError('torchattacks is not installed (would do: pip install "adversarial-bench[torchattacks]")')
FILES = reexported(Path(found.origin).parent, "attacks")

NORMS = {"linf": "Linf", "l2": "L2"}
SIZES = ("eps", "max_epsilon")
GIVEN: Mapping[str, Callable[[Budget], Any]] = MappingProxyType(
    {
        **dict.fromkeys(SIZES, lambda budget: budget.eps),
        **dict.fromkeys(("steps", "num_iter_set"), lambda budget: budget.steps),
        "alpha": lambda budget: budget.step_size,
        "norm": lambda budget: NORMS[budget.norm],
        "random_start": lambda budget: budget.random_start,
        "verbose": lambda _budget: False,
    }
)
THREE_CHANNELS = ("TIFGSM", "PIFGSM", "PIFGSMPP")  # their kernels are made for them
ALONE = {"batching": "the library attacks one image after the other"}
ODD: Mapping[str, Mapping[str, str]] = {  # found by `bench check torchattacks`
    "DeepFool": ALONE,
    "SparseFool": ALONE,
    "EOTPGD": {"batching": "it asks about the same images again, for networks whose answers are random"},
    "Jitter": {"targeted": "its loss is a distance to the one-hot answer, which may rise while the target falls"},
}
GIVEN_LATER = ("model", "n_classes", "seed")
Count = Annotated[int, Ge(1)]
COUNTS = (
    "n_restarts", "eot_iter", "n_queries", "N", "m", "max_iterations", "restarts", "nb_iter", "nb_sample",
    "max_batch_size", "batch_max", "noise_batch_size", "inf_batch", "pixels", "popsize", "len_kernel",
)  # fmt: skip
CHOICES: Mapping[tuple[str, str], Any] = MappingProxyType(  # those that its source compares with
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
class Foreign:
    """An attack of torchattacks under a budget.

    One that is bounded by no eps (a search for the smallest perturbation, say) has failed on an image where it ends
    outside the ball: that image comes back as it was.
    """

    name: str
    budget: Budget
    options: Mapping[str, Any]
    described: Description
    global_seed: ClassVar[bool] = True

    @property
    def takes(self) -> set[str]:
        return {each.name for each in self.described.parameters}

    @property
    def bounded(self) -> bool:
        return not self.takes.isdisjoint(SIZES)

    @property
    def deviations(self) -> dict[str, str]:
        """What the library's attacks are not made to keep."""
        search = "a search, or noise, whose image comes back as it was where it would leave the ball"
        return {
            "batch_independence": "the library draws for the whole batch",
            "cost": "the library does not say what its attacks cost",
            **({} if "random_start" in self.takes else {"random_start": "the library's attack has none"}),
            **({} if self.bounded else dict.fromkeys(("first_step", "ascent", "targeted"), search)),
            **ODD.get(self.name, {}),
        }

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Say why images or a budget will not do, as far as the library's source tells."""
        if self.name in THREE_CHANNELS and shape[0] != 3:
            return f"recipe: {self.name} takes three channels, the images have {shape[0]}"
        if self.bounded and self.budget.norm == "l2" and self.budget.eps == 0:
            return f"recipe: {self.name} divides by the length of the perturbation, and the budget's eps is 0"
        measures = re.search(r"Distance Measure : (.*)", self.described.doc)
        if self.bounded and measures and NORMS[self.budget.norm] not in measures.group(1):
            return f"recipe: {self.name} is bounded in {measures.group(1).strip()}, the budget in {self.budget.norm}"
        modes = re.search(r"supported_mode = (.*)", self.described.text)
        if self.budget.targeted and modes and "targeted" not in modes.group(1):
            return f"recipe: {self.name} cannot be targeted"
        return None

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:  # noqa: ARG002
        from .contiguous import Contiguous

        given = {name: value(self.budget) for name, value in GIVEN.items() if name in self.takes}
        if "n_classes" in self.takes:
            with torch.no_grad():
                given["n_classes"] = model(examples.images[:1]).shape[-1]
        if "seed" in self.takes:
            given["seed"] = torch.initial_seed() % 2**31
        options = {name: tuple(value) if isinstance(value, list) else value for name, value in self.options.items()}
        attack = getattr(importlib.import_module(LIBRARY), self.name)(Contiguous(model), **given, **options)
        aims = examples.labels
        if examples.targets is not None:
            attack.set_mode_targeted_by_label(quiet=True)
            aims = examples.targets
        reached: Tensor = attack(examples.images.clone(), aims.clone())
        yield reached if self.bounded else self.within(reached, examples.images)

    def within(self, reached: Tensor, clean: Tensor) -> Tensor:
        delta = (reached - clean).flatten(1)
        size = delta.abs().amax(1) if self.budget.norm == "linf" else delta.norm(dim=1)
        return reached.where((size <= self.budget.eps).view(-1, 1, 1, 1), clean)


@dataclass(frozen=True)
class Bridge:
    """Builds an attack of torchattacks; its source is read when somebody asks what it takes."""

    name: str

    @property
    def described(self) -> Description:
        return describe(FILES[self.name], self.name)

    @property
    def __signature__(self) -> inspect.Signature:
        host = {*GIVEN, *GIVEN_LATER}
        options = [self.narrowed(each) for each in self.described.parameters if each.name not in host]
        return inspect.Signature([inspect.Parameter("budget", inspect.Parameter.POSITIONAL_OR_KEYWORD), *options])

    def narrowed(self, option: inspect.Parameter) -> inspect.Parameter:
        """Say which values of an option will do where its type says too little."""
        usual = Count if option.name in COUNTS else option.annotation
        return option.replace(annotation=CHOICES.get((self.name, option.name), usual))

    def __call__(self, budget: Budget, **options: Any) -> Foreign:
        return Foreign(self.name, budget, options, self.described)


@hookimpl
def bench_attacks() -> Mapping[str, AttackRecipe]:
    return {
        f"{LIBRARY}:{name}": AttackRecipe(Bridge(name), f"{name} of torchattacks, with its own loss.") for name in FILES
    }
