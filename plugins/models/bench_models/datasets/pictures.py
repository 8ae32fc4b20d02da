"""Image files as a dataset: ids from the files' digests, pixels decoded when they are loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError, raised
from bench_core.files import file_digests

from ..contents import described
from .crop import CenterCrop
from .decode import Undecodable


class Pictures:
    """Image files, resized and cropped to one size.

    The ids are not digests of pixels, because decoding ImageNet's 50,000 files for a plan would take minutes. They are
    digests of what determines the pixels (see `CenterCrop.image_id`). `load` compares the bytes that it decodes with
    the id, so that a file that changes during a run is an error.
    """

    def __init__(self, files: Sequence[Path], crop: CenterCrop) -> None:
        self.files, self.crop = files, crop

    @property
    def names(self) -> Sequence[str]:
        """The names of the files, without their suffixes."""
        return [file.stem for file in self.files]

    @cached_property
    def ids(self) -> Sequence[str]:
        """The images' ids. Every file is read for them, so only when they are first needed; its digest is cached."""
        return [self.crop.image_id(digest) for digest in file_digests(self.files)]

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return images [n, 3, side, side] in [0, 1]. Raises UsageError for a damaged or changed file."""
        return np.stack([self._read(index) for index in indices])

    def _read(self, index: int) -> NDArray[np.float32]:
        file, content = self.files[index], b""
        try:
            content = file.read_bytes()
            if self.crop.image_id(hashlib.sha256(content).hexdigest()) != self.ids[index]:
                raise UsageError(Fault("data", "", f"{file} has changed during the run (try the run again)"))
            return self.crop.pixels(content)
        except UsageError:
            raise
        except Exception as error:  # decoders raise errors of any type
            reason = str(error) if isinstance(error, Undecodable | OSError) else raised(error)
            known = "" if isinstance(error, Undecodable) or "picture" in described(content) else described(content)
            where = f"cannot read the picture {file}"
            if isinstance(error, FileNotFoundError | PermissionError):
                known = ""
            raise UsageError(Fault("data", "", f"{where}: {known or reason}")) from None
