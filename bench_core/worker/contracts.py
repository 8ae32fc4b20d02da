"""What the host checks of an attack and of the model after it. A broken contract voids the cell."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ContractError, Fault, UsageError
from ..types import Budget

TOLERANCE = 1e-5  # of float32 arithmetic on images in [0, 1]; an eighth of a 255th of a grey level would be 4.9e-4
HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
    "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
)  # fmt: skip


def check_examples(images: Tensor, labels: Tensor, shape: tuple[int, int, int]) -> None:
    """Hold a dataset's images against what it promises. Raises UsageError: no result on other images means anything."""
    if images.dtype != torch.float32 or tuple(images.shape) != (len(labels), *shape):
        found = f"{images.dtype} {tuple(images.shape)}, not float32 {(len(labels), *shape)}"
        raise UsageError(Fault("data", "", f"the images are {found}"))
    if not (images.isfinite().all() and images.amin() >= 0 and images.amax() <= 1):
        found = f"from {images.amin().item():.4g} to {images.amax().item():.4g}"
        raise UsageError(Fault("data", "", f"the images are {found}, not in [0, 1]"))
    if labels.amin() < 0:
        raise UsageError(Fault("data", "", f"found the class {labels.amin().item()} (classes are counted from 0)"))


def check_logits(logits: Tensor, labels: Tensor, model: str, classes: int | None = None) -> None:
    """Hold a network's answers to clean images against the labels. Raises UsageError where they cannot be meant.

    `classes` is how many the dataset has, where it knows: of 1,001 outputs the first is a background.
    """
    if logits.ndim != 2 or len(logits) != len(labels) or not logits.isfinite().all():
        found = f"{'finite ' if logits.isfinite().all() else 'NaN or infinite '}answers of shape {tuple(logits.shape)}"
        raise UsageError(
            Fault(f"models.{model}", "", f"found {found} to {len(labels)} images, not logits [n, classes]")
        )
    if labels.amax() >= logits.shape[1]:
        found = f"the network knows {logits.shape[1]} classes, the data have the class {labels.amax().item()}"
        raise UsageError(Fault(f"models.{model}", "", f"{found} (other weights? data.classes?)"))
    if classes is not None and logits.shape[1] != classes:
        found = f"the network knows {logits.shape[1]} classes, the data have {classes}"
        raise UsageError(Fault(f"models.{model}", "", f"{found} (other weights? label_offset? data.classes?)"))


def check_images(clean: Tensor, images: Any, budget: Budget, quantise: bool = False) -> None:
    """Hold an attack's images against the budget. Raises ContractError with the first thing that is wrong."""
    if not isinstance(images, Tensor):
        raise ContractError(f"the attack gave {type(images).__name__}, not a tensor")
    for what in ("shape", "dtype", "device"):
        if getattr(images, what) != getattr(clean, what):
            raise ContractError(f"{what} of the images changed: {getattr(clean, what)} to {getattr(images, what)}")
    if not images.isfinite().all():
        raise ContractError("NaN or infinity in the images")
    if quantise:
        images = (images * 255).round() / 255
        clean = (clean * 255).round() / 255
    low, high = images.amin().item(), images.amax().item()
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise ContractError(f"images outside [0, 1]: from {low:.6g} to {high:.6g}")
    sizes = perturbation_size(images - clean, budget.norm)
    worst = int(sizes.argmax())
    if sizes[worst] > budget.eps + TOLERANCE * max(1.0, budget.eps):
        raise ContractError(
            f"image {worst} lies outside the {budget.norm} ball: {sizes[worst]:.6g} > eps {budget.eps:.6g}"
        )


def perturbation_size(delta: Tensor, norm: str) -> Tensor:
    """Give the size [n] of each perturbation [n, c, h, w]."""
    flat = delta.flatten(1)
    return flat.abs().amax(1) if norm == "linf" else flat.norm(dim=1)


def _content(model: nn.Module) -> str:
    state = hashlib.sha256()
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        state.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return state.hexdigest()


def _condition(model: nn.Module) -> dict[str, Any]:
    """Describe everything about a model that an attack must leave as it was."""
    named = list(model.named_modules())
    held = [vars(module) for _, module in named]  # a module's own look-up of what it lacks is slow
    return {
        "mode": [module.training for _, module in named],
        "structure": [(name, type(module).__name__, id(module)) for name, module in named],
        "requires_grad": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [parameter.grad is None for parameter in model.parameters()],
        "hooks": [tuple(each.get(kind, ())) for each in held for kind in HOOKS],
        "forward method": ["forward" in each for each in held],
        "parameters or buffers": _content(model),
    }


def _flags() -> dict[str, Any]:
    return {
        "default dtype": torch.get_default_dtype(),
        "grad mode": torch.is_grad_enabled(),
        "number of threads": torch.get_num_threads(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn benchmark": torch.backends.cudnn.benchmark,
        "TF32": (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32),
    }


def _restore(flags: dict[str, Any]) -> None:
    torch.set_default_dtype(flags["default dtype"])
    torch.set_grad_enabled(flags["grad mode"])
    torch.set_num_threads(flags["number of threads"])
    torch.use_deterministic_algorithms(flags["deterministic algorithms"])
    torch.backends.cudnn.benchmark = flags["cudnn benchmark"]
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = flags["TF32"]


@contextmanager
def guarded(model: nn.Module, seeded: int | None = None) -> Iterator[None]:
    """Run an attack on a model; afterwards both the model and the process must be as they were.

    Raises ContractError that names what changed; torch's flags and the global random states are put back whatever
    happens. A third-party attack that draws from the global generators is given `seeded` for them and may.
    """
    before, flags = _condition(model), _flags()
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    if seeded is not None:
        torch.manual_seed(seeded)
        np.random.seed(seeded % 2**32)
        random.seed(seeded)
    try:
        yield
        after, flags_after = _condition(model), _flags()
        changed = [f"the model's {name}" for name in before if before[name] != after[name]]
        changed += [f"torch's {name}" for name in flags if flags[name] != flags_after[name]]
        if seeded is None and not torch.equal(states[0], torch.get_rng_state()):
            changed.append("torch's global random state")
        if seeded is None and random.getstate() != states[2]:
            changed.append("Python's global random state")
        if seeded is None and not _same_numpy(states[1], np.random.get_state()):
            changed.append("NumPy's global random state")
        if changed:
            raise ContractError(f"the attack changed {', '.join(changed)}")
    finally:
        _restore(flags)
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])


def _same_numpy(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
