"""Runs classes of a TransferAttack checkout on a given network: in place of pretrained ones, and on any device."""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .transferattack_index import PACKAGE, AttackSource

WHOLE = 0.99  # a module with this share of the parameters is the network, and what is around it its preprocessing


class Network(nn.Module):
    """A network with its preprocessing, whose layers are found as those of the network without it.

    The collection's attacks look up layers in `model[1]`, where `model[0]` is the preprocessing.
    """

    def __init__(self, whole: nn.Module) -> None:
        super().__init__()
        self.given = (whole, inner(whole))  # in a tuple, so that they are no submodules
        self._modules.update(self.given[1]._modules)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.given[0](images)
        return logits

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.given[1], name)


def inner(network: nn.Module) -> nn.Module:
    """Return the network without modules around it that have no parameters, such as a normalisation."""
    size = sum(parameter.numel() for parameter in network.parameters())
    for child in network.children():
        is_network = not isinstance(child, nn.Sequential | nn.ModuleList) and len(child._modules) > 1
        if is_network and sum(parameter.numel() for parameter in child.parameters()) >= WHOLE * size:
            return inner(child)
    return network


def wrapped(network: nn.Module) -> nn.Module:
    """Replace the collection's function that puts a preprocessing before a network: these have one."""
    return nn.Sequential(nn.Identity(), network if isinstance(network, Network) else Network(network))


class Device(TorchFunctionMode):
    """Moves to a device what code moves to "cuda", and flattens tensors that are not contiguous by a copy."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device

    def __torch_function__(
        self, function: Any, _types: Any, arguments: tuple[Any, ...] = (), named: Mapping[str, Any] | None = None
    ) -> Any:
        given = {name: self._placed(value) if name == "device" else value for name, value in (named or {}).items()}
        if function is torch.Tensor.cuda:
            return arguments[0].to(self.device)
        if function is torch.Tensor.to:
            arguments = tuple(map(self._placed, arguments))
        if function is torch.Tensor.view and all(isinstance(size, int | tuple | list) for size in arguments[1:]):
            function = torch.Tensor.reshape
        return function(*arguments, **given)

    def _placed(self, value: Any) -> Any:
        is_device = isinstance(value, torch.device) or (isinstance(value, str) and value.startswith("cuda"))
        return self.device if is_device and torch.device(value).type == "cuda" else value


def load(source: AttackSource) -> type:
    """Import an attack's class from its checkout, without the checkout's `__init__`, which may import all attacks."""
    found = sys.modules.get(PACKAGE)
    if found is None or list(found.__path__) != [str(source.checkout.package)]:
        for name in [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]:
            del sys.modules[name]
        package = ModuleType(PACKAGE)
        package.__path__ = [str(source.checkout.package)]
        sys.modules[PACKAGE] = package
        importlib.import_module(f"{PACKAGE}.utils").wrap_model = wrapped  # type: ignore[attr-defined]
    loaded: type = getattr(importlib.import_module(f"{PACKAGE}.{source.module}"), source.class_name)
    return loaded


def construct(source: AttackSource, model: nn.Module, model_name: str, arguments: Mapping[str, Any]) -> Any:
    """Build an attack on a copy of a network, which it may change, or of each member of an ensemble.

    Args:
        source: The attack.
        model: The network, or an ensemble with `members`.
        model_name: The name of the network that the attack receives.
        arguments: The other arguments of its constructor.
    """
    attack_class = load(source)
    base = importlib.import_module(f"{PACKAGE}.attack").Attack
    whole = copied(model)
    names: str | list[str] = model_name
    network: nn.Module = wrapped(whole)
    if hasattr(model, "combine"):
        ensemble = importlib.import_module(f"{PACKAGE}.utils").EnsembleModel
        network = ensemble([wrapped(member) for member in whole.members])  # type: ignore[union-attr]
        together = network.forward
        network.forward = lambda images: whole(images) if network.mode == "mean" else together(images)
        names = [model_name] * len(whole.members)  # type: ignore[arg-type]
    load_model = base.load_model
    base.load_model = lambda _attack, _names: network
    try:
        return attack_class(model_name=names, **arguments)
    finally:
        base.load_model = load_model


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of a network without layers that overwrite their input, which hooks on layers cannot bear."""
    copy_of = copy.deepcopy(model)
    for module in copy_of.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]
    return copy_of


@contextmanager
def as_on(device: torch.device) -> Iterator[None]:
    """Run code of the collection on a device. What it prints goes to stderr; `exit()` raises RuntimeError with it."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), Device(device):
            yield
    except SystemExit:
        last = printed.getvalue().strip().splitlines()[-1:]
        raise RuntimeError(" ".join([*last, "(it called exit)"])) from None
    finally:
        sys.stderr.write(printed.getvalue())
