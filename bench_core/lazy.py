"""`torch`, imported on first use, so that planning, listing and showing can import plugins without it."""

import importlib
from typing import Any


class _Torch:
    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("torch"), name)


torch = _Torch()
