"""Image files as a dataset: ids from the files' digests, pixels decoded when they are loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError
from bench_core.files import file_digests

from .frame import Frame

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp")


class Pictures:
    """Image files, all shown in one frame.

    The ids are not digests of pixels: to decode ImageNet's 50,000 files for a plan would take minutes. They are digests
    of what determines the pixels (see `Frame.image_id`). `load` compares the bytes that it decodes with the id, so that
    a file which changes during a run is an error and its pixels are never taken for the old ones.
    """

    def __init__(self, files: Sequence[Path], frame: Frame) -> None:
        self.files, self.frame = files, frame

    @cached_property
    def ids(self) -> Sequence[str]:
        """The images' ids. Every file is read for them, so only when they are first needed; its digest is cached."""
        return [self.frame.image_id(digest) for digest in file_digests(self.files)]

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return images [n, 3, side, side] in [0, 1]. Raises UsageError for a damaged or changed file."""
        return np.stack([self._read(index) for index in indices])

    def _read(self, index: int) -> NDArray[np.float32]:
        file = self.files[index]
        try:
            content = file.read_bytes()
            if self.frame.image_id(hashlib.sha256(content).hexdigest()) != self.ids[index]:
                raise UsageError(Fault("data", "", f"{file} has changed during the run (try the run again)"))
            return self.frame.pixels(content)
        except UsageError:
            raise
        except Exception as error:  # decoders raise errors of any type
            raise UsageError(Fault("data", "", f"cannot read the picture {file}: {error}")) from None
