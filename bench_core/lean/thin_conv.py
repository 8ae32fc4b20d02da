"""A network's first convolution, with a faster gradient with respect to the image.

On a CPU the input gradient of a convolution is fast if the input has as many channels as a vector register has numbers;
an image has one or three. But the input gradient is itself a convolution of the output gradient, and this convolution
can compute blocks of pixels: the pixels of a B x B block are B^2 channels of a smaller image, and fill a register.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, pixel_shuffle

LANES = 16  # float32 numbers in a register of 512 bits
MAX_CHANNELS = 4  # an image has no more


class ThinConv2d(nn.Conv2d):
    """A convolution of images with few channels, with the same outputs and a faster image gradient.

    The gradient is computed by torch itself if the weights are not frozen, on other devices than a CPU, or for images
    that are not [n, c, h, w].
    """

    @classmethod
    def from_conv(cls, conv: nn.Conv2d) -> ThinConv2d:
        """Build a thin convolution that shares the weights of `conv`, for which `is_thin` must be true."""
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


def is_thin(module: nn.Module) -> bool:
    """Return whether a module is a plain convolution with a square kernel and few input channels."""
    if type(module) is not nn.Conv2d or isinstance(module.padding, str) or module.padding_mode != "zeros":
        return False
    square = all(len(set(pair)) == 1 for pair in (module.kernel_size, module.stride, module.padding))
    plain = module.groups == 1 and module.dilation == (1, 1) and module.padding[0] < module.kernel_size[0]
    return square and plain and module.in_channels <= MAX_CHANNELS


class _Thin(torch.autograd.Function):
    """A convolution whose gradient with respect to the images is `image_gradient`."""

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
        result = image_gradient(gradient, weight, ctx.shape[-2:], ctx.stride, ctx.padding)
        return result.to(ctx.dtype), None, None, None, None


def image_gradient(gradient: Tensor, weight: Tensor, size: tuple[int, int], stride: int, padding: int) -> Tensor:
    """Compute a convolution's gradient with respect to its input images.

    All operations are differentiable, so second derivatives exist.

    Args:
        gradient: Gradient with respect to the output, [n, o, i, j].
        weight: Weights of the convolution, [o, c, k, k].
        size: Height and width of the images, in pixels.
        stride: Stride of the convolution.
        padding: Padding of the convolution on each side, in pixels.

    Returns:
        The gradient with respect to the images, [n, c, h, w].
    """
    block = stride * max(1, math.isqrt(LANES // (weight.shape[1] * stride**2)))
    kernel, lead = block_kernel(weight, stride, padding, block)
    step, taps = block // stride, kernel.shape[-1]
    blocks = [-(-side // block) for side in size]
    # Outputs beyond the last one that the last block needs. Padding is the same on both sides, so surplus blocks are
    # computed on the first side and cut off.
    beyond = max(
        step * (count - 1) - lead + taps - side for count, side in zip(blocks, gradient.shape[-2:], strict=True)
    )
    surplus = max(0, -(-(beyond - lead) // step))
    shuffled = conv2d(gradient, kernel, stride=step, padding=lead + surplus * step)
    shuffled = shuffled[..., surplus : surplus + blocks[0], surplus : surplus + blocks[1]]
    return pixel_shuffle(shuffled, block)[..., : size[0], : size[1]]


def block_kernel(weight: Tensor, stride: int, padding: int, block: int) -> tuple[Tensor, int]:
    """Return the kernel that computes a block of the image gradient from the output gradients around it.

    Output o depends on pixel u through the weight at index u + padding - stride * o.

    Args:
        weight: Weights of the convolution, [o, c, k, k].
        stride: Stride of the convolution.
        padding: Padding of the convolution on each side, in pixels.
        block: Height and width of a block in pixels.

    Returns:
        The kernel [c * block^2, o, taps, taps], and the number of outputs between its first tap and the block's first
        output.
    """
    side = weight.shape[-1]
    first, last = math.ceil((padding - (side - 1)) / stride), (block - 1 + padding) // stride
    pixel, output = torch.arange(block)[:, None], torch.arange(first, last + 1)[None]
    index = pixel + padding - stride * output
    # An index outside the kernel selects the zeros that are padded to the weights.
    index = torch.where((index >= 0) & (index < side), index, side)
    selected = pad(weight, (0, 1, 0, 1))[:, :, index[:, None, :, None], index[None, :, None, :]]
    kernel = selected.permute(1, 2, 3, 0, 4, 5).flatten(0, 2)
    return kernel.contiguous(memory_format=torch.channels_last), -first
