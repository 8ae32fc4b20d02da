"""The test images of CIFAR-10 and CIFAR-100, from the folders into which torchvision unpacks them.

They are read without torchvision, because importing it imports torch, which planning must not.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError

from ..contents import described
from .data_root import data_path
from .pixel_ids import pixel_ids

URL = "https://www.cs.toronto.edu/~kriz"


@dataclass(frozen=True)
class Layout:
    """The names in an archive: its folder, the file of test images, the key of their classes."""

    folder: str
    file: str
    labels: str
    archive: str
    class_count: int


CIFAR10 = Layout("cifar-10-batches-py", "test_batch", "labels", "cifar-10-python.tar.gz", 10)
CIFAR100 = Layout("cifar-100-python", "test", "fine_labels", "cifar-100-python.tar.gz", 100)


class OnlyArrays(pickle.Unpickler):
    """Unpickles plain values and NumPy arrays, and refuses everything else: a pickle may run any code."""

    ALLOWED = frozenset({"_reconstruct", "ndarray", "dtype"})

    def find_class(self, module: str, name: str) -> Any:
        if module == "_codecs" and name == "encode":
            return super().find_class(module, name)
        if (module == "numpy" or module.startswith("numpy.")) and name in self.ALLOWED:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"it imports {module}.{name}")


class Cifar:
    """The 10,000 test images of a CIFAR archive, in its order. An id is the digest of the pixels that `load` returns.

    Args:
        layout: Which archive.
        root: The folder that holds the archive's folder. By default `BENCH_DATA`.

    Raises:
        UsageError: The archive is missing, damaged or refused.
    """

    shape: tuple[int, int, int] = (3, 32, 32)

    def __init__(self, layout: Layout, root: str = "") -> None:
        self.class_count = layout.class_count
        needed = f"the folder that holds {layout.folder} ({URL}/{layout.archive}, unpacked)"
        path = data_path(root, needed) / layout.folder / layout.file
        content = read_arrays(path, needed)
        try:
            self.pixels = np.asarray(content["data"], dtype=np.uint8).reshape(-1, *self.shape)
            self.labels: Sequence[int] = [int(label) for label in content[layout.labels]]
        except (KeyError, TypeError, ValueError):
            message = f'{path}: no images of 3 x 32 x 32 in "data" with classes in "{layout.labels}"'
            raise UsageError(Fault("data", "root", f"{message}: {needed} is needed")) from None

    @cached_property
    def ids(self) -> Sequence[str]:
        return pixel_ids(self.load, len(self.pixels))

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return self.pixels[list(indices)].astype(np.float32) / np.float32(255)


def read_arrays(path: Path, needed: str) -> dict[str, Any]:
    """Read a pickled dictionary. Raises UsageError where the file is missing, damaged, or holds more than arrays."""
    try:
        with path.open("rb") as file:
            content: dict[str, Any] = OnlyArrays(file, encoding="latin1").load()
            return content
    except OSError:
        raise UsageError(Fault("data", "root", f"looked for {path}: {needed} is needed")) from None
    except Exception as error:
        reason = described(path.read_bytes()) or error
        raise UsageError(Fault("data", "root", f"{path}: refused, or damaged: {reason}")) from None


def cifar10(root: str = "") -> Cifar:
    return Cifar(CIFAR10, root)


def cifar100(root: str = "") -> Cifar:
    return Cifar(CIFAR100, root)
