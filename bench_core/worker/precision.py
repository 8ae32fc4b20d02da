"""Gradients in bfloat16. They are faster and give other perturbations; success is always judged in float32."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class InBfloat16(nn.Module):
    """Run a network with its convolutions and matrix products in bfloat16; images and logits are float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            logits: Tensor = self.network(images)
        return logits.float()

    def __getattr__(self, name: str) -> Any:
        """Return the network's own attribute, for attacks that look for one."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)
