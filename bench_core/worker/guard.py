"""Checks that an attack leaves the model and the process as they were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..errors import ContractError
from .rng_state import RandomStates, seed_all

HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
    "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
)  # fmt: skip


@contextmanager
def guarded(model: nn.Module, seed: int | None = None) -> Iterator[None]:
    """Run an attack on a model. Whatever happens, torch's settings and the global random states are restored.

    Args:
        model: The network that the attack gets.
        seed: A seed for the global generators, if the attack may draw from them.

    Raises:
        ContractError: naming everything about the model or the process that the attack changed.
    """
    model_before, settings, states = _model_state(model), _settings(), RandomStates()
    if seed is not None:
        seed_all(seed)
    try:
        yield
        model_after, settings_after = _model_state(model), _settings()
        changed = [f"the model's {name}" for name in model_before if model_before[name] != model_after[name]]
        changed += [f"torch's {name}" for name in settings if settings[name] != settings_after[name]]
        changed += RandomStates().differing(states) if seed is None else []
        if changed:
            raise ContractError(f"the attack changed {', '.join(changed)}")
    finally:
        _restore(settings)
        states.restore()


def _content(model: nn.Module) -> str:
    state = hashlib.sha256()
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        state.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return state.hexdigest()


def _model_state(model: nn.Module) -> dict[str, object]:
    """Describe everything about a model that an attack must leave as it was."""
    named = list(model.named_modules())
    attributes = [vars(module) for _, module in named]  # much faster than a module's own look-up of what it lacks
    return {
        "mode": [module.training for _, module in named],
        "structure": [(name, type(module).__name__, id(module)) for name, module in named],
        "requires_grad": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [parameter.grad is None for parameter in model.parameters()],
        "hooks": [tuple(own.get(kind, ())) for own in attributes for kind in HOOKS],
        "forward method": ["forward" in own for own in attributes],
        "parameters or buffers": _content(model),
    }


def _settings() -> dict[str, Any]:
    return {
        "default dtype": torch.get_default_dtype(),
        "grad mode": torch.is_grad_enabled(),
        "number of threads": torch.get_num_threads(),
        "deterministic algorithms": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "cudnn benchmark": torch.backends.cudnn.benchmark,
        "TF32": (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32),
    }


def _restore(settings: dict[str, Any]) -> None:
    torch.set_default_dtype(settings["default dtype"])
    torch.set_grad_enabled(settings["grad mode"])
    torch.set_num_threads(settings["number of threads"])
    deterministic, warn_only = settings["deterministic algorithms"]
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
    torch.backends.cudnn.benchmark = settings["cudnn benchmark"]
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = settings["TF32"]
