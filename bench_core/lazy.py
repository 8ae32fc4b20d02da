"""`torch`, imported on first use, so that planning, listing and showing can import plugins without it."""

import importlib
from typing import Any


class _Torch:
    module: Any = None

    def __getattr__(self, name: str) -> Any:
        if self.module is None:  # attacks read attributes many times a step, and finding the module takes longer
            self.module = importlib.import_module("torch")
        return getattr(self.module, name)


torch = _Torch()
