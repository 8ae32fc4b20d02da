"""The test images of CIFAR-10 and CIFAR-100, from the folders that torchvision unpacks them to.

They are read without torchvision, which would bring torch into every plan.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError

from .data_root import data_path

HOME = "https://www.cs.toronto.edu/~kriz"


@dataclass(frozen=True)
class Layout:
    """Where an archive keeps its test images, and under which key their classes."""

    folder: str
    file: str
    labels: str
    archive: str


CIFAR10 = Layout("cifar-10-batches-py", "test_batch", "labels", "cifar-10-python.tar.gz")
CIFAR100 = Layout("cifar-100-python", "test", "fine_labels", "cifar-100-python.tar.gz")


class OnlyArrays(pickle.Unpickler):
    """Reads pickles of plain values and NumPy's arrays; anything else that one asks for is refused."""

    ALLOWED = frozenset({"_reconstruct", "ndarray", "dtype"})

    def find_class(self, module: str, name: str) -> Any:
        if module == "_codecs" and name == "encode":
            return super().find_class(module, name)
        if (module == "numpy" or module.startswith("numpy.")) and name in self.ALLOWED:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


class Cifar:
    """The 10,000 test images of a CIFAR archive, [3, 32, 32], in its order. Raises UsageError where it is not there."""

    shape: tuple[int, int, int] = (3, 32, 32)

    def __init__(self, layout: Layout, root: str = "") -> None:
        wanted = f"the folder that holds {layout.folder} ({HOME}/{layout.archive}, unpacked)"
        path = data_path(root, wanted) / layout.folder / layout.file
        content = read_arrays(path, wanted)
        try:
            self.pixels = np.asarray(content["data"], dtype=np.uint8).reshape(-1, *self.shape)
            self.labels: Sequence[int] = [int(label) for label in content[layout.labels]]
        except (KeyError, TypeError, ValueError):
            found = f'{path}: no images of 3 x 32 x 32 in "data" with classes in "{layout.labels}"'
            raise UsageError(Fault("data", "root", f"{found}: {wanted} is needed")) from None
        self.ids: Sequence[str] = [hashlib.sha256(image.tobytes()).hexdigest() for image in self.pixels]

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return self.pixels[list(indices)].astype(np.float32) / np.float32(255)


def read_arrays(path: Path, wanted: str) -> dict[str, Any]:
    """Read a pickled dictionary. Raises UsageError where the file is not there, or holds more than arrays."""
    try:
        with path.open("rb") as file:
            content: dict[str, Any] = OnlyArrays(file, encoding="latin1").load()
            return content
    except OSError:
        raise UsageError(Fault("data", "root", f"looked for {path}: {wanted} is needed")) from None
    except Exception as error:
        raise UsageError(Fault("data", "root", f"{path}: refused, or damaged: {error}")) from None


def cifar10(root: str = "") -> Cifar:
    return Cifar(CIFAR10, root)


def cifar100(root: str = "") -> Cifar:
    return Cifar(CIFAR100, root)
