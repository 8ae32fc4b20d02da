"""Reads Fashion-MNIST (Xiao et al., 2017; MIT licence) from its four idx files, and selects the 1,000 shipped images.

The files are in Debian's package `dataset-fashion-mnist`, and in `FashionMNIST/raw` under a torchvision root.
`python -m bench_models.embedded.fashion_mnist [--data DIR]` rewrites the shipped images.
"""

import argparse
import gzip
import hashlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

DEFAULT_ROOT = Path("/usr/share/datasets/fashion-mnist")
HERE = Path(__file__).parent
SHIPPED = HERE / "images.safetensors"
PER_CLASS = 100
LABELS = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def read_idx(path: Path) -> Tensor:
    """Read a gzipped idx file of uint8 values. Raises SystemExit if it cannot be read.

    The header is four bytes, of which the last is the number of dimensions, and each dimension's size as big-endian
    uint32.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
    except OSError as error:
        raise SystemExit(f"{path}: cannot read: {error.strerror or error} (give --data DIR)") from None
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">u4", dimensions, offset=4)
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions)
    return torch.from_numpy(values.reshape(shape.tolist()).copy())


def load_split(root: Path, split: str) -> tuple[Tensor, Tensor]:
    """Read the images and labels of a split.

    Args:
        root: Folder of the four idx files.
        split: "train" or "t10k", the test set.

    Returns:
        Images, uint8 [n, 1, 28, 28], and labels, int64 [n].

    Raises:
        SystemExit: A file cannot be read.
    """
    images = read_idx(root / f"{split}-images-idx3-ubyte.gz")
    labels = read_idx(root / f"{split}-labels-idx1-ubyte.gz")
    return images[:, None], labels.long()


def digest(*tensors: Tensor) -> str:
    """Return the SHA-256 of the concatenated bytes of tensors."""
    sha256 = hashlib.sha256()
    for tensor in tensors:
        sha256.update(tensor.contiguous().numpy().tobytes())
    return sha256.hexdigest()


def held_out(labels: Tensor) -> Tensor:
    """Return the indices of the shipped test images: the first 100 of each class, in file order.

    This rule was fixed before any network was trained.
    """
    return torch.cat([(labels == label).nonzero()[:PER_CLASS, 0] for label in range(len(LABELS))]).sort().values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_ROOT)
    images, labels = load_split(parser.parse_args().data, "t10k")
    selected = held_out(labels)
    tensors = {
        "images": images[selected].contiguous(),
        "labels": labels[selected].to(torch.uint8),
        "index": selected.int(),
    }
    save_file(tensors, SHIPPED, metadata={"source": "Fashion-MNIST test set", "licence": "MIT"})


if __name__ == "__main__":
    main()
