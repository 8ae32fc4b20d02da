"""Creates stand-ins for the libraries' caches and datasets: files of random weights and random pixels."""

import pickle
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision.models import get_model, get_model_weights
from torchvision.models.resnet import Bottleneck


def with_random_statistics(network: nn.Module, seed: int = 1, variance: float = 1.0) -> nn.Module:
    """Set random statistics in a network's normalisations and put it in evaluation mode, frozen.

    A random convolution with its activation keeps a sixth of the variance. With statistics of variance 1/6 the signal
    survives many layers; with a variance of 1 Inception's logits are its biases for every image. The residual branches
    of torchvision's bottlenecks get a tenth of their weight, because fifty of them would overflow.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.copy_(0.1 * torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(variance * (0.5 + torch.rand(module.num_features, generator=generator)))
        if isinstance(module, Bottleneck):
            torch.nn.init.constant_(module.bn3.weight, 0.1)
    return network.eval().requires_grad_(False)


def published(name: str) -> nn.Module:
    """Return a network as torchvision builds it for its published weights."""
    if name in ("inception_v3", "googlenet"):
        return get_model(name, weights=None, transform_input=True, aux_logits=True, init_weights=False)
    return get_model(name, weights=None)


def put_torchvision(home: Path, name: str, weights: str = "IMAGENET1K_V1", old_names: bool = False) -> nn.Module:
    """Save a network with random weights where torchvision looks for its file, below the folder `home`."""
    torch.manual_seed(1)
    network = with_random_statistics(published(name), variance=1 / 6)
    state = network.state_dict()
    if old_names:
        state = {key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value for key, value in state.items()}
        assert any("norm.1." in key for key in state)
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / Path(get_model_weights(name)[weights].url).name)
    return network


def put_timm(home: Path, hub: Path, name: str) -> nn.Module:
    """Save a network with random weights where timm looks: in the hub's cache, or in torch's if they have a URL."""
    import timm

    torch.manual_seed(1)
    network = with_random_statistics(timm.create_model(name))
    settings = timm.get_pretrained_cfg(name)
    if settings.hf_hub_id:
        folder = hub / f"models--{settings.hf_hub_id.replace('/', '--')}"
        for subfolder in ("snapshots/abc", "refs"):
            (folder / subfolder).mkdir(parents=True)
        (folder / "refs" / "main").write_text("abc")
        save_file(network.state_dict(), folder / "snapshots" / "abc" / "model.safetensors")
    else:
        folder = home / "hub" / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(network.state_dict(), folder / Path(settings.url).name)
    return network


def put_pictures(root: Path, names: dict[str, int], size: tuple[int, int] = (50, 40), suffix: str = ".png") -> None:
    """Save `names[NAME]` pictures in the folder NAME, each one pixel taller than the one before."""
    rng = np.random.default_rng(0)
    for name, count in names.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = rng.integers(0, 256, (size[1] + index, size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((size[0], size[1] + index)).save(root / name / f"{index}{suffix}")


class Harm:
    """An object whose pickle creates a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


def put_cifar(root: Path, folder: str, file: str, labels: str, count: int = 12) -> np.ndarray:
    """Save a batch of images as in the CIFAR archives and return its pixels [n, 3, 32, 32]."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 3072), dtype=np.uint8)
    (root / folder).mkdir(parents=True)
    content = {"data": pixels, labels: [i % 10 for i in range(count)], "batch_label": "a test"}
    (root / folder / file).write_bytes(pickle.dumps(content, protocol=2))
    return pixels.reshape(-1, 3, 32, 32)
