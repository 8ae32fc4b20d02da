"""Builds the networks, attacks and metrics that jobs name, and keeps the most recently used networks."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary

import torch
from torch import nn

from ..errors import Fault, UsageError
from ..planning.jobs import AttackJob
from ..planning.specs import AttackSpec, MetricSpec, ModelSpec
from ..registry import Offer, Registry
from ..types import Attack, Budget, Metric, Precision
from .guard import TorchSettings
from .precision import InBfloat16
from .watch import Named

MODELS_KEPT = 24
KEPT_SHARE = 0.25  # of a limit of memory, for networks that are kept for later jobs
MEMORY_FOR_MODELS = 0.5  # share of a GPU's memory; the rest is for batches

_sizes: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()


class Builder:
    """Builds what jobs name, and keeps the networks until `evict`.

    Networks are not evicted within a job, because a rebuilt network would lack the hooks that the job has registered.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.models: OrderedDict[str, nn.Module] = OrderedDict()

    def model(self, spec: ModelSpec, device: str) -> nn.Module:
        """Return a network in evaluation mode with frozen parameters; build it unless it is kept."""
        key = repr((spec.recipe, spec.options, spec.parts, spec.identity))
        if key in self.models:
            self.models.move_to_end(key)
            return self.models[key]
        offer = self._offer("models", spec.recipe, spec.code)
        parts = {
            option: [self.model(part, device) for part in value]
            if isinstance(value, tuple)
            else self.model(value, device)
            for option, value in spec.parts.items()
        }
        settings = TorchSettings.current()
        with torch.random.fork_rng(devices=[]):  # layers draw initial weights, which loading replaces
            model: nn.Module = offer.build(**spec.options, **parts)
        settings.restore()  # some libraries set the number of threads, or switch gradients off
        model = model.to(device).eval().requires_grad_(False)
        self.models[key] = model
        return model

    def named(self, specs: Mapping[str, ModelSpec], device: str) -> list[Named]:
        """Return the networks of some models with their labels, and then their parts, built unless they are kept."""
        whole = [Named(label, "", self.model(spec, device)) for label, spec in specs.items()]
        return whole + [
            Named(label, option, inner.network)
            for label, spec in specs.items()
            for option, part in parts_of(spec)
            for inner in self.named({label: part}, device)
        ]

    def counted(self, spec: ModelSpec, device: str) -> list[nn.Module]:
        """Return the networks of a model whose calls are passes: itself, or its members, and the parts of these."""
        ensemble = any(isinstance(value, tuple) for value in spec.parts.values())
        inner = [network for _, part in parts_of(spec) for network in self.counted(part, device)]
        return inner if ensemble else [self.model(spec, device), *inner]

    def source(self, job: AttackJob, precision: Precision) -> nn.Module:
        """Return the network that is attacked: a single one, or the ensemble of the source's members."""
        members = [self.model(job.models[name], job.environment.device) for name in job.members]
        if precision == "bfloat16":
            members = [InBfloat16(member).eval() for member in members]
        if len(members) == 1:
            return members[0]
        offer = self.registry.find("models", "ensemble", "models", "ensemble")
        ensemble: nn.Module = offer.build(members=members, combine=job.combine)
        return ensemble.eval()

    def attack(self, spec: AttackSpec, budget: Budget) -> Attack:
        offer = (
            self.registry.compose(spec.names, "attack", "parts")
            if spec.joined
            else self._offer("attacks", spec.names[0], spec.code)
        )
        attack: Attack = offer.build(budget, **spec.options)
        return attack

    def metric(self, spec: MetricSpec) -> Metric:
        metric: Metric = self._offer("metrics", spec.recipe, spec.code).build(**spec.options)
        return metric

    def make_room(self, needed: Iterable[Named], limit: int | None) -> None:
        """Evict networks that a job does not need, so that all take no more than their share of a worker's memory.

        Args:
            needed: The networks that the job needs, which were used last.
            limit: The bytes that the worker may take; None for no limit.
        """
        if limit is not None:
            least = sum(memory_of(network) for network in {named.network for named in needed})
            self._evict(max(least, KEPT_SHARE * limit))

    def evict(self, device: str) -> None:
        """Evict least recently used networks while there are too many, or they take too much of a GPU's memory."""
        self._evict(MEMORY_FOR_MODELS * gpu_memory(device) if device.startswith("cuda") else math.inf)

    def _evict(self, room: float) -> None:
        while len(self.models) > MODELS_KEPT or (len(self.models) > 1 and self._bytes() > room):
            self.models.popitem(last=False)

    def _bytes(self) -> int:
        return sum(map(memory_of, self.models.values()))

    def clear(self) -> None:
        """Evict all networks, so that the next job builds them again."""
        self.models.clear()

    def _offer(self, kind: str, name: str, code: str) -> Offer:
        offer = self.registry.find(kind, name, "worker", kind)
        if offer.code != code:
            raise UsageError(Fault("worker", f"{kind}.{name}", "the code of the plugin here differs from the plan's"))
        return offer


def parts_of(spec: ModelSpec) -> list[tuple[str, ModelSpec]]:
    """Return the models that a model is made of, each with the option that names it."""
    return [
        (option, part)
        for option, value in spec.parts.items()
        for part in (value if isinstance(value, tuple) else (value,))
    ]


def gpu_memory(device: str) -> int:
    """Return the memory of a GPU in bytes."""
    total: int = torch.cuda.get_device_properties(device).total_memory
    return total


def memory_of(network: nn.Module) -> int:
    """Return the bytes that a network's parameters and buffers take, counted once for each network."""
    if network not in _sizes:
        tensors = (*network.parameters(), *network.buffers())
        _sizes[network] = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return _sizes[network]
