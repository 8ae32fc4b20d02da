"""Makes ReLUs cheaper: moves them behind the max pooling that follows, and lets them overwrite their input."""

from __future__ import annotations

import operator
from collections import defaultdict
from itertools import pairwise

import torch
from torch import fx, nn

from .folding import Affine, LayerTracer

# Their output may be overwritten: it shares no memory with their input, and their backward pass does not need it.
SAFE_MODULES = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, Affine, nn.MaxPool2d)
SAFE_FUNCTIONS = (operator.add, operator.iadd, torch.add, torch.cat)


def pool_before_activation(network: nn.Module) -> nn.Module:
    """Swap each ReLU with the max pooling after it. The result is the same, but the ReLU gets fewer values.

    Only `nn.Sequential` is changed, in place, because the order of its modules defines what it computes. The ReLU may
    be the last module of a nested `nn.Sequential`.
    """
    for module in [module for module in network.modules() if type(module) is nn.Sequential]:
        for (first_name, first), (second_name, second) in pairwise(list(module.named_children())):
            if type(second) is not nn.MaxPool2d:
                continue
            if type(first) is nn.ReLU:
                setattr(module, first_name, second)
                setattr(module, second_name, first)
            elif type(first) is nn.Sequential and len(first) > 1 and type(first[-1]) is nn.ReLU:
                setattr(module, second_name, nn.Sequential(second, first[-1]))
                setattr(module, first_name, first[:-1])
    return network


def activate_in_place(network: nn.Module) -> nn.Module:
    """Let a ReLU overwrite its input if a trace of the network shows that nothing else uses that tensor.

    The network is changed in place; one that cannot be traced is left unchanged.
    """
    try:
        graph = LayerTracer().trace(network)
    except Exception:  # tracing code of other libraries can raise anything; the network is then only slower
        return network
    safe_calls: dict[str, list[bool]] = defaultdict(list)
    for node in graph.nodes:
        if node.op == "call_module" and type(network.get_submodule(str(node.target))) is nn.ReLU:
            safe_calls[str(node.target)].append(_may_be_overwritten(network, node.args[0]))
    for name, calls in safe_calls.items():
        relu = network.get_submodule(name)
        assert isinstance(relu, nn.ReLU)
        relu.inplace = relu.inplace or all(calls)
    return network


def _may_be_overwritten(network: nn.Module, node: object) -> bool:
    """Return whether a value is a new tensor with a single user; an identity returns the same tensor."""
    if not isinstance(node, fx.Node) or len(node.users) != 1:
        return False
    if node.op == "call_function":
        return node.target in SAFE_FUNCTIONS
    if node.op != "call_module":
        return False
    module = network.get_submodule(str(node.target))
    if type(module) is nn.Identity:
        return _may_be_overwritten(network, node.args[0])
    return isinstance(module, SAFE_MODULES)
