"""The attacks of a checkout of TransferAttack, by their names there: `recipe = "transferattack:vmifgsm"`.

The collection (github.com/Trustworthy-AI-Group/TransferAttack) is no package that can be installed: the environment
variable BENCH_TRANSFERATTACK names the folder of a checkout. Its attacks run on the suite's network, or on the members
of an ensemble, and on its device, whatever network and device their code names. The budget sets `epsilon`, `alpha`,
`epoch`, `norm`, `random_start` and `targeted`; the other parameters of an attack's constructor are its options, with
their defaults, as far as these are numbers or strings. The attacks have their own loss, not the suite's, and draw from
the global generators for a whole batch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from bench_core.errors import ContractError
from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe, Budget, Cost, Examples, Rejection, Streams

from .options import parameters
from .transferattack_index import SIDE, AttackSource, Checkout

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch

VARIABLE = "BENCH_TRANSFERATTACK"
COLLECTION = "github.com/Trustworthy-AI-Group/TransferAttack"
if not os.environ.get(VARIABLE):
    raise ImportError(f"{VARIABLE} is not set (try {VARIABLE}=DIR, a checkout of {COLLECTION})")
CHECKOUT = Checkout(Path(os.environ[VARIABLE]).expanduser().absolute())
ATTACKS = CHECKOUT.attacks
BENCH_DEPENDS_ON_FOLDERS = (CHECKOUT.package,)

NORMS = MappingProxyType({"linf": "linfty", "l2": "l2"})
SET_BY_BUDGET: Mapping[str, Callable[[Budget], Any]] = MappingProxyType(
    {
        "epsilon": lambda budget: budget.eps,
        "alpha": lambda budget: budget.step_size,
        "epoch": lambda budget: budget.steps,
        "norm": lambda budget: NORMS[budget.norm],
        "random_start": lambda budget: budget.random_start,
        "targeted": lambda budget: budget.targeted,
    }
)
FIXED = ("model_name", "model", "loss", "device", "attack")
COPIES = (
    "num_scale", "num_admix", "num_copies", "num_copy", "num_block", "num_sample", "num_spectrum", "num_style",
    "s_factor", "num_warping",
)  # fmt: skip
NEIGHBOURS = ("num_neighbor", "num_directions", "adv_steps")  # beside the image itself


@dataclass(frozen=True)
class TransferAttack:
    """An attack of the collection under a budget.

    Attributes:
        name: Its name in the collection.
        budget: The norm, eps, steps, and whether it is targeted.
        model_name: The name of the network that it receives, for attacks that know networks by name.
        options: Further arguments of its constructor.
        source: Its source.
    """

    name: str
    budget: Budget
    model_name: str
    options: Mapping[str, Any]
    source: AttackSource
    global_seed: ClassVar[bool] = True

    @property
    def cost(self) -> Cost:
        """An estimate from the options that count copies of an image; no attack of the collection declares its cost."""
        values = {
            name: value for name, value in {**self.source.parameters, **self.options}.items() if isinstance(value, int)
        }
        passes = math.prod(values.get(name, 1) for name in COPIES) * (
            1 + sum(values.get(name, 0) for name in NEIGHBOURS)
        )
        steps = self.budget.steps if "epoch" in self.source.parameters else 1
        return Cost(0, 0, steps * passes, steps * passes)

    @property
    def deviations(self) -> dict[str, str]:
        return {"cost": "the collection does not declare what its attacks cost, so this is an estimate"}

    def check(self, shape: tuple[int, int, int]) -> Rejection | None:
        """Return why the attack cannot be run, as far as its source says it without being run."""
        return self.check_source_code() or self.check_budget() or self.check_shape(shape)

    def check_source_code(self) -> Rejection | None:
        """Return why the attack can never be run on a suite's network, or None if it can."""
        missing = self.source.missing
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            return Rejection(
                "recipe",
                f"it needs {', '.join(missing)}, which {verb} not installed (try pip install {' '.join(missing)})",
            )
        if self.source.module.startswith("generation."):
            return Rejection("recipe", "it needs a generator that was trained before, not only a network to attack")
        if self.source.loads_networks:
            return Rejection("recipe", "it loads networks of its own and cannot attack the suite's")
        return None

    def check_budget(self) -> Rejection | None:
        """Return why the attack cannot keep the budget, or None if it can."""
        budget, accepted = self.budget, self.source.parameters
        if "epsilon" not in accepted:
            return Rejection("recipe", "its constructor takes no epsilon, so no budget bounds it")
        if budget.targeted and "targeted" not in accepted:
            return Rejection("recipe", "it cannot be targeted")
        if budget.norm not in NORMS or (budget.norm != "linf" and "norm" not in accepted):
            return Rejection("recipe", f'it has no such norm as the budget\'s "{budget.norm}" (try norm = "linf")')
        if budget.norm == "l2" and budget.random_start and budget.eps == 0:
            return Rejection("recipe", "its random start divides by the length of the perturbation, and eps is 0")
        return None

    def check_shape(self, shape: tuple[int, int, int]) -> Rejection | None:
        """Return why images of shape (c, h, w) cannot be attacked, as far as it is written out in the source."""
        if self.source.three_channels and shape[0] != 3:
            return Rejection("recipe", f"it takes three channels, the images have {shape[0]}")
        if self.source.fixed_side and shape[1:] != (SIDE, SIDE):
            found = f"these have {shape[1]} x {shape[2]}"
            return Rejection("recipe", f"its code is for images of {SIDE} x {SIDE} pixels, {found}")
        return None

    def check_source(self, model: Model) -> Rejection | None:
        """Return why the attack cannot be built on a network, or None if it can."""
        if self.source.module.startswith("ensemble.") and not hasattr(model, "combine"):
            return Rejection("recipe", 'it attacks an ensemble, the source is one network (try sources = [["A", "B"]])')
        if getattr(model, "combine", "") == "losses":
            return Rejection("recipe", 'it has one loss of all members, not one of each (try combine = "logits")')
        device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
        try:
            self.built(model, device)
        except Exception as error:
            reason = " ".join(str(error).split()) or "without a reason"
            hint = "" if self.model_name else ' (try model_name = "resnet50", or the name of your network)'
            return Rejection("recipe", f"{self.name} cannot be built: {type(error).__name__}: {reason}{hint}")
        return None

    def built(self, model: Model, device: torch.device) -> Any:
        """Build the attack on a network."""
        from .transferattack_run import as_on, construct

        given = {name: value(self.budget) for name, value in SET_BY_BUDGET.items() if name in self.source.parameters}
        options = {name: list(value) if isinstance(value, tuple) else value for name, value in self.options.items()}
        with as_on(device):
            return construct(self.source, model, self.model_name, {**given, **options})

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:  # noqa: ARG002
        from .transferattack_run import as_on

        images, labels = examples.images, examples.labels
        attack = self.built(model, images.device)
        given = labels.clone() if examples.targets is None else torch.stack([labels, examples.targets])
        with as_on(images.device):
            delta = attack(images.clone(), given)
        if not isinstance(delta, torch.Tensor) or delta.shape != images.shape:
            found = tuple(delta.shape) if isinstance(delta, torch.Tensor) else type(delta).__name__
            raise ContractError(f"it returned {found}, not the perturbations {tuple(images.shape)}")
        yield (images + delta.detach().to(images)).contiguous()


@dataclass(frozen=True)
class Bridge:
    """The build function of an attack. Its signature has the options that the budget does not set."""

    name: str

    @property
    def __signature__(self) -> Signature:
        listed = [option for option in ATTACKS[self.name].options if option["name"] not in {*SET_BY_BUDGET, *FIXED}]
        budget = Parameter("budget", Parameter.POSITIONAL_OR_KEYWORD)
        model_name = Parameter("model_name", Parameter.KEYWORD_ONLY, default="", annotation=str)
        return Signature([budget, model_name, *parameters(listed)])

    def __call__(self, budget: Budget, model_name: str = "", **options: Any) -> TransferAttack:
        return TransferAttack(self.name, budget, model_name, options, ATTACKS[self.name])


@hookimpl
def bench_attacks() -> Mapping[str, AttackRecipe]:
    return {
        f"transferattack:{name}": AttackRecipe(
            Bridge(name), f"{source.class_name} of TransferAttack, with its own loss."
        )
        for name, source in ATTACKS.items()
    }
