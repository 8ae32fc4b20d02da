"""Watches the networks of a job, so that a network that fails is named, and spoils no result but its own.

People's networks change their input in place, answer with tuples or in half precision, and have gradients of NaN. So a
network gets a copy of its images. Its answers become float32 where they arrive, and are checked, as are its gradients.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import NetworkFault, UsageError, raised
from .checks import waits
from .guard import TorchSettings

BLAMED = "bench_network"  # the attribute of an exception that holds the watch of the network that raised it


@dataclass(frozen=True)
class Named:
    """A network of a job: the label of the model that it belongs to, and the option that names it if it is a part."""

    label: str
    part: str
    network: nn.Module


class Watch:
    """The watch of one network. Its hooks copy the input, convert the answer, and count what is not finite.

    The counts stay on the device of the images until `settle`, because reading one makes the device wait.
    """

    def __init__(self, label: str, part: str) -> None:
        self.label, self.part = label, part
        self.fault = ""
        self.forget()
        self.calls: list[tuple[Tensor | None, TorchSettings]] = []

    def __deepcopy__(self, _memo: Any) -> Watch:
        """Return the watch itself, so that a copy of the network that an attack makes is watched too."""
        return self

    def forget(self) -> None:
        """Forget the counts."""
        self.answers: Tensor | int = 0
        self.gradients: Tensor | int = 0
        self.seen = 0

    def enter(self, _network: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Replace the images by a copy. A gradient goes through it."""
        args, kwargs = tuple(map(_copied, args)), {name: _copied(value) for name, value in kwargs.items()}
        tensors = (value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        self.calls.append((next(tensors, None), TorchSettings.current()))
        return args, kwargs

    def leave(self, _network: nn.Module, _args: Any, _kwargs: Any, answer: Any) -> Tensor | None:
        """Check an answer and return it in float32; in float64 if the images are. Mark an exception on its way out.

        Torch's settings are put back, because some networks switch gradients off for the whole process.
        """
        images, settings = self.calls.pop() if self.calls else (None, TorchSettings.current())
        if settings != TorchSettings.current():
            settings.restore()
        error = sys.exc_info()[1]
        if answer is None and error is not None:
            if not hasattr(error, BLAMED):  # an inner network has marked it before
                setattr(error, BLAMED, self)
            return None
        if images is None or torch._C._functorch.is_functorch_wrapped_tensor(images):
            return None  # a transform of torch.func hides the values
        fault = wrong_form(answer, len(images))
        if fault:
            self.fault = self.fault or fault  # kept, in case that the caller swallows the exception
            raise self.blame(fault)
        logits: Tensor = answer.to(torch.float64 if images.dtype == torch.float64 else torch.float32)
        self._count(images, logits)
        return logits

    def _count(self, images: Tensor, logits: Tensor) -> None:
        self.seen += len(images)
        if not surely_finite(logits):
            self.answers = self.answers + (not_finite(logits) & ~not_finite(images)).sum()
        if images.requires_grad and logits.requires_grad:
            arriving: list[Tensor] = []
            logits.register_hook(lambda gradient: arriving.append(gradient.detach()))
            images.register_hook(lambda gradient: self._count_gradient(gradient, arriving))

    def _count_gradient(self, gradient: Tensor, arriving: list[Tensor]) -> None:
        """Count the images whose gradient became infinite or NaN on its way through the network, not in the loss."""
        if arriving and not surely_finite(gradient):
            self.gradients = self.gradients + (not_finite(gradient) & ~not_finite(arriving[-1])).sum()
        arriving.clear()

    def settle(self) -> None:
        """Raise NetworkFault if the network did something wrong since `forget`."""
        if self.fault:
            raise self.blame(self.fault)
        for count, what in ((self.answers, "answered with"), (self.gradients, "has a gradient of")):
            if isinstance(count, Tensor) and count.item():
                raise self.blame(f"{what} NaN or infinity for {count.item()} of {self.seen} images that it was given")

    def blame(self, fault: str) -> NetworkFault:
        return NetworkFault(self.label, f"(its {self.part}) {fault}" if self.part else fault, fault == self.fault)


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def surely_finite(values: Tensor) -> bool:
    """Return whether all values are finite, as found in one operation; False on a device that would have to wait."""
    return not waits(values.device) and math.isfinite(values.detach().sum().item())


def not_finite(values: Tensor) -> Tensor:
    """Return which rows of values [n, ...] have a NaN or an infinity, bool [n]."""
    return ~values.detach().flatten(1).sum(1).isfinite()


def wrong_form(answer: Any, count: int) -> str:
    """Return what is wrong with the form of a network's answer for `count` images; "" if nothing is."""
    if answer is None:
        return "answered with nothing, not logits [n, classes]"
    if not isinstance(answer, Tensor):
        name = type(answer).__name__
        return f"answered with {'an' if name[0].lower() in 'aeiou' else 'a'} {name}, not logits [n, classes]"
    if not answer.is_floating_point():
        return f"answered with {str(answer.dtype).split('.')[-1]}, not logits [n, classes]"
    if answer.ndim < 2 or len(answer) != count:
        return f"answered with shape {tuple(answer.shape)} for {count} images, not logits [n, classes]"
    return ""


class Watches:
    """The watches of a job's networks, by network."""

    def __init__(self, watches: Mapping[nn.Module, Watch]) -> None:
        self.by_network = watches

    def settle(self) -> None:
        """Raise NetworkFault for the first network that did something wrong."""
        for watch in self.by_network.values():
            watch.settle()

    def forget(self, network: nn.Module) -> None:
        """Forget what was counted of a network and of all others that it may have called."""
        for module in network.modules():
            if module in self.by_network:
                self.by_network[module].forget()

    def blamed(self, error: BaseException) -> NetworkFault | None:
        """Return the fault of the network that caused an exception, or None if none did."""
        try:
            self.settle()  # NaN in an answer comes before whatever followed from it
        except NetworkFault as fault:
            return fault
        following: BaseException | None = error
        while following is not None:
            if isinstance(following, NetworkFault):
                return following
            if hasattr(following, BLAMED):
                watch: Watch = getattr(following, BLAMED)
                return watch.blame(raised(following))
            following = following.__cause__ or following.__context__
        return None


@contextmanager
def watched(networks: Iterable[Named]) -> Iterator[Watches]:
    """Watch networks. An exception that one of them caused becomes a NetworkFault; a UsageError stays one.

    Args:
        networks: The networks and their parts; one that has two names is watched under the first.
    """
    watches: dict[nn.Module, Watch] = {}
    with ExitStack() as stack:
        for named in networks:
            if named.network in watches:
                continue
            watch = watches[named.network] = Watch(named.label, named.part)
            stack.callback(named.network.register_forward_pre_hook(watch.enter, with_kwargs=True).remove)
            hook = named.network.register_forward_hook(watch.leave, with_kwargs=True, always_call=True)
            stack.callback(hook.remove)
        found = Watches(watches)
        try:
            yield found
            found.settle()
        except (UsageError, NetworkFault):
            raise
        except Exception as error:
            fault = found.blamed(error)
            if fault is None:
                raise
            raise fault from error
