"""Makes networks faster to attack without changing the function that they compute. Part of the plugin API."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["fold_batch_norm", "lean"]


def lean(network: nn.Module, images: Tensor | None = None) -> nn.Module:
    """Rewrite a network in place, so that attacks on it are faster, unless that changes its function.

    Batch normalisation is folded into convolutions, a max pooling comes before its ReLU, ReLUs overwrite their input
    where nothing else uses it, and the memory format is channels-last. Modules keep their names, and blocks their
    structure. Logits stay equal up to rounding.

    Args:
        network: Maps images [n, c, h, w] to logits [n, classes].
        images: Images [n, c, h, w] in [0, 1], of the size that the network is attacked at; two are enough. On them, the
            rewritten network must have the logits and the image gradients of the network in float64, or the network is
            returned as it is. Nothing is verified without images.

    Returns:
        The network in evaluation mode, frozen.
    """
    from .rewrite import rewrite
    from .verify import keeps_function

    network = network.eval()
    for parameter in network.parameters():  # a scripted network has no requires_grad_ of its own
        parameter.requires_grad_(False)
    return network if images is not None and not keeps_function(network, images) else rewrite(network)


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Fold each batch normalisation of a network in evaluation mode into the convolution before it, in place."""
    from .folding import fold_batch_norm as fold

    return fold(network)
