"""Makes activations cheaper: moves them after the pooling that follows, and lets them overwrite their input."""

from __future__ import annotations

import operator
from collections import defaultdict
from itertools import pairwise

import torch
from torch import fx, nn

from .folding import Affine, WholeLayers

# Modules and functions that return a new tensor, which they do not need for their own gradient.
OWN_OUTPUT = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, Affine, nn.MaxPool2d)
OWN_SUM = (operator.add, operator.iadd, torch.add, torch.cat)


def pool_before_activation(network: nn.Module) -> nn.Module:
    """Swap, in place, each ReLU with the max pooling after it: the result is the same, from a quarter of the values.

    Only sequences are changed, as their order defines what they compute. The ReLU may be the last module of an inner
    sequence that the pooling follows.
    """
    for module in [module for module in network.modules() if type(module) is nn.Sequential]:
        for (name, first), (after, second) in pairwise(list(module.named_children())):
            if type(second) is not nn.MaxPool2d:
                continue
            if type(first) is nn.ReLU:
                setattr(module, name, second)
                setattr(module, after, first)
            elif type(first) is nn.Sequential and len(first) > 1 and type(first[-1]) is nn.ReLU:
                setattr(module, after, nn.Sequential(second, first[-1]))
                setattr(module, name, first[:-1])
    return network


def activate_in_place(network: nn.Module) -> nn.Module:
    """Let every ReLU overwrite its input where a trace of the network shows that nothing else uses that tensor.

    A network that cannot be traced is left unchanged.
    """
    try:
        graph = WholeLayers().trace(network)
    except Exception:  # tracing may fail in any way in foreign code; the network is then only slower
        return network
    allowed: dict[str, list[bool]] = defaultdict(list)
    for node in graph.nodes:
        if node.op == "call_module" and type(network.get_submodule(str(node.target))) is nn.ReLU:
            allowed[str(node.target)].append(_has_one_user(network, node.args[0]))
    for name, calls in allowed.items():
        relu = network.get_submodule(name)
        assert isinstance(relu, nn.ReLU)
        relu.inplace = relu.inplace or all(calls)
    return network


def _has_one_user(network: nn.Module, node: object) -> bool:
    """Return whether a value has one user, and so have all values that are the same tensor."""
    if not isinstance(node, fx.Node) or len(node.users) != 1:
        return False
    if node.op == "call_function":
        return node.target in OWN_SUM
    if node.op != "call_module":
        return False
    module = network.get_submodule(str(node.target))
    return _has_one_user(network, node.args[0]) if type(module) is nn.Identity else isinstance(module, OWN_OUTPUT)
