"""Train an embedded network: `python -m bench_models.embedded.train NAME [NAME ...] [--data DIR] [--out DIR]`.

Training is seeded and can be resumed: the random numbers of an epoch depend on the seed and the epoch alone, and the
state is saved after each epoch, so an interrupted training ends with the same weights. Networks are trained on the
60,000 training images; the test images are used only for the model card.
"""

import argparse
import os
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor, nn
from torch.nn import functional

from .architectures import ARCHITECTURES
from .fashion_mnist import DEFAULT_ROOT, HERE, digest, held_out, load_split
from .networks import CLASSES
from .patches import PATCHES
from .training import batches, pgd, run_epochs, save_with_card


@dataclass(frozen=True)
class Training:
    """Configuration of stochastic gradient descent with linear warm-up and linear decay to zero.

    Attributes:
        architecture: Name in `architectures.ARCHITECTURES`.
        kind: "standard", "adversarial" (Madry et al., 2018) or "noise" (Gaussian noise; Cohen et al., 2019).
        epochs: Number of epochs.
        rate: Largest learning rate.
        decay: Weight decay.
        batch: Number of images in a batch.
        momentum: Nesterov momentum.
        shift: Largest random shift in pixels. Images are also mirrored at random, unless it is 0.
        eps: L-inf radius in units of the image range; for adversarial training.
        inner_steps: Steps of PGD; for adversarial training.
        sigma: Standard deviation of the noise in units of the image range; for training on noise.
        optimiser: "sgd" with Nesterov momentum, or "adamw" (Loshchilov and Hutter, 2019) with its default momenta.
    """

    architecture: str
    kind: str = "standard"
    epochs: int = 14
    rate: float = 0.1
    decay: float = 5e-4
    batch: int = 128
    momentum: float = 0.9
    shift: int = 2
    eps: float = 0.1
    inner_steps: int = 2
    sigma: float = 0.25
    optimiser: str = "sgd"


# A network without batch normalisation diverges at the learning rate of the others and needs more epochs. For networks
# of this size, adversarial training reaches a better clean accuracy without augmentation.
TRAININGS = {
    **{name: Training(name) for name in ARCHITECTURES},
    **{name: Training(name, epochs=20, rate=2e-3, decay=0.05, optimiser="adamw") for name in PATCHES},
    "AlexNet": Training("AlexNet", epochs=20, rate=0.04),
    "ResNet-S-adv": Training("ResNet-S", "adversarial", shift=0),
    "VGG-adv": Training("VGG", "adversarial", shift=0),
    "ResNet-S-noise": Training("ResNet-S", "noise"),
}


def augment(images: Tensor, shift: int, generator: torch.Generator) -> Tensor:
    """Shift each image at random and mirror it with probability 1/2.

    Args:
        images: Images [n, 1, h, w].
        shift: Largest shift in each direction, in pixels.
        generator: Source of all random numbers.

    Returns:
        Images [n, 1, h, w], with zeros where the original has no pixels.
    """
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
    """Compute adversarial examples for training, by PGD from a uniformly random start in the L-inf ball.

    Args:
        network: The network in training mode; it is attacked in evaluation mode.
        images: Clean images in [0, 1], [n, 1, h, w].
        labels: Classes, int64 [n].
        training: Gives the radius and the number of steps.
        generator: Source of the start.

    Returns:
        Adversarial examples in [0, 1], [n, 1, h, w].
    """
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
    """Train a network in place for one epoch.

    Args:
        network: The network.
        optimiser: Its optimiser; the learning rate is set before each step.
        images: Training images, uint8 [n, 1, h, w].
        labels: Their classes, int64 [n].
        training: The configuration.
        epoch: Number of the epoch, counted from 0.
        seed: Seed of the training.

    Returns:
        The mean loss.
    """
    generator = torch.Generator().manual_seed(1000 * seed + epoch)
    torch.manual_seed(1000 * seed + epoch)  # dropout draws from the global generator
    steps = len(images) // training.batch
    warm_up, total, loss_sum = 0.15 * training.epochs * steps, training.epochs * steps, 0.0
    network.train()
    for batch, indices in enumerate(batches(len(images), training.batch, generator)):
        step = epoch * steps + batch + 1
        optimiser.param_groups[0]["lr"] = training.rate * min(step / warm_up, (total - step) / (total - warm_up))
        inputs, targets = images[indices].float() / 255, labels[indices]
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


def make_optimiser(network: nn.Module, training: Training) -> torch.optim.Optimizer:
    parameters, rate, decay = network.parameters(), training.rate, training.decay
    if training.optimiser == "adamw":
        return torch.optim.AdamW(parameters, rate, weight_decay=decay)
    return torch.optim.SGD(parameters, rate, training.momentum, weight_decay=decay, nesterov=True)


@torch.no_grad()
def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the accuracy, rounded to 1e-4, on images [n, 1, h, w] in [0, 255] with labels [n]."""
    predicted = torch.cat([network(batch.float() / 255).argmax(1) for batch in images.split(500)])
    return round((predicted == labels).float().mean().item(), 4)


def measure(network: nn.Module, training: Training, root: Path) -> dict[str, float]:
    """Measure the accuracies of the model card on the test images.

    Args:
        network: The trained network; it is left in evaluation mode and frozen.
        training: Decides which accuracies under attack or noise are measured.
        root: Folder of the four idx files.

    Returns:
        Accuracies by their key in the card.
    """
    images, labels = load_split(root, "t10k")
    selected = held_out(labels)
    network.eval().requires_grad_(False)
    measured = {
        "accuracy_test_10000": accuracy(network, images, labels),
        "accuracy_shipped_1000": accuracy(network, images[selected], labels[selected]),
    }
    shipped, truth = images[selected].float() / 255, labels[selected]
    if training.kind == "adversarial":
        adversarial = [
            pgd(network, x, x.clone(), y, training.eps, training.eps / 8, 20)
            for x, y in zip(shipped.split(250), truth.split(250), strict=True)
        ]
        measured["accuracy_shipped_pgd20_linf_0.1"] = accuracy(network, torch.cat(adversarial) * 255, truth)
    if training.kind == "noise":
        noise = training.sigma * torch.randn(shipped.shape, generator=torch.Generator().manual_seed(0))
        measured["accuracy_shipped_noise_0.25"] = accuracy(network, (shipped + noise) * 255, truth)
    return measured


def train(name: str, root: Path, out: Path, seed: int) -> None:
    """Train a network and save its weights and model card.

    Args:
        name: Name in `TRAININGS`.
        root: Folder of the four idx files.
        out: Folder of the zoo. The state of the training is kept in its subfolder `training`.
        seed: Seed of the initial weights, the augmentation and the order of the images.

    Raises:
        SystemExit: The training images cannot be read.
    """
    training = TRAININGS[name]
    state = out / "training" / f"{name}.pt"
    images, labels = load_split(root, "train")
    torch.manual_seed(seed)
    network = ARCHITECTURES[training.architecture]().to(memory_format=torch.channels_last)
    optimiser = make_optimiser(network, training)
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
    save_with_card(out, name, network, facts, seconds)


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
