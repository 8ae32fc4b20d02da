"""A wrapper of networks for libraries that flatten a gradient with `view`, which needs contiguous memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Contiguous(nn.Module):
    """Images [n, c, h, w] to the logits of `network`; the gradient in the images is contiguous, in any memory format.

    The network is called, not copied, so that the host counts its passes. The wrapper has the network's training mode,
    because libraries change and restore it.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.training = network.training

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            images = images.view_as(images)  # a hook on the library's tensor would remain after the call
            images.register_hook(torch.Tensor.contiguous)
        logits: Tensor = self.network(images)
        return logits
