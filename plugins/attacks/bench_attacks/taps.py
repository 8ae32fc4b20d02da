"""Find an inner layer of a network by its name or by its depth, from the structure of the network.

A network is unrolled into its *units* in the order of execution: the blocks of ResNets, DenseNets, Inception networks,
MobileNets and transformers, and in plain stacks each convolution with the normalisation and activation after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench_core.types import Rejection

from .branches import branch_end

if TYPE_CHECKING:
    import torch
    from torch import nn

    from bench_core.types import Model
else:
    from bench_core.lazy import torch

TRUNK = 0.5  # a module with more than this share of the parameters holds the network's blocks, and is no block itself
AFTER_CONVOLUTION = ("Norm", "ReLU", "Hardswish", "SiLU", "GELU", "Softplus", "Tanh", "Activation")


@dataclass(frozen=True)
class Layer:
    """The layer of a name, such as "layer2" or "layer2.3", or the last one within a share of the depth in (0, 1]."""

    layer: str | float

    def check(self, model: Model) -> Rejection | None:
        """Return why a network has no such layer, or None if it has one."""
        return rejected(self.module, model)

    def module(self, model: Model) -> nn.Module:
        """Return the module whose output are the features. Raises ValueError if there is none."""
        if isinstance(self.layer, str):
            return named(model, self.layer)
        found = units(model)
        if not found:
            raise ValueError(f"layer: {type(model).__name__} has no layers that are recognised (try a layer's name)")
        return found[max(1, math.ceil(self.layer * len(found) - 1e-9)) - 1]


@dataclass(frozen=True)
class HeadInput:
    """The input of the last fully connected layer, from which the logits are computed."""

    of_input: ClassVar[bool] = True

    def check(self, model: Model) -> Rejection | None:
        """Return why a network has no such layer, or None if it has one."""
        return rejected(self.module, model)

    def module(self, model: Model) -> nn.Module:
        """Return the layer. Raises ValueError if there is none."""
        layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
        if not layers:
            raise ValueError(f'calibration: {type(model).__name__} has no fully connected layer (try "margin")')
        return layers[-1]


def rejected(module: Callable[[Model], nn.Module], model: Model) -> Rejection | None:
    """Return the reason for which `module` raises ValueError on a network, or None if it does not."""
    try:
        module(model)
    except ValueError as error:
        return Rejection.of(str(error))
    return None


def named(model: Model, name: str) -> nn.Module:
    """Return the module of a name, or the only one whose name ends with it. Raises ValueError if there is none."""
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if name in modules:
        return modules[name]
    ends = [path for path in modules if path.endswith(f".{name}")]
    if len(ends) == 1:
        return modules[ends[0]]
    known = [path for path in modules if path and path.count(".") < 2][:12]
    found = "several layers end" if ends else "no layer ends"
    raise ValueError(f'layer: {found} with "{name}" (try a share such as 0.5, or one of {", ".join(known)})')


def units(model: Model) -> list[nn.Module]:
    """Return the modules whose outputs are the features after each block of a network, in the order of execution."""
    whole = sum(parameter.numel() for parameter in model.parameters())
    uses: dict[int, int] = {}
    for _, module in model.named_modules(remove_duplicate=False):
        uses[id(module)] = uses.get(id(module), 0) + 1
    found: list[nn.Module] = []
    open_end = False  # whether the last unit is a convolution that its normalisation and activation may follow
    for module in unrolled(model, whole):
        if open_end and any(word in type(module).__name__ for word in AFTER_CONVOLUTION):
            if uses[id(module)] == 1:
                found[-1] = module
        elif is_unit(module):
            found.append(module)
            open_end = isinstance(module, torch.nn.Conv2d)
        else:
            open_end = False
    return found


def unrolled(module: nn.Module, whole: int) -> Iterator[nn.Module]:
    """Yield the modules that are executed one after another: of sequences, and of what holds most of the network."""
    own = sum(parameter.numel() for parameter in module.parameters())
    sequence = isinstance(module, torch.nn.Sequential)
    if branch_end(module) is None and module._modules and (sequence or own > TRUNK * whole):
        for child in module.children():
            yield from unrolled(child, whole)
    else:
        yield module


def is_unit(module: nn.Module) -> bool:
    """Return whether a module computes features from features: a convolution, or a block that has one or attention."""
    if type(module).__name__.startswith(("Aux", "InceptionAux")):
        return False
    inner = list(module.modules())
    if any(isinstance(part, torch.nn.Conv2d) for part in inner):
        return True
    return sum(isinstance(part, torch.nn.Linear) for part in inner) > 1 and not isinstance(module, torch.nn.Linear)
