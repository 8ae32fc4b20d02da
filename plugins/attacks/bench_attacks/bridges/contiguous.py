"""A network for other libraries, which flatten its gradient with `view` and so need it in contiguous memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Contiguous(nn.Module):
    """A network whose gradient in the images is contiguous, whatever layout it computes in.

    The network is called and not copied, so that the host counts its passes. It starts in the network's mode, which
    libraries change and restore.
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
