"""The same function in evaluation mode, in fewer and faster passes."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Fold, in place, every batch normalisation that directly follows a convolution in a sequence."""
    for module in list(network.modules()):
        if not isinstance(module, nn.Sequential):
            continue
        for (name, first), (after, second) in pairwise(list(module.named_children())):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(first, second))
                setattr(module, after, nn.Identity())
    return network


def pool_before_activation(network: nn.Module) -> nn.Module:
    """Swap, in place, a ReLU and the largest-value pooling after it, which gives the same from a quarter of the work.

    The ReLU may end an inner sequence that the pooling follows.
    """
    for module in list(network.modules()):
        if not isinstance(module, nn.Sequential):
            continue
        for (name, first), (after, second) in pairwise(list(module.named_children())):
            if not isinstance(second, nn.MaxPool2d):
                continue
            if isinstance(first, nn.ReLU):
                setattr(module, name, second)
                setattr(module, after, first)
            elif isinstance(first, nn.Sequential) and isinstance(first[-1], nn.ReLU):
                setattr(module, after, nn.Sequential(second, first[-1]))
                setattr(module, name, first[:-1])
    return network


def lean(network: nn.Module) -> nn.Module:
    """Give the network in the form that is fastest to attack: frozen, folded, channels last. It is changed in place."""
    folded = pool_before_activation(fold_batch_norm(network.eval()))
    return folded.requires_grad_(False).to(memory_format=torch.channels_last)
