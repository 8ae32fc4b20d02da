"""A purifier of the user's: a network from images to images before a classifier, such as HGD and NRP.

HGD: Liao et al. (2018; arXiv:1712.02976). NRP: Naseer et al. (2020; arXiv:2006.04924). Their code and weights are the
user's files: `file = "hgd.py:build"` names a function without parameters that returns the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..defence_recipe import defence
from ..python_file import files, identity, load_network

if TYPE_CHECKING:
    from bench_core.types import Model


def build(
    base: Any,
    file: str,
    weights: str = "",
    sha256: str = "",
    key: str = "",
    prefix: str = "",
    bpda: bool = False,
    adaptive: bool = False,
) -> Model:
    """Put a purifier from the user's file before a network: HGD (Liao et al., 2018), NRP (Naseer et al., 2020).

    Args:
        base: The network to defend.
        file: `PATH.py:FUNCTION`. The function has no parameters and returns a torch.nn.Module that maps images
            [n, c, h, w] in [0, 1] to images of the same shape.
        weights: Path of the purifier's state dict; none if the function loads its own.
        sha256: Expected digest of the weights, if any.
        key: Dotted path of the state dict in the file of weights; by default it is found under the usual names.
        prefix: Beginning of the entries that are loaded, which is removed from their names.
        bpda: Whether an adaptive attacker takes the gradient of the network at the purified image (BPDA), for a
            purifier without a gradient of use, instead of differentiating the purifier.
        adaptive: Whether the gradient is that of an adaptive attacker.
    """
    from ..defended import Defended
    from ..purifier import Purifier

    network = load_network(file, weights, sha256, key, prefix)
    return Defended(base, Purifier(network, "identity" if bpda else "exact"), adaptive)


RECIPE = defence(
    build, "A network on images from a purifier of yours, such as HGD or NRP.", [], known=identity, files=files
)
