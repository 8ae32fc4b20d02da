"""Every Eval Ever (github.com/evaleval/every_eval_ever): a JSON file for each network, in its datastore's layout."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench_core.errors import Fault, UsageError
from bench_core.files import safe_name
from bench_core.publishing import RunView

from .networks import NetworkScore, by_network, scores_of_networks

SCHEMA = "0.3.0"
Relationship = Literal["first_party", "third_party", "collaborative", "other"]
Availability = Literal["open_weights", "closed_weights", "unknown"]


@dataclass(frozen=True)
class EveryEvalEver:
    """Writes records of the schema `eval.schema.json`."""

    organisation: str
    developer: str
    to: str
    higher: tuple[str, ...]
    lower: tuple[str, ...]
    network: str | None
    relationship: Relationship
    availability: Availability

    def publish(self, run: RunView) -> str:
        """Write a file for each network; see `bench_core.publishing.Publisher`."""
        both = sorted({*self.higher} & {*self.lower})
        if both or not (self.higher or self.lower):
            message = (
                f"{both[0]} is in both" if both else "name the scores of which a higher or a lower value is better"
            )
            hint = "(try --set 'higher=[\"clean.accuracy\"]' or --set 'lower=[\"transfer.success\"]')"
            raise UsageError(Fault("--set", "higher, lower", f"{message} {hint}"))
        scores = [*scores_of_networks(run, "higher", self.higher)] if self.higher else []
        scores += scores_of_networks(run, "lower", self.lower) if self.lower else []
        groups = by_network(scores, self.network)
        for network, every in groups.items():
            found = [score for score in every if math.isfinite(score.value)]  # JSON has no infinity
            if not found:
                continue
            folder = Path(self.to) / "data" / safe_name(run.name) / safe_name(self.developer) / safe_name(network)
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self.record(run, network, found), indent=2, allow_nan=False) + "\n"
            (folder / f"{file_id(run, network, found)}.json").write_text(text, encoding="utf-8")
        return f"{self.to}: data/{safe_name(run.name)}/{safe_name(self.developer)}/NETWORK of {len(groups)} networks"

    def record(self, run: RunView, network: str, scores: Sequence[NetworkScore]) -> dict[str, Any]:
        """Return the record of one network."""
        now, facts = os.environ.get("SOURCE_DATE_EPOCH") or f"{time.time():.0f}", run.facts
        identity = f"{safe_name(self.developer)}/{safe_name(network)}"
        model = facts["models"].get(network, {})
        return {
            "schema_version": SCHEMA,
            "evaluation_id": f"{run.name}/{identity}/{now}",
            "retrieved_timestamp": now,
            "source_metadata": {
                "source_name": f"bench suite {run.name}", "source_type": "evaluation_run",
                "source_organization_name": self.organisation, "evaluator_relationship": self.relationship,
                "additional_details": {"reproduce": facts["reproduce"], "profile": run.profile},
            },
            "eval_library": {
                "name": "adversarial-bench", "version": str(facts["versions"].get("adversarial-bench") or "unknown"),
                "additional_details": {"code_digest": facts["host"]},
            },
            "model_info": {
                "name": network, "id": identity, "developer": self.developer,
                "inference_engine": {"name": "torch", "version": str(facts["versions"].get("torch"))},
                "additional_details": {
                    "deployment_type": "self_deployed", "model_availability": self.availability,
                    "identity": json.dumps(model.get("identity", {}), sort_keys=True),
                },
            },
            "evaluation_results": [self.result(run, score) for score in scores],
        }  # fmt: skip

    def result(self, run: RunView, score: NetworkScore) -> dict[str, Any]:
        """Return one entry of `evaluation_results`, with the interval and the number of images."""
        uncertainty: dict[str, Any] = {"num_samples": score.n}
        if math.isfinite(score.low) and math.isfinite(score.high):
            uncertainty["confidence_interval"] = {"lower": score.low, "upper": score.high, "confidence_level": 0.95}
        data, facts = run.facts["suite"]["data"], run.facts
        return {
            "evaluation_result_id": score.slug,
            "evaluation_name": score.name,
            "source_data": {
                "dataset_name": str(data["kind"]), "source_type": "other",
                "additional_details": {
                    "dataset_digest": facts["dataset"]["digest"], "attacked_images_digest": facts["images"]["digest"],
                },
            },
            "metric_config": {
                "evaluation_description": f"{run.title}: {score.setting}" if score.setting else str(run.title),
                "metric_id": f"bench.{score.metric}", "metric_name": score.metric,
                "metric_parameters": dict(score.labels), "lower_is_better": score.metric in self.lower,
            },
            "score_details": {"score": score.value, "uncertainty": uncertainty},
        }  # fmt: skip


def file_id(run: RunView, network: str, scores: Sequence[NetworkScore]) -> uuid.UUID:
    """Return a version 4 UUID that depends on the results alone, so that publishing a run again replaces its file."""
    key = [run.name, run.profile, network, run.facts["images"]["digest"], [(s.name, s.value, s.n) for s in scores]]
    return uuid.UUID(bytes=hashlib.sha256(json.dumps(key).encode()).digest()[:16], version=4)


def every_eval_ever(
    organisation: str,
    developer: str,
    to: str = "every-eval-ever",
    higher: list[str] | None = None,
    lower: list[str] | None = None,
    network: str | None = None,
    relationship: Relationship = "other",
    availability: Availability = "unknown",
) -> EveryEvalEver:
    """Write the records of a run.

    Args:
        organisation: Who evaluated the networks.
        developer: Who made the networks; the folder above theirs.
        to: The folder that gets `data/SUITE/DEVELOPER/NETWORK/UUID.json`.
        higher: The scores to write of which a higher value is better for the network, such as `clean.accuracy`.
        lower: The scores to write of which a lower value is better for the network, such as the success of attacks.
        network: The only network to write; all targets by default.
        relationship: How the evaluator relates to the developer.
        availability: Whether the weights are open.
    """
    return EveryEvalEver(
        organisation, developer, to, tuple(higher or ()), tuple(lower or ()), network, relationship, availability
    )
