"""Lists RobustBench's networks and their files; `bench_core.library_index` runs and caches `index`."""

from __future__ import annotations

from typing import Any

from .robustbench_import import robustbench


def index() -> dict[str, Any]:
    """Return `networks`: dataset -> threat -> name -> identifiers of its files on Google Drive.

    There is one identifier for each member of an ensemble, and none where the weights come from elsewhere.
    """
    robustbench()
    from robustbench.model_zoo.models import model_dicts

    return {
        "networks": {
            dataset.value: {
                threat.value: {name: _identifiers(entry.get("gdrive_id")) for name, entry in entries.items()}
                for threat, entries in threats.items()
            }
            for dataset, threats in model_dicts.items()
        }
    }


def _identifiers(identifiers: str | list[str] | None) -> list[str]:
    return list(identifiers) if isinstance(identifiers, list) else [identifiers] if identifiers else []
