"""Architectures of the embedded networks that mix patches: a vision transformer, and a ConvNeXt with large kernels.

Both begin with convolutions in place of one layer of large patches, with which networks of this size learn faster and
better (Xiao et al., 2021; arXiv:2106.14881). The names of the transformer's modules are timm's, so that attacks on
attention find them as they find timm's.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from .networks import CLASSES, conv, stem


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al., 2017). The maps [n, heads, tokens, tokens] go through `attn_drop`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.attn_drop = nn.Identity()
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        count, length, width = tokens.shape
        query, key, value = self.qkv(tokens).view(count, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-2, -1) / (width // self.heads) ** 0.5
        mixed = self.attn_drop(scores.softmax(-1)) @ value
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(count, length, width))
        return out


class TransformerBlock(nn.Module):
    """`x + attn(norm1(x))`, then `x + mlp(norm2(x))` (Dosovitskiy et al., 2021; arXiv:2010.11929)."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out


class VisionTransformer(nn.Module):
    """Tokens with learned positions through transformer blocks; the mean of the last tokens is classified."""

    def __init__(self, patch_embed: nn.Module, length: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.patch_embed = patch_embed
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, length, width))
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads, 2 * width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patch_embed(images).flatten(2).transpose(1, 2) + self.pos_embed
        out: Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return out


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each place of features [n, c, h, w]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.norm(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return out


class ConvNeXtBlock(nn.Module):
    """`x + branch(x)`: a 7 x 7 depthwise convolution, then a perceptron on each place (Liu et al., 2022)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
            ChannelNorm(channels),
            nn.Conv2d(channels, 3 * channels, 1),
            nn.GELU(),
            nn.Conv2d(3 * channels, channels, 1),
        )
        self.shortcut = nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.shortcut(features) + self.branch(features)
        return out


def vit() -> nn.Module:
    """A vision transformer of 4 blocks on 7 x 7 tokens."""
    patch_embed = nn.Sequential(stem(32), conv(32, 64, 3, 2), nn.Conv2d(64, 64, 1))
    return VisionTransformer(patch_embed, length=49, width=64, depth=4, heads=4)


def convnext() -> nn.Module:
    """A ConvNeXt of 6 blocks in two stages, at 14 x 14 and 7 x 7."""
    early = [ConvNeXtBlock(32) for _ in range(2)]
    late = [ConvNeXtBlock(64) for _ in range(4)]
    between = [ChannelNorm(32), nn.Conv2d(32, 64, 2, 2)]
    classify = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, CLASSES)]
    return nn.Sequential(stem(32), *early, *between, *late, *classify)


PATCHES: Mapping[str, Callable[[], nn.Module]] = MappingProxyType({"ViT": vit, "ConvNeXt": convnext})
