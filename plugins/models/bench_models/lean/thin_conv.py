"""A network's first convolution, with a faster gradient in the image.

On a CPU the gradient of a convolution in its input is fast where the input has as many channels as a vector register
has numbers; an image has one or three. But this gradient is itself a convolution of the gradient at the output. It can
compute blocks of pixels: the pixels of a B x B block are B^2 channels of a smaller image, which fill a register.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, pixel_shuffle

LANES = 16  # float32 numbers in a register of 512 bits, which the CPU's convolutions use
THIN = 4  # largest number of input channels; an image has no more


class ThinConv2d(nn.Conv2d):
    """A frozen convolution of images with few channels, with the same outputs and a faster gradient in the image.

    Only on a CPU, and only for frozen weights and images [n, c, h, w], is the gradient computed in another way.
    """

    @classmethod
    def of(cls, conv: nn.Conv2d) -> ThinConv2d:
        """Build one that shares the weights of `conv`, for which `fits` must hold."""
        side, stride, padding = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
        thin = cls(conv.in_channels, conv.out_channels, side, stride, padding, bias=False, device="meta")
        thin.weight, thin.bias = conv.weight, conv.bias
        return thin.train(conv.training)

    def forward(self, images: Tensor) -> Tensor:
        frozen = not self.weight.requires_grad and (self.bias is None or not self.bias.requires_grad)
        if frozen and images.requires_grad and images.device.type == "cpu" and images.ndim == 4:
            out: Tensor = _Thin.apply(images, self.weight, self.bias, self.stride[0], self.padding[0])
            return out
        return super().forward(images)


def fits(module: nn.Module) -> bool:
    """Return whether this is a plain square convolution with so few input channels that `ThinConv2d` is faster."""
    if type(module) is not nn.Conv2d or isinstance(module.padding, str) or module.padding_mode != "zeros":
        return False
    square = all(len(set(pair)) == 1 for pair in (module.kernel_size, module.stride, module.padding))
    plain = module.groups == 1 and module.dilation == (1, 1) and module.padding[0] < module.kernel_size[0]
    return square and plain and module.in_channels <= THIN


class _Thin(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(images: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
        return conv2d(images, weight, bias, stride, padding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004  torch's signature
        images, weight, _, ctx.stride, ctx.padding = inputs
        ctx.save_for_backward(weight)
        ctx.shape, ctx.dtype = images.shape, images.dtype

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        weight = weight.to(gradient.dtype)
        found = image_gradient(gradient, weight, ctx.shape[-2:], ctx.stride, ctx.padding)
        return found.to(ctx.dtype), None, None, None, None


def image_gradient(gradient: Tensor, weight: Tensor, size: tuple[int, int], stride: int, padding: int) -> Tensor:
    """Compute the gradient in the images from the gradient at a convolution's output.

    All operations are differentiable, so second derivatives exist.

    Args:
        gradient: Gradient at the output [n, o, i, j].
        weight: Weights of the convolution [o, c, k, k].
        size: Height and width of the images.
        stride: Stride of the convolution.
        padding: Padding of the convolution at each side.

    Returns:
        The gradient in the images [n, c, h, w].
    """
    block = stride * max(1, math.isqrt(LANES // (weight.shape[1] * stride**2)))
    kernel, lead = block_kernel(weight, stride, padding, block)
    step, taps, blocks = block // stride, kernel.shape[-1], [-(-side // block) for side in size]
    # How far the last block reaches beyond the output. Padding is equal at both ends, so surplus blocks are cut off.
    beyond = max(
        step * (count - 1) - lead + taps - side for count, side in zip(blocks, gradient.shape[-2:], strict=True)
    )
    spare = max(0, -(-(beyond - lead) // step))
    found = conv2d(gradient, kernel, stride=step, padding=lead + spare * step)
    found = found[..., spare : spare + blocks[0], spare : spare + blocks[1]]
    return pixel_shuffle(found, block)[..., : size[0], : size[1]]


def block_kernel(weight: Tensor, stride: int, padding: int, block: int) -> tuple[Tensor, int]:
    """Return the kernel that computes a block of the image gradient from the outputs around it.

    Output o depends on pixel u through the weight at u + padding - stride * o.

    Args:
        weight: Weights of the convolution [o, c, k, k].
        stride: Stride of the convolution.
        padding: Padding of the convolution at each side.
        block: Height and width of a block in pixels.

    Returns:
        The kernel [c * block^2, o, taps, taps], and how many outputs its first tap precedes the block's first output.
    """
    side = weight.shape[-1]
    first, last = math.ceil((padding - (side - 1)) / stride), (block - 1 + padding) // stride
    pixel, output = torch.arange(block)[:, None], torch.arange(first, last + 1)[None]
    place = pixel + padding - stride * output
    place = torch.where(
        (place >= 0) & (place < side), place, side
    )  # no such weight: the row of zeros that is padded below
    taken = pad(weight, (0, 1, 0, 1))[:, :, place[:, None, :, None], place[None, :, None, :]]
    kernel = taken.permute(1, 2, 3, 0, 4, 5).flatten(0, 2)
    return kernel.contiguous(memory_format=torch.channels_last), -first
