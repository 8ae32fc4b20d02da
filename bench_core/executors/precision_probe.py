"""Computes one gradient in bfloat16, as an attack does: `python -m bench_core.executors.precision_probe DEVICE`.

On a CPU, oneDNN prints the kernels that it uses if the environment has ONEDNN_VERBOSE=1. On an NVIDIA GPU, the compute
capability is printed. A process of its own, so that the caller imports no torch and holds no memory of a GPU.
"""

from __future__ import annotations

import sys

import torch
from torch import nn

from ..worker.precision import InBfloat16


def gradient_in_bfloat16() -> None:
    """Compute the gradient of a convolution with respect to its input, channels last, as networks are attacked."""
    images = torch.zeros(64, 32, 28, 28).contiguous(memory_format=torch.channels_last).requires_grad_(True)
    network = InBfloat16(nn.Conv2d(32, 32, 3, padding=1).requires_grad_(False))
    torch.autograd.grad(network(images).sum(), images)


def main() -> None:
    device = sys.argv[1]
    if device.startswith("cuda"):
        print("capability", *torch.cuda.get_device_capability(device))
    else:
        gradient_in_bfloat16()


if __name__ == "__main__":
    main()
