"""The index of a site as JSON, for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .boards import Point, Row
from .content import Site
from .places import attack_page, network_page

FORMAT = 1
COLUMNS = (
    "rank", "attack", "category", "value", "low", "high", "n", "pairs", "forwards", "backwards", "front", "flags",
    "run",
)  # fmt: skip
OF_HISTORY = ("run", "value", "low", "high", "comparable")


def index_json(site: Site) -> str:
    """Return all runs and leaderboards of a site as JSON, with the pages that show them."""
    number = {run.place: index for index, run in enumerate(site.runs)}
    index = {
        "format": FORMAT,
        "title": site.title,
        "runs": [
            {
                "page": f"{run.place}.html", "name": run.found.name, "date": run.found.date, "commit": run.found.commit,
                "digest": run.found.digest, "suite": run.summary.suite, "profile": run.summary.profile,
                "title": run.summary.title, "images": run.summary.images, "images_digest": run.summary.digest_of_images,
                "code": run.summary.code, "complete": run.summary.complete, "reproduce": run.summary.reproduce,
            }
            for run in site.runs
        ],
        "leaderboards": [
            {
                "page": board.page, "suite": board.suite, "profile": board.profile, "budget": board.budget,
                "norm": board.norm, "score": board.score, "relation": board.relation,
                "best": None if board.unordered else "max" if board.highest else "min",
                "images": board.images, "runs": [number[place] for place in board.runs],
                "columns": COLUMNS, "entries": [_entry(row, number) for row in board.rows],
                "history_columns": OF_HISTORY,
                "history": {name: [_point(p, number) for p in points] for name, points in board.history.items()},
            }
            for board in site.boards
        ],
        "attacks": {attack: attack_page(attack) for attack in site.runs_by_attack},
        "networks": {network: network_page(network) for network in site.runs_by_network},
    }  # fmt: skip
    return json.dumps(index, separators=(",", ":"), ensure_ascii=False) + "\n"


def _entry(row: Row, number: Mapping[str, int]) -> list[Any]:
    """Return an entry in the order of COLUMNS, with `run` as an index and `flags` as a number."""
    values = _short(row.model_dump(include={*COLUMNS})) | {
        "front": int(row.front), "flags": len(row.flags), "run": number[row.run]
    }  # fmt: skip
    return [values[name] for name in COLUMNS]


def _point(point: Point, number: Mapping[str, int]) -> list[Any]:
    """Return a score of a history in the order of OF_HISTORY."""
    values = _short(point.model_dump(include={*OF_HISTORY})) | {
        "run": number[point.run], "comparable": int(point.comparable)
    }  # fmt: skip
    return [values[name] for name in OF_HISTORY]


def _short(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with six significant digits."""
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in record.items()}
