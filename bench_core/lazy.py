"""`torch`, imported at its first use: planning, listing and showing need every plugin's description but no tensor."""

import importlib
from typing import Any


class _Torch:
    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("torch"), name)


torch = _Torch()
