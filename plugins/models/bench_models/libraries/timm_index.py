"""Lists timm's pretrained networks and where their weights are; `bench_core.library_index` runs and caches `index`."""

from __future__ import annotations

from typing import Any


def index() -> dict[str, Any]:
    """Return `networks`: name with its tag (`inception_v3.tf_in1k`) -> [repository of the hub or "", URL or ""]."""
    import timm

    settings = {name: timm.get_pretrained_cfg(name) for name in timm.list_models(pretrained=True)}
    return {"networks": {name: [config.hf_hub_id or "", config.url or ""] for name, config in settings.items()}}
