"""What the trainers share: batches, PGD, epochs that resume after an interruption, weights with a model card."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional


def pgd(
    network: nn.Module, images: Tensor, start: Tensor, labels: Tensor, eps: float, step: float, steps: int
) -> Tensor:
    """Compute adversarial examples by PGD on the cross-entropy (Madry et al., 2018; arXiv:1706.06083).

    Args:
        network: Maps images [n, ...] to logits [n, classes].
        images: Clean images in [0, 1], [n, ...].
        start: Images to start from, [n, ...], within `eps` of the clean ones.
        labels: Classes, int64 [n].
        eps: L-inf radius, in units of the image range.
        step: Step size, in the same units.
        steps: Number of steps.

    Returns:
        Adversarial examples in [0, 1], [n, ...].
    """
    adversarial = start
    for _ in range(steps):
        adversarial.requires_grad_(True)
        loss = functional.cross_entropy(network(adversarial), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, adversarial)
        moved = adversarial.detach() + step * gradient.sign()
        adversarial = (images + (moved - images).clamp(-eps, eps)).clamp(0, 1)
    return adversarial.detach()


def batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the indices of batches in random order; an incomplete last batch is dropped.

    Args:
        count: Number of images.
        size: Number of images in a batch.
        generator: Source of the order.

    Yields:
        Indices, int64 [size].
    """
    yield from torch.randperm(count, generator=generator)[: count - count % size].split(size)


def run_epochs(
    name: str,
    state: Path,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    epochs: int,
    train_epoch: Callable[[int], float],
) -> float:
    """Train a network in place, and resume where a previous call was interrupted.

    Args:
        name: Name of the network, for the log.
        state: File of the training state, written after each epoch and read at the start if it exists.
        network: The network to train.
        optimiser: Its optimiser.
        epochs: Number of epochs in total.
        train_epoch: Function that trains the epoch of a given number, counted from 0, and returns the mean loss.

    Returns:
        Wall-clock seconds for all epochs, including those of previous calls.
    """
    next_epoch, seconds = 0, 0.0
    state.parent.mkdir(parents=True, exist_ok=True)
    if state.exists():
        saved = torch.load(state, weights_only=True)
        network.load_state_dict(saved["network"])
        optimiser.load_state_dict(saved["optimiser"])
        next_epoch, seconds = saved["epoch"], saved["seconds"]
    for epoch in range(next_epoch, epochs):
        started = time.perf_counter()
        loss = train_epoch(epoch)
        seconds += time.perf_counter() - started
        print(f"{name}: epoch {epoch + 1}/{epochs}, loss {loss:.4f}, {seconds:.0f} s", flush=True)
        partial = state.with_suffix(".partial")
        states = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
        torch.save({**states, "epoch": epoch + 1, "seconds": seconds}, partial)
        partial.replace(state)
    return seconds


def save_with_card(out: Path, name: str, network: nn.Module, facts: Mapping[str, Any], seconds: float) -> None:
    """Write the weights and the model card of a network.

    Args:
        out: Folder that contains `weights` and `cards`; both are created if they are missing.
        name: Name of the network.
        network: The trained network.
        facts: Content of the card. The digest of the weights, the cost and the licence are added to it.
        seconds: Wall-clock seconds of the training.
    """
    weights, card = out / "weights" / f"{name}.safetensors", out / "cards" / f"{name}.json"
    for path in (weights, card):
        path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, weights)
    content = dict(facts) | {
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "cost": {"seconds": round(seconds), "threads": torch.get_num_threads(), "torch": torch.__version__},
        "licence": "MIT",
    }
    card.write_text(json.dumps(content, indent=2) + "\n")
    print(f"{name}: {content}", flush=True)
