"""Checks that an attack leaves the model and the process unchanged."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..errors import ContractError
from .checksum import checksum
from .rng_state import RandomStates, is_randomised, seed_all

HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
    "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
)  # fmt: skip


_own_changes: WeakKeyDictionary[nn.Module, frozenset[str]] = WeakKeyDictionary()


def own_changes(network: nn.Module, image: Tensor) -> frozenset[str]:
    """Return what a network changes in itself at every forward, such as running statistics; found once, and kept.

    Args:
        network: A network that has been called before, so that what it makes at its first call is there.
        image: An image [1, c, h, w].
    """
    if network not in _own_changes:
        network.eval()
        before, states = ModelState.of(network), RandomStates()
        network(image)
        states.restore()
        _own_changes[network] = frozenset(differing(before, ModelState.of(network)))
    return _own_changes[network]


def is_steady(network: nn.Module, image: Tensor) -> bool:
    """Return whether a network gives one answer to an image: it neither changes in itself nor draws random numbers."""
    return not own_changes(network, image) and not is_randomised(network, image)


@contextmanager
def guarded(model: nn.Module, seed: int | None = None, by: str = "the attack") -> Iterator[None]:
    """Check a block of code that runs an attack on a model; restore torch's settings and random states afterwards.

    Args:
        model: The network that the attack gets.
        seed: A seed for the global generators, if the attack may draw from them.
        by: What the block runs, for the error.

    Raises:
        ContractError: with a list of everything that the attack changed in the model or the process. What the network
            is known to change in itself is left out.
    """
    model_before, settings, states = ModelState.of(model), TorchSettings.current(), RandomStates()
    if seed is not None:
        seed_all(seed)
    try:
        yield
        excused = {name for module in model.modules() for name in _own_changes.get(module, ())}
        changed = [
            f"the model's {name}" for name in differing(model_before, ModelState.of(model)) if name not in excused
        ]
        changed += [f"torch's {name}" for name in differing(settings, TorchSettings.current())]
        changed += RandomStates().differing(states) if seed is None else []
        if changed:
            raise ContractError(f"{by} changed {', '.join(changed)}")
    finally:
        settings.restore()
        states.restore()


Compared = TypeVar("Compared", "ModelState", "TensorVersions", "TorchSettings")


def differing(before: Compared, after: Compared) -> list[str]:
    """Return the names of the fields that differ."""
    changed = (part for part in fields(before) if getattr(before, part.name) != getattr(after, part.name))
    return list(dict.fromkeys(part.metadata["name"] for part in changed))


@dataclass(frozen=True)
class ModelState:
    """Everything about a model that an attack must not change."""

    mode: tuple[bool, ...] = field(metadata={"name": "mode"})
    structure: tuple[tuple[str, str, int], ...] = field(metadata={"name": "structure"})
    requires_grad: tuple[bool, ...] = field(metadata={"name": "requires_grad"})
    has_gradients: tuple[bool, ...] = field(metadata={"name": "gradients"})
    hooks: tuple[tuple[int, ...], ...] = field(metadata={"name": "hooks"})
    replaced_forward: tuple[bool, ...] = field(metadata={"name": "forward method"})
    shapes: tuple[tuple[torch.dtype, torch.Size], ...] = field(metadata={"name": "parameters or buffers"})
    content: int = field(metadata={"name": "parameters or buffers"})

    @classmethod
    def of(cls, model: nn.Module) -> ModelState:
        modules = list(model.named_modules())
        parameters = list(model.parameters())
        attributes = [vars(module) for _, module in modules]  # a module's getattr is slow for missing attributes
        return cls(
            tuple(module.training for _, module in modules),
            tuple((name, type(module).__name__, id(module)) for name, module in modules),
            tuple(parameter.requires_grad for parameter in parameters),
            tuple(parameter.grad is not None for parameter in parameters),
            tuple(tuple(values.get(kind, ())) for values in attributes for kind in HOOKS),
            tuple("forward" in values for values in attributes),
            tuple((tensor.dtype, tensor.shape) for tensor in (*parameters, *model.buffers())),
            checksum(model),
        )


@dataclass(frozen=True)
class TensorVersions:
    """What changes in a model when a metric writes to it; without reading its tensors, as it is taken at every step.

    A write through `parameter.data[...]` has no version and is not seen. Tensors that the model is known to change in
    itself are left out.
    """

    mode: tuple[bool, ...] = field(metadata={"name": "mode"})
    requires_grad: tuple[bool, ...] = field(metadata={"name": "requires_grad"})
    content: tuple[tuple[str, int, int], ...] = field(metadata={"name": "parameters or buffers"})

    @classmethod
    def of(cls, model: nn.Module) -> TensorVersions:
        modules = list(model.modules())
        if any(_own_changes.get(module) for module in modules):
            return cls((), tuple(parameter.requires_grad for parameter in model.parameters()), ())
        # one walk over the tensors, shared ones twice, since torch's named_parameters() and named_buffers() take longer
        parameters = [
            (name, each) for module in modules for name, each in module._parameters.items() if each is not None
        ]
        buffers = [(name, each) for module in modules for name, each in module._buffers.items() if each is not None]
        return cls(
            tuple([module.training for module in modules]),
            tuple([parameter.requires_grad for _, parameter in parameters]),
            tuple([(name, *version_of(tensor)) for name, tensor in (*parameters, *buffers)]),
        )


def version_of(tensor: Tensor) -> tuple[int, int]:
    """Return the address of a tensor's memory and the number of writes to it, 0 where torch does not have them."""
    address = tensor.data_ptr() if tensor.layout is torch.strided else 0
    return address, 0 if tensor.is_inference() else tensor._version


@dataclass(frozen=True)
class TorchSettings:
    """Torch's settings for the whole process."""

    dtype: torch.dtype = field(metadata={"name": "default dtype"})
    grad: bool = field(metadata={"name": "grad mode"})
    threads: int = field(metadata={"name": "number of threads"})
    deterministic: tuple[bool, bool] = field(metadata={"name": "deterministic algorithms"})  # enabled, warn only
    benchmark: bool = field(metadata={"name": "cudnn benchmark"})
    tf32: tuple[bool, bool] = field(metadata={"name": "TF32"})  # matmul, cudnn

    @classmethod
    def current(cls) -> TorchSettings:
        return cls(
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.get_num_threads(),
            (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
            # torch.backends' own properties take ten times as long, and this is called twice in every forward
            torch._C._get_cudnn_benchmark(),
            (torch._C._get_cublas_allow_tf32(), torch._C._get_cudnn_allow_tf32()),
        )

    def restore(self) -> None:
        torch.set_default_dtype(self.dtype)
        torch.set_grad_enabled(self.grad)
        torch.set_num_threads(self.threads)
        set_deterministic(*self.deterministic)
        torch.backends.cudnn.benchmark = self.benchmark
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = self.tf32


def set_deterministic(enabled: bool, warn_only: bool) -> None:
    """Do as `torch.use_deterministic_algorithms`, which imports torch's compiler: more than a second in each worker."""
    torch.set_deterministic_debug_mode(("warn" if warn_only else "error") if enabled else "default")
    if "torch._inductor" in sys.modules:  # the compiler has a setting of its own
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
