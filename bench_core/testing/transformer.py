"""A small vision transformer, for attacks that reject the kit's usual network because they change attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .inputs import CLASSES

TOKENS, WIDTH, HEADS = 9, 8, 2


class Attention(nn.Module):
    """Self-attention whose modules have the names of timm's."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.attn_drop, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Identity(), nn.Linear(WIDTH, WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        packed = self.qkv(tokens).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        queries, keys, values = packed
        maps = self.attn_drop((queries @ keys.transpose(-2, -1) / (WIDTH // HEADS) ** 0.5).softmax(-1))
        out: Tensor = self.proj((maps @ values).transpose(1, 2).flatten(2))
        return out


class TransformerBlock(nn.Module):
    """Attention and a perceptron, each added to the tokens [n, tokens, width]."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(WIDTH), Attention(), nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), activation, nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out


class Tokens(nn.Module):
    """The places of features [n, width, h, w] as tokens [n, h * w, width], with positions."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, TOKENS, WIDTH))

    def forward(self, features: Tensor) -> Tensor:
        return features.flatten(2).transpose(1, 2) + self.positions


def transformer(
    channels: int = 1, seed: int = 0, inplace: bool = False, shift: int = 0, channels_last: bool = False,
    classes: int = CLASSES,
) -> nn.Module:  # fmt: skip
    """Build a frozen vision transformer with random weights, for images of any size. See `inputs.network`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        activation: nn.Module = nn.ReLU(inplace=True) if inplace else nn.Softplus()
        made = nn.Sequential(
            *[nn.Identity() for _ in range(shift)],
            *(nn.Conv2d(channels, WIDTH, 3, padding=1), activation, nn.AdaptiveAvgPool2d(3), Tokens()),
            *(TransformerBlock(activation) for _ in range(2)),
            *(nn.Flatten(), nn.Linear(TOKENS * WIDTH, classes)),
        )
        made.get_parameter(f"{len(made) - 1}.weight").data.mul_(20)  # losses as large as on trained networks
    made.eval().requires_grad_(False)
    made.get_parameter(f"{len(made) - 1}.bias").sub_(made(torch.full((1, channels, 8, 8), 0.5))[0])
    return made.to(memory_format=torch.channels_last) if channels_last else made
