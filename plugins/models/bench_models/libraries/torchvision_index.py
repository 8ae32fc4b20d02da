"""Lists torchvision's classification networks and their weights; `bench_core.library_index` runs and caches `index`."""

from __future__ import annotations

from typing import Any

MEGABYTE = 2**20


def index() -> dict[str, Any]:
    """Return `networks`: network -> name in its enum of weights -> [URL, size in bytes to 3 digits of a megabyte,
    multiply-adds for an image in billions]."""
    from torchvision import models

    return {
        "networks": {
            name: {
                weights.name: [
                    weights.url,
                    round(weights.meta.get("_file_size", 0) * MEGABYTE),
                    weights.meta.get("_ops"),
                ]
                for weights in models.get_model_weights(name)
            }
            for name in models.list_models(module=models)
        }
    }
