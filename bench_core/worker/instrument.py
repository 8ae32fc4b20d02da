"""Instruments of networks: a cache of the last forward, a counter of the images that pass, contiguous gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..batches import batched_forward, recomputing
from ..errors import ContractError
from .checks import waits
from .guard import version_of
from .pass_limit import PassLimit, images_among, rows_of
from .watch import not_finite, surely_finite

Named = dict[str, Any]  # the keyword arguments of a call, as torch passes them to hooks
Arguments = tuple[tuple[Any, ...], Named]


class CachedForward(nn.Module):
    """A network that caches its last output, so that metrics that observe the same tensor share one forward.

    A call that needs a gradient is never cached. The input is kept as a copy and compared, since a metric may write
    into its own tensor between two calls, and the output is returned as a copy, since it may write into that too.
    On a GPU only the writes that torch counts are seen, since the host would wait for a comparison.

    Args:
        network: The network.
        clean: Images whose logits other jobs need too.
        known: Returns the logits of the clean images, from an earlier job if there was one.
    """

    def __init__(
        self, network: nn.Module, clean: Tensor | None = None, known: Callable[[], Tensor] | None = None
    ) -> None:
        super().__init__()
        self.network, self.clean, self.known = network, clean, known
        self.last: tuple[Tensor, Any, Tensor] | None = None  # the input, what it was then, the output

    def forward(self, images: Tensor) -> Tensor:
        if torch.is_grad_enabled() and images.requires_grad:
            logits: Tensor = self.network(images)
            return logits
        if self.known and images is self.clean:  # a metric must not write into them, which the host checks
            return self.known().clone()
        if self.last is None or self.last[0] is not images or not same(self.last[1], images):
            before = version_of(images) if waits(images.device) else images.clone()
            self.last = images, before, batched_forward(self.network, images)
        return self.last[2].clone()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the network, for metrics that use one."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)


def same(before: Any, images: Tensor) -> bool:
    """Return whether images are what they were before: a copy or, where the host would wait, a version."""
    return torch.equal(before, images) if isinstance(before, Tensor) else version_of(images) == before


class _Call:
    """A call of a network.

    Attributes:
        counted: Whether the gradient of its logits was counted and has not reached its images yet.
        owners: The image that each of its rows is made from, if passes are limited.
    """

    counted = False
    owners: Tensor | None = None


class PassCounter:
    """Counts the images that pass through networks, forwards and backwards, within `with counter.counting()`.

    A backward pass is counted where it starts: at the logits, or at inner features, if it only arrives at the images.

    It also counts the gradients that arrive at the logits infinite or NaN, which only the attack's loss can cause. The
    count stays on the device until `check_losses`.

    No hook sees a direct call of `network.forward` or of its layers one by one, but the layers run then outside of a
    call: `bypassed` says whether a layer of a network itself, or its first or last one with parameters, did, so that
    the count is too small.

    Args:
        networks: A network, or the members of an ensemble, so that a pass through the ensemble counts once for each,
            and so does a call of a member alone. A call that another network makes is not counted. One that a network
            makes of itself is: only a hook of the attack can cause it.
        limit: The limit of the passes, which refuses those beyond it before they are computed; None for none.
    """

    def __init__(self, *networks: nn.Module, limit: PassLimit | None = None) -> None:
        self.networks, self.limit = list(dict.fromkeys(networks)), limit
        self.forwards = self.backwards = 0
        self.bypassed = False
        self.wrong_losses: Tensor | int = 0
        self.running: list[tuple[nn.Module, _Call | None]] = []  # networks, each with its call if that is counted

    def __deepcopy__(self, _memo: Any) -> PassCounter:
        """Return the counter itself, so that passes through a copy of the network that an attack makes are counted."""
        return self

    def __reduce__(self) -> str:
        raise ContractError("the attack pickles its source, and passes through that copy would not be counted")

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...], named: Named) -> Arguments | None:
        self.bypassed |= torch._C._get_tracing_state() is not None  # what is recorded runs later without any hook
        if self.running and all(network is not module for network, _ in self.running):
            self.running.append((module, None))  # a part of the network that calls it
            return None
        call = _Call()
        self.running.append((module, call))
        given = images_among(inputs, named)
        if self.limit is not None and not recomputing() and given is not None:
            call.owners = self.limit.forward(given)
        if given is None or not given.requires_grad:
            return None
        images = given.view_as(given)  # a hook on the attack's tensor would remain

        def arrives(gradient: Tensor) -> None:
            if call.counted:
                call.counted = False  # by the gradient of the logits, in this backward pass
            else:
                self._spend_backward(call, gradient)
                self.backwards += rows_of(gradient)

        images.register_hook(arrives)
        return replaced(given, images, inputs, named)

    def _leave(self, _module: nn.Module, _inputs: Any, logits: Any) -> None:
        _, call = self.running.pop() if self.running else (None, None)
        if call is None or recomputing() or not isinstance(logits, Tensor):
            return
        self.forwards += rows_of(logits)
        if logits.requires_grad:
            logits.register_hook(partial(self._count_backward, call))

    def _layer(self, _module: nn.Module, _inputs: Any) -> None:
        self.bypassed |= not self.running

    def _spend_backward(self, call: _Call, gradient: Tensor) -> None:
        if self.limit is not None and call.owners is not None:
            times = max(1, rows_of(gradient) // len(call.owners))  # several gradients at once, by `vmap`
            self.limit.backward(call.owners.repeat(times))

    def _count_backward(self, call: _Call, gradient: Tensor) -> None:
        self._spend_backward(call, gradient)
        self.backwards += rows_of(gradient)
        call.counted = True
        hidden = torch._C._functorch.is_functorch_wrapped_tensor(gradient)  # by a transform of torch.func
        if not hidden and not surely_finite(gradient):
            self.wrong_losses = self.wrong_losses + not_finite(gradient).sum()

    def check_losses(self) -> None:
        """Raise ContractError if the loss had a gradient that is not finite. The attack may have replaced it."""
        count = int(self.wrong_losses)
        if count:
            found = f"for {count} of {self.backwards} images that it was computed for"
            raise ContractError(f"the attack's loss has a gradient of NaN or infinity {found}")

    @contextmanager
    def counting(self) -> Iterator[None]:
        self.running.clear()
        with ExitStack() as stack:
            for network in self.networks:
                stack.callback(network.register_forward_pre_hook(self._enter, with_kwargs=True).remove)
                stack.callback(network.register_forward_hook(self._leave, always_call=True).remove)
                for layer in _parts_of_a_pass(network):
                    if layer not in self.networks:
                        stack.callback(layer.register_forward_pre_hook(self._layer).remove)
            yield


@contextmanager
def contiguous_gradients(network: nn.Module) -> Iterator[None]:
    """Make gradients in a network's images contiguous, in whatever memory format the network computes.

    A network in the channels-last format, as lean ones are, has gradients that `view` cannot flatten.
    """
    handle = network.register_forward_pre_hook(_with_contiguous_gradient, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _with_contiguous_gradient(_module: nn.Module, inputs: tuple[Any, ...], named: Named) -> Arguments | None:
    given = images_among(inputs, named)
    if given is None or not given.requires_grad:
        return None
    images = given.view_as(given)  # a hook on the attack's tensor would remain after the call
    images.register_hook(torch.Tensor.contiguous)
    return replaced(given, images, inputs, named)


def replaced(given: Tensor, images: Tensor, inputs: tuple[Any, ...], named: Named) -> Arguments:
    """Return the arguments of a call with other images in place of those that were given."""
    return (
        tuple(images if each is given else each for each in inputs),
        {name: images if each is given else each for name, each in named.items()},
    )


def _parts_of_a_pass(network: nn.Module) -> Iterable[nn.Module]:
    """Return layers of which some run in every pass: those of the network, and the first and last with parameters."""
    with_parameters = [part for part in network.modules() if next(part.parameters(recurse=False), None) is not None]
    layers = [*network.children(), *with_parameters[:1], *with_parameters[-1:]]
    return dict.fromkeys(layer for layer in layers if layer is not network)
