"""Folders of networks, each with a model card and a weights file: those in bench, and those that users train."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench_core.errors import Fault, UsageError, did_you_mean


@dataclass(frozen=True)
class Zoo:
    """The networks of a folder: `cards/NAME.json` and `weights/NAME.safetensors`.

    Attributes:
        recipe: Name of the recipe that offers the networks, for error messages.
        folder: Folder that contains `cards` and `weights`.
    """

    recipe: str
    folder: Path

    def names(self) -> list[str]:
        return sorted(path.stem for path in (self.folder / "cards").glob("*.json"))

    def card(self, name: str) -> dict[str, Any]:
        """Return the model card of a network. Raises UsageError for an unknown network."""
        if name not in self.names():
            message = f'unknown network "{name}" {did_you_mean(name, self.names())}'
            raise UsageError(Fault(self.recipe, "name", message))
        content: dict[str, Any] = json.loads((self.folder / "cards" / f"{name}.json").read_text())
        return content

    def weights(self, name: str) -> Path:
        return self.folder / "weights" / f"{name}.safetensors"

    def identity(self, name: str) -> dict[str, Any]:
        """Return the digest of the weights. Raises UsageError if they are missing or their digest is not the card's."""
        path, expected = self.weights(name), self.card(name)["weights_sha256"]
        found = file_digest(path) if path.is_file() else "no file"
        if found != expected:
            raise UsageError(Fault(self.recipe, "name", f"weights of {name}: found {found}, the card says {expected}"))
        return {"weights_sha256": expected}


@cache
def file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
