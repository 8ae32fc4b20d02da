"""Mix the inner features of a network with those of other images, which go through it first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from .gradient_attack import GradientAttack
from .kinds import Surrogate

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
else:
    from bench_core.lazy import torch

# (number of the layer, features [m, ...], those of the other images [m, ...], input images [m, c, h, w]) -> features
Mix = Callable[[int, "Tensor", "Tensor", "Tensor"], "Tensor"]


@contextmanager
def mixed_features(model: Any, others: Tensor, layers: Sequence[nn.Module], mix: Mix) -> Iterator[Callable[..., Any]]:
    """Yield the network with mixed features at some layers.

    Args:
        model: The network.
        others: One other image [n, c, h, w] for each row of a run; resized if the inputs have another size.
        layers: The layers.
        mix: Returns what a layer's features become. All inputs of one row get the features of the same other image.
    """
    kept: list[list[Tensor]] = [[] for _ in layers]  # of each layer, once for each of its calls
    inputs: list[Tensor] = []  # empty while the other images go through

    def changed(images: Tensor, **arguments: Any) -> Any:
        sides = images.shape[-2:]
        with torch.no_grad():
            model(others if others.shape[-2:] == sides else torch.nn.functional.interpolate(others, sides), **arguments)
        inputs.append(images)
        outputs = model(images, **arguments)
        inputs.clear()
        return outputs

    def hooked(number: int) -> Callable[..., Any]:
        def hook(_module: Any, _inputs: Any, output: Tensor) -> Tensor | None:
            if not inputs:
                kept[number].append(output.clone())  # a later layer may overwrite it
                return None
            other = kept[number].pop(0)
            return mix(number, output, other.repeat_interleave(len(output) // len(other), 0), inputs[0])

        return hook

    with ExitStack() as hooks:
        for number, layer in enumerate(layers):
            hooks.callback(layer.register_forward_hook(hooked(number)).remove)
        yield changed


def with_mixing(attack: GradientAttack, surrogate: Surrogate) -> GradientAttack:
    """Return the attack with a surrogate that mixes features, behind those that only hook the network.

    Raises:
        ValueError: The attack has such a surrogate.
    """
    others = attack.surrogates
    if any(other.forwards for other in others):
        raise ValueError("two parts of one attack both mix features")
    place = next((i for i, other in enumerate(others) if getattr(other, "wraps", False)), len(others))
    return attack.with_surrogates(*others[:place], surrogate, *others[place:])
