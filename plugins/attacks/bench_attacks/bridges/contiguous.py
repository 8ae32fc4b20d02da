"""The network as other libraries want it: they flatten its gradient with `view`, which asks for contiguous memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Contiguous(nn.Module):
    """A network whose gradient in the images is contiguous, in whatever layout it computes itself.

    The network is only asked, so that the host counts its passes; it keeps its mode, which libraries set and put back.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.training = network.training

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            images = images.view_as(images)  # a hook on the library's own tensor would stay there
            images.register_hook(torch.Tensor.contiguous)
        logits: Tensor = self.network(images)
        return logits
