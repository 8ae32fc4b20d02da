"""Folds batch normalisation, in evaluation mode a factor and a shift, into the convolution before it.

The function stays the same up to rounding. The other modules keep their places and names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class WholeLayers(fx.Tracer):
    """Traces a network without entering its layers, of whichever library they are."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, nn.Conv2d | nn.BatchNorm2d | Affine) or super().is_leaf_module(module, name)


class Affine(nn.Module):
    """A batch normalisation in evaluation mode, on features [n, c, h, w]: a factor and a shift per channel."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        deviation = (norm.running_var.double() + norm.eps).sqrt()
        scale = (1.0 if norm.weight is None else norm.weight.detach().double()) / deviation
        shift = (0.0 if norm.bias is None else norm.bias.detach().double()) - norm.running_mean.double() * scale
        for name, value in (("scale", scale), ("shift", shift)):
            self.register_buffer(name, value.to(norm.running_mean.dtype)[:, None, None])

    def forward(self, features: Tensor) -> Tensor:
        return torch.addcmul(self.shift, features, self.scale).to(features.dtype)


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Fold, in place, each batch normalisation into the convolution before it, where nothing else uses its output.

    The order of the modules is read from a trace; in a network that cannot be traced nothing is folded. A normalisation
    that is not folded becomes an `Affine`, whose gradient in the features is one multiplication.
    """
    if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        for conv, norm in list(_pairs(network)):
            first, second = network.get_submodule(conv), network.get_submodule(norm)
            assert isinstance(first, nn.Conv2d)
            assert isinstance(second, nn.BatchNorm2d)
            network.set_submodule(conv, fuse_conv_bn_eval(first, second))
            network.set_submodule(norm, _what_remains(second))
    for name, module in list(network.named_modules()):
        if type(module) is nn.BatchNorm2d and module.running_mean is not None:
            network.set_submodule(name, Affine(module))
    return network


def _pairs(network: nn.Module) -> Iterator[tuple[str, str]]:
    try:
        graph = WholeLayers().trace(network)
    except Exception:  # tracing may fail in any way in foreign code; the network is then only slower
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
    """Return whether these are a plain convolution, without standardised weights, and a fixed normalisation."""
    kinds = type(first) is nn.Conv2d and isinstance(second, nn.BatchNorm2d)
    plain = type(second) is nn.BatchNorm2d or type(second).__name__ == "BatchNormAct2d"
    return kinds and plain and second.running_mean is not None


def _what_remains(norm: nn.BatchNorm2d) -> nn.Module:
    """Return the identity, or for timm's normalisation the activation that is part of it."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    return nn.Sequential(norm.get_submodule("drop"), norm.get_submodule("act"))
