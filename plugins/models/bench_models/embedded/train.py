"""Train an embedded network: `python -m bench_models.embedded.train NAME [NAME ...] [--data DIR] [--out DIR]`.

Training is seeded and resumable: all random numbers of an epoch depend on the seed and the epoch, and the state is
saved after each epoch, so an interrupted training ends with the same weights. Networks are trained on the 60,000
training images only; the test images are used for the model card.
"""

import argparse
import os
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor, nn
from torch.nn import functional

from .fashion_mnist import DEFAULT_ROOT, HERE, digest, held_out, load_split
from .networks import ARCHITECTURES, CLASSES
from .training import batches, pgd, publish, run_epochs


@dataclass(frozen=True)
class Training:
    """Configuration of a training: stochastic gradient descent with linear warm-up and linear decay to zero."""

    architecture: str
    kind: str = "standard"  # or "adversarial" (Madry et al., 2018), or "noise" (Cohen et al., 2019)
    epochs: int = 14
    rate: float = 0.1
    decay: float = 5e-4
    batch: int = 128
    momentum: float = 0.9
    shift: int = 2  # pixels; images are shifted and mirrored at random unless 0
    eps: float = 0.1  # L-inf, adversarial only
    inner_steps: int = 2
    sigma: float = 0.25  # noise only


# A network without batch normalisation diverges at the others' learning rate and needs more epochs. At this size
# adversarial training has a better clean accuracy without augmentation.
TRAININGS = {
    **{name: Training(name) for name in ARCHITECTURES},
    "AlexNet": Training("AlexNet", epochs=20, rate=0.04),
    "ResNet-S-adv": Training("ResNet-S", "adversarial", shift=0),
    "VGG-adv": Training("VGG", "adversarial", shift=0),
    "ResNet-S-noise": Training("ResNet-S", "noise"),
}


def augment(images: Tensor, shift: int, generator: torch.Generator) -> Tensor:
    """Shift each image [n, 1, h, w] by up to `shift` pixels in each direction and mirror it with probability 1/2."""
    count, _, height, width = images.shape
    padded = functional.pad(images, [shift] * 4)
    top, left = torch.randint(0, 2 * shift + 1, (2, count, 1), generator=generator)
    columns = torch.arange(width).expand(count, width)
    mirrored = torch.rand(count, 1, generator=generator) < 0.5
    columns = torch.where(mirrored, width - 1 - columns, columns) + left
    rows = torch.arange(height) + top
    return padded[torch.arange(count)[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None]


def perturb(
    network: nn.Module, images: Tensor, labels: Tensor, training: Training, generator: torch.Generator
) -> Tensor:
    """Return adversarial examples of PGD from a uniform start, for adversarial training."""
    noise = torch.rand(images.shape, generator=generator) * 2 - 1
    adversarial = (images + training.eps * noise).clamp(0, 1)
    network.eval().requires_grad_(False)
    adversarial = pgd(
        network,
        images,
        adversarial,
        labels,
        training.eps,
        1.25 * training.eps / training.inner_steps,
        training.inner_steps,
    )
    network.train().requires_grad_(True)
    return adversarial


def train_epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    training: Training,
    epoch: int,
    seed: int,
) -> float:
    """Train one epoch in place and return the mean loss."""
    generator = torch.Generator().manual_seed(1000 * seed + epoch)
    torch.manual_seed(1000 * seed + epoch)  # dropout draws from the global generator
    steps = len(images) // training.batch
    warm, total, loss_sum = 0.15 * training.epochs * steps, training.epochs * steps, 0.0
    network.train()
    for index, chosen in enumerate(batches(len(images), training.batch, generator)):
        now = epoch * steps + index + 1
        optimiser.param_groups[0]["lr"] = training.rate * min(now / warm, (total - now) / (total - warm))
        inputs, targets = images[chosen].float() / 255, labels[chosen]
        if training.shift:
            inputs = augment(inputs, training.shift, generator)
        if training.kind == "adversarial":
            inputs = perturb(network, inputs, targets, training, generator)
        elif training.kind == "noise":
            inputs = inputs + training.sigma * torch.randn(inputs.shape, generator=generator)
        loss = functional.cross_entropy(network(inputs.contiguous(memory_format=torch.channels_last)), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss_sum += loss.item()
    return loss_sum / steps


@torch.no_grad()
def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the accuracy on images whose pixels are in [0, 255]."""
    predicted = torch.cat([network(part.float() / 255).argmax(1) for part in images.split(500)])
    return round((predicted == labels).float().mean().item(), 4)


def measure(network: nn.Module, training: Training, root: Path) -> dict[str, float]:
    """Return the accuracies of the model card, measured on the test images in evaluation mode."""
    images, labels = load_split(root, "t10k")
    chosen = held_out(labels)
    network.eval().requires_grad_(False)
    measured = {
        "accuracy_test_10000": accuracy(network, images, labels),
        "accuracy_shipped_1000": accuracy(network, images[chosen], labels[chosen]),
    }
    shipped, truth = images[chosen].float() / 255, labels[chosen]
    if training.kind == "adversarial":
        attacked = [
            pgd(network, x, x.clone(), y, training.eps, training.eps / 8, 20)
            for x, y in zip(shipped.split(250), truth.split(250), strict=True)
        ]
        measured["accuracy_shipped_pgd20_linf_0.1"] = accuracy(network, torch.cat(attacked) * 255, truth)
    if training.kind == "noise":
        noise = training.sigma * torch.randn(shipped.shape, generator=torch.Generator().manual_seed(0))
        measured["accuracy_shipped_noise_0.25"] = accuracy(network, (shipped + noise) * 255, truth)
    return measured


def train(name: str, root: Path, out: Path, seed: int) -> None:
    training = TRAININGS[name]
    state = out / "training" / f"{name}.pt"
    images, labels = load_split(root, "train")
    torch.manual_seed(seed)
    network = ARCHITECTURES[training.architecture]().to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(
        network.parameters(), training.rate, training.momentum, weight_decay=training.decay, nesterov=True
    )
    seconds = run_epochs(
        name,
        state,
        network,
        optimiser,
        training.epochs,
        lambda epoch: train_epoch(network, optimiser, images, labels, training, epoch, seed),
    )
    facts = {
        "name": name,
        "training": asdict(training),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "classes": CLASSES,
        "input": {"channels": 1, "side": 28, "range": [0.0, 1.0]},
        **measure(network, training, root),
        "seed": seed,
        "data": "Fashion-MNIST, 60,000 training images",
        "data_sha256": digest(images, labels),
    }
    publish(out, name, network, facts, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=sorted(TRAININGS), metavar="NAME", help=", ".join(TRAININGS))
    parser.add_argument("--data", type=Path, default=DEFAULT_ROOT, help="folder of the four idx files")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name in arguments.names:
        train(name, arguments.data, arguments.out, arguments.seed)


if __name__ == "__main__":
    main()
