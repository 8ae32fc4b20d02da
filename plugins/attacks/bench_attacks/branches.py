"""Find the residual branches of a network by the structure of its blocks, not by name or class.

Recognised are the blocks of torchvision's and timm's residual networks (`downsample`, `conv1`), with or without
squeeze-and-excitation; torchvision's and timm's dense layers; and any module with an attribute `branch`, by which a
network of the user's own marks its branches. The `shortcut` of such a module is an `nn.Identity` or a projection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn
else:
    from bench_core.lazy import torch

RESIDUAL, DENSE = 0.2, 0.5  # the authors' gamma for each kind
LAST_OF_A_BRANCH = ("drop_path", "se", "se_module", "bn3", "bn2")  # the first of these that a block has ends its branch


def branches(model: nn.Module, projections: bool = False) -> list[tuple[nn.Module, float]]:
    """Return the modules whose outputs are those of residual branches, each with the usual gamma of its kind.

    Blocks whose shortcut is a projection are included only with `projections`.
    """
    found = []
    for module in model.modules():
        end = branch_end(module)
        if end is not None and (projections or not projects(module)):
            found.append((end, DENSE if is_dense(module) else RESIDUAL))
    return found


def branch_end(block: nn.Module) -> nn.Module | None:
    """Return the module whose output is that of the block's branch, None where the block is not recognised."""
    children = block._modules
    if "branch" in children:
        return children["branch"]
    if is_dense(block):
        return block  # its output is the new features alone
    if hasattr(block, "downsample") and "conv1" in children:
        return next((end for name in LAST_OF_A_BRANCH if (end := children.get(name)) is not None), None)
    return None


def is_dense(block: nn.Module) -> bool:
    """Return whether a block's branch is concatenated to its input and not added."""
    children = block._modules
    if "branch" in children:
        return not hasattr(block, "shortcut")
    return {"norm1", "conv1", "norm2", "conv2"} <= set(children) and not hasattr(block, "downsample")


def projects(block: nn.Module) -> bool:
    """Return whether a block's shortcut is more than the identity."""
    shortcut = getattr(block, "shortcut", getattr(block, "downsample", None))
    return not (shortcut is None or isinstance(shortcut, torch.nn.Identity))
