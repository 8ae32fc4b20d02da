"""Change what a network's activations and pooling layers compute, where it calls modules and where functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Gt, Le

from bench_core.types import Rejection

from .branches import branch_end, is_dense
from .members import members_of
from .taps import Layer

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench_core.types import Model

Depth = Annotated[float, Gt(0), Le(1)] | str  # a share of a network's depth, or the name of a layer

# ReLU, and its smooth form. Functions that end in an underscore overwrite their input.
ACTIVATIONS = ("relu", "relu_", "softplus")
ACTIVATION_MODULES = ("ReLU", "Softplus")

Change = Callable[..., Any]  # (compute, features, *arguments) -> the result in place of compute(features, *arguments)


class Switch:
    """Whether the network is past a layer at the moment."""

    on = False

    def turn_on(self, *_: Any) -> None:
        self.on = True

    def turn_off(self, *_: Any) -> None:
        self.on = False


@contextmanager
def past(model: Model, layer: Layer) -> Iterator[Switch]:
    """Yield a switch that is on while any member of a source computes what comes after a layer."""
    switch = Switch()
    with ExitStack() as hooks:
        for member in members_of(model):
            hooks.callback(member.register_forward_pre_hook(switch.turn_off).remove)
            hooks.callback(layer.module(member).register_forward_hook(switch.turn_on).remove)
            hooks.callback(member.register_forward_hook(switch.turn_off).remove)
        yield switch


@contextmanager
def changed_calls(changes: Mapping[str, Change]) -> Iterator[None]:
    """Replace calls of torch's functions, by their names, as long as the context is open.

    A function that overwrites its input still does so, with the changed result.
    """
    from torch.overrides import TorchFunctionMode

    class Changed(TorchFunctionMode):
        def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            arguments: dict[str, Any] = dict(kwargs or {})
            name = getattr(function, "__name__", "")
            change = changes.get(name)
            if change is None:
                return function(*args, **arguments)
            features: Tensor = args[0] if args else arguments.pop("input")
            if not arguments.pop("inplace", False) and not name.endswith("_"):
                return change(function, features, *args[1:], **arguments)
            changed = change(out_of_place(function), features.clone(), *args[1:], **arguments)
            return features.copy_(changed)

    with Changed():
        yield


def out_of_place(function: Any) -> Any:
    """Return the form of a function that does not overwrite its input."""
    if not function.__name__.endswith("_"):
        return function
    import torch

    return getattr(torch, function.__name__.rstrip("_"))


def branch_spans(model: Model) -> list[tuple[nn.Module, nn.Module]]:
    """Return the modules with which each branch begins and ends, also those beside a shortcut that is a projection."""
    spans = []
    for block in model.modules():
        end = branch_end(block)
        if end is not None:
            start = end if "branch" in block._modules else block._modules["norm1" if is_dense(block) else "conv1"]
            assert start is not None
            spans.append((start, end))
    return spans


def lacks_layer(model: Model, layer: Layer, option: str) -> Rejection | None:
    """Return why a member of a source has no such layer, with the name of the option, or None if all have one."""
    rejections = (layer.check(member) for member in members_of(model))
    found = next(filter(None, rejections), None)
    return found and Rejection(option, found.message)


def lacks_activations(model: Model, option: str) -> Rejection | None:
    """Return that a source has no activation that can be changed, or None if it has one."""
    if any(type(module).__name__ in ACTIVATION_MODULES or calls_relu(type(module)) for module in model.modules()):
        return None
    found = f"the source {type(model).__name__} has no ReLU or softplus, which it changes"
    return Rejection(option, f"{found} (try a source with modules nn.ReLU)")


def calls_relu(kind: type[nn.Module]) -> bool:
    """Return whether a module calls ReLU as a function, as the convolutions of torchvision's Inception networks do."""
    if kind.__module__.startswith("torch.nn."):
        return False
    try:
        return any(f"relu{end}(" in inspect.getsource(kind.forward) for end in ("", "_"))
    except (OSError, TypeError):  # without source code
        return False


def lacks_branches(model: Model, option: str) -> Rejection | None:
    """Return that a source has no residual branches, or None if it has some."""
    if branch_spans(model):
        return None
    found = f"the source {type(model).__name__} has no residual branches that are recognised"
    return Rejection(option, f"{found} (try a ResNet or DenseNet, or blocks with an attribute `branch`)")


def identity_gradient(features: Tensor, value: Tensor) -> Tensor:
    """Return `value`, with the gradient of `features` in its place; both have the same shape."""
    return value.detach() + (features - features.detach())
