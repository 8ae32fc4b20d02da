"""What the trainers of the networks that ship share: batches, PGD, epochs that no break loses, weights with a card."""

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
    """Ascend the cross-entropy from `start` within `eps` of the images in L-inf (Madry et al., 2018)."""
    adversarial = start
    for _ in range(steps):
        adversarial.requires_grad_(True)
        loss = functional.cross_entropy(network(adversarial), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, adversarial)
        moved = adversarial.detach() + step * gradient.sign()
        adversarial = (images + (moved - images).clamp(-eps, eps)).clamp(0, 1)
    return adversarial.detach()


def batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Give the places of whole batches, in a random order."""
    yield from torch.randperm(count, generator=generator)[: count - count % size].split(size)


def run_epochs(
    name: str,
    state: Path,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    epochs: int,
    train_epoch: Callable[[int], float],
) -> float:
    """Run the epochs that the file `state` lacks, keeping it after each; give the seconds that all of them took."""
    first, seconds = 0, 0.0
    state.parent.mkdir(parents=True, exist_ok=True)
    if state.exists():
        saved = torch.load(state, weights_only=True)
        network.load_state_dict(saved["network"])
        optimiser.load_state_dict(saved["optimiser"])
        first, seconds = saved["epoch"], saved["seconds"]
    for epoch in range(first, epochs):
        began = time.perf_counter()
        loss = train_epoch(epoch)
        seconds += time.perf_counter() - began
        print(f"{name}: epoch {epoch + 1}/{epochs}, loss {loss:.4f}, {seconds:.0f} s", flush=True)
        partial = state.with_suffix(".partial")
        kept = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
        torch.save({**kept, "epoch": epoch + 1, "seconds": seconds}, partial)
        partial.replace(state)
    return seconds


def publish(out: Path, name: str, network: nn.Module, facts: Mapping[str, Any], seconds: float) -> None:
    """Write the weights and the card, which is `facts` with the weights' digest, the cost and the licence."""
    weights, card = out / "weights" / f"{name}.safetensors", out / "cards" / f"{name}.json"
    for path in (weights, card):
        path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, weights)
    whole = dict(facts) | {
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "cost": {"seconds": round(seconds), "threads": torch.get_num_threads(), "torch": torch.__version__},
        "licence": "MIT",
    }
    card.write_text(json.dumps(whole, indent=2) + "\n")
    print(f"{name}: {whole}", flush=True)
