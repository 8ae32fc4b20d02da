"""A network made lean for attacks: the same function to rounding, and the way back to the image as cheap as it gets."""

from __future__ import annotations

import torch
from torch import nn

from .activations import activate_in_place, pool_before_activation
from .folding import fold_batch_norm
from .thin_conv import ThinConv2d, fits


def lean(network: nn.Module) -> nn.Module:
    """Change a network, in place, into one that only ever answers: in evaluation mode, frozen, channels last.

    Modules keep their names, and blocks their structure.
    """
    network = activate_in_place(pool_before_activation(fold_batch_norm(network.eval())))
    for name, module in list(network.named_modules()):
        if name and fits(module):
            assert isinstance(module, nn.Conv2d)
            network.set_submodule(name, ThinConv2d.of(module))
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
