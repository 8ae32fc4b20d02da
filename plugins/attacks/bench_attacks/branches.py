"""Find the residual branches of a network by the structure of its blocks, not by name or class.

Three structures are recognised: the blocks of torchvision's and timm's residual networks (`downsample`, `conv1`), with
or without squeeze-and-excitation; torchvision's and timm's dense layers; and any module with an attribute `branch`,
which marks a branch in a user's own network. The attribute `shortcut` of such a module is an `nn.Identity` or a
projection; a module without it is a dense layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn
else:
    from bench_core.lazy import torch

RESIDUAL_GAMMA, DENSE_GAMMA = 0.2, 0.5  # the authors' gamma for each kind of branch (arXiv:2002.05990)
BRANCH_ENDS = (
    "drop_path",
    "se",
    "se_module",
    "bn3",
    "bn2",
)  # a branch ends at the first of these in its block


def branches(model: nn.Module, projections: bool = False) -> list[tuple[nn.Module, float]]:
    """Return the modules whose outputs are those of residual branches, each with the authors' gamma for its kind.

    Blocks whose shortcut is a projection are included only with `projections`.
    """
    ends = []
    for module in model.modules():
        end = branch_end(module)
        if end is not None and (projections or not projects(module)):
            ends.append((end, DENSE_GAMMA if is_dense(module) else RESIDUAL_GAMMA))
    return ends


def residual_blocks(model: nn.Module) -> list[nn.Module]:
    """Return the residual blocks, those whose shortcut is a projection too."""
    return [module for module in model.modules() if branch_end(module) is not None and not is_dense(module)]


def branch_end(block: nn.Module) -> nn.Module | None:
    """Return the module whose output is that of the block's branch, or None if the block is not recognised."""
    children = block._modules
    if "branch" in children:
        return children["branch"]
    if is_dense(block):
        return block  # a dense layer outputs only the new features
    if hasattr(block, "downsample") and "conv1" in children:
        return next((end for name in BRANCH_ENDS if (end := children.get(name)) is not None), None)
    return None


def is_dense(block: nn.Module) -> bool:
    """Return whether the output of a block's branch is concatenated with its input, not added to it."""
    children = block._modules
    if "branch" in children:
        return not hasattr(block, "shortcut")
    return {"norm1", "conv1", "norm2", "conv2"} <= set(children) and not hasattr(block, "downsample")


def projects(block: nn.Module) -> bool:
    """Return whether a block's shortcut is a projection and not the identity."""
    shortcut = getattr(block, "shortcut", getattr(block, "downsample", None))
    return not (shortcut is None or isinstance(shortcut, torch.nn.Identity))
