"""Record the features at an inner layer while a batch goes through the network."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from .kinds import Tap

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch


class Recorder:
    """A context that records the features at a tap, with their graph: the outputs of its module, or the inputs.

    The network goes on with a copy of the features, so that layers that overwrite their inputs do not change them.

    Args:
        tap: The layer; None records nothing.
        model: The network.
        cut: Make the features the leaves of the graph, for gradients in them.
    """

    def __init__(self, tap: Tap | None, model: Model, cut: bool = False) -> None:
        self.tap, self.model, self.cut = tap, model, cut
        self.recorded: list[Tensor] = []

    def __enter__(self) -> Recorder:
        if self.tap is not None:
            module = self.tap.module(self.model)
            before = getattr(self.tap, "of_input", False)
            self.handle = (
                module.register_forward_pre_hook(self._record_input)
                if before
                else module.register_forward_hook(self._record)
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.tap is not None:
            self.handle.remove()

    def _record(self, _module: Any, _inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, torch.Tensor):
            raise ValueError(f"layer: it returns {type(output).__name__}, not a tensor (try another layer)")
        features = output.detach().requires_grad_() if self.cut else output
        self.recorded.append(features)
        return features.clone()

    def _record_input(self, module: Any, inputs: Any) -> Any:
        return (self._record(module, None, inputs[0]), *inputs[1:])

    def features(self, inputs: int, shape: tuple[int, ...]) -> Tensor | None:
        """Return the features [*shape, ...] of all inputs, in their order, or None without a tap.

        Raises:
            ValueError: The layer was not used once for each input, with one size of features.
        """
        if self.tap is None:
            return None
        sizes = {features.shape[1:] for features in self.recorded}
        if len(sizes) != 1 or sum(map(len, self.recorded)) != inputs:
            raise ValueError(
                "layer: the network does not use this layer once for each input with features of one size "
                "(try another layer; with `di`, a resize below 1)"
            )
        features: Tensor = torch.cat(self.recorded).unflatten(0, shape)
        return features

    def gradient(self, value: Tensor) -> Tensor:
        """Return the gradient of a value in the recorded features of all inputs."""
        return torch.cat(torch.autograd.grad(value, self.recorded))
