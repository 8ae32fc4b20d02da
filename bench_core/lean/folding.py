"""Folds batch normalisation into the convolution before it: in evaluation mode it is a factor and a shift per channel.

The function stays the same up to rounding. All other modules keep their names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class LayerTracer(fx.Tracer):
    """A tracer that treats layers as leaves, also the subclasses of torch's layers in other libraries."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, nn.Conv2d | nn.BatchNorm2d | Affine) or super().is_leaf_module(module, name)


class Affine(nn.Module):
    """A batch normalisation of features [n, c, h, w] in evaluation mode: a factor and a shift per channel."""

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
    """Fold each batch normalisation, in place, into the convolution before it if nothing else uses its output.

    The order of the modules is read from a trace; if a network cannot be traced, nothing is folded. A normalisation
    that is not folded becomes an `Affine`, whose gradient with respect to the features is one multiplication.
    """
    if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        for conv_name, norm_name in list(_foldable_pairs(network)):
            conv, norm = network.get_submodule(conv_name), network.get_submodule(norm_name)
            assert isinstance(conv, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            network.set_submodule(conv_name, fuse_conv_bn_eval(conv, norm))
            network.set_submodule(norm_name, _replacement(norm))
    for name, module in list(network.named_modules()):
        if type(module) is nn.BatchNorm2d and module.running_mean is not None:
            network.set_submodule(name, Affine(module))
    return network


def _foldable_pairs(network: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield the names of each convolution and the batch normalisation that alone uses its output."""
    try:
        graph = LayerTracer().trace(network)
    except Exception:  # tracing code of other libraries can raise anything; the network is then only slower
        return
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    for node in graph.nodes:
        if node.op != "call_module" or len(node.users) != 1:
            continue
        (user,) = node.users
        if user.op != "call_module" or calls[node.target] > 1 or calls[user.target] > 1:
            continue
        if _is_foldable(network.get_submodule(node.target), network.get_submodule(user.target)):
            yield node.target, user.target


def _is_foldable(first: nn.Module, second: nn.Module) -> bool:
    """Return whether a convolution, not of a subclass, is followed by a batch normalisation with stored statistics."""
    types = type(first) is nn.Conv2d and isinstance(second, nn.BatchNorm2d)
    plain = type(second) is nn.BatchNorm2d or type(second).__name__ == "BatchNormAct2d"
    return types and plain and second.running_mean is not None


def _replacement(norm: nn.BatchNorm2d) -> nn.Module:
    """Return the module that takes the place of a folded normalisation: for timm's, its activation."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    return nn.Sequential(norm.get_submodule("drop"), norm.get_submodule("act"))
