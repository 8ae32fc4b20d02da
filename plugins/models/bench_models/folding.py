"""A network made lean for attacks: in evaluation mode, frozen, batch normalisation folded, channels last.

The function stays the same to rounding; what is folded leaves the other modules where they are, under their names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class _WholeLayers(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, nn.Conv2d | nn.BatchNorm2d) or super().is_leaf_module(module, name)


def lean(network: nn.Module) -> nn.Module:
    """Change a network, in place, into one that only ever answers."""
    network = pool_before_activation(fold_batch_norm(network.eval())).eval().requires_grad_(False)
    return network.to(memory_format=torch.channels_last)


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Fold, in place, every batch normalisation into the convolution whose output nothing else gets.

    What follows what is read from a trace; a network that cannot be traced stays as it is.
    """
    if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        for conv, norm in list(_pairs(network)):
            first, second = network.get_submodule(conv), network.get_submodule(norm)
            assert isinstance(first, nn.Conv2d)
            assert isinstance(second, nn.BatchNorm2d)
            network.set_submodule(conv, fuse_conv_bn_eval(first, second))
            network.set_submodule(norm, _what_remains(second))
    return network


def _pairs(network: nn.Module) -> Iterator[tuple[str, str]]:
    try:
        graph = _WholeLayers().trace(network)
    except Exception:  # whatever tracing meets in strangers' code: an unfolded network is only slower
        return
    called = Counter(node.target for node in graph.nodes if node.op == "call_module")
    for node in graph.nodes:
        if node.op != "call_module" or len(node.users) != 1:
            continue
        (after,) = node.users
        if after.op != "call_module" or called[node.target] > 1 or called[after.target] > 1:
            continue
        if _folds(network.get_submodule(node.target), network.get_submodule(after.target)):
            yield node.target, after.target


def _folds(first: nn.Module, second: nn.Module) -> bool:
    """Whether this is a plain convolution (one that standardises its weights is none) and a fixed normalisation."""
    kinds = type(first) is nn.Conv2d and isinstance(second, nn.BatchNorm2d)
    plain = type(second) is nn.BatchNorm2d or type(second).__name__ == "BatchNormAct2d"
    return kinds and plain and second.running_mean is not None


def _what_remains(norm: nn.BatchNorm2d) -> nn.Module:
    """Timm's normalisation has the activation in it."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    return nn.Sequential(norm.get_submodule("drop"), norm.get_submodule("act"))


def pool_before_activation(network: nn.Module) -> nn.Module:
    """Swap, in place, a ReLU and the largest-value pooling after it, which gives the same from a quarter of the work.

    Only in sequences, whose order is what they compute; the ReLU may end an inner sequence that the pooling follows.
    """
    for module in [each for each in network.modules() if type(each) is nn.Sequential]:
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
