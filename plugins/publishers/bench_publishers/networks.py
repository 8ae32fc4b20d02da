"""The scores of a run by the network that they evaluate."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench_core.errors import Fault, UsageError, did_you_mean
from bench_core.publishing import RunView, interval_text

NUMBERS = ("value", "low", "high", "n", "void", "metric")


@dataclass(frozen=True)
class NetworkScore:
    """A score of one network.

    Attributes:
        metric: Its name, METRIC.SCORE.
        network: The label of the network in the suite.
        labels: The attack, source, budget and so on; without the network.
        value: The value.
        low: The lower end of the 95% interval; NaN if there is none.
        high: The upper end.
        n: The number of images.
    """

    metric: str
    network: str
    labels: Mapping[str, str]
    value: float
    low: float
    high: float
    n: int

    @property
    def name(self) -> str:
        return " ".join([self.metric, *self.labels.values()])

    @property
    def slug(self) -> str:
        """The name without spaces and slashes, for identifiers."""
        return re.sub(r"[^\w.-]+", "_", self.name)

    @property
    def setting(self) -> str:
        """The labels as text, such as `attack PGD, source VGG`."""
        return ", ".join(f"{name} {value}" for name, value in self.labels.items())

    @property
    def evidence(self) -> str:
        """The value with its interval and number of images."""
        return f"{interval_text(self.value, self.low, self.high, percent=False)}, N = {self.n}"


def scores_of_networks(run: RunView, option: str, wanted: Sequence[str] = ()) -> list[NetworkScore]:
    """Return the scores that have a target, without the void ones.

    Args:
        run: The run.
        option: The publisher's option that names the scores, for errors.
        wanted: The names of the scores; all by default.

    Raises:
        UsageError: A score is not in the run, or the run has none with a target.
    """
    records = [record for record in run.records() if record.get("target") is not None and record["void"] is None]
    known = {record["metric"] for record in records}
    if not known:
        raise UsageError(Fault(str(run.folder), "", "no score of this run is about a target"))
    faults = [
        Fault("--set", option, f'unknown score "{name}" {did_you_mean(name, known)}')
        for name in wanted
        if name not in known
    ]
    if faults:
        raise UsageError(*faults)
    return [_score(record) for record in records if not wanted or record["metric"] in wanted]


def _score(record: Mapping[str, Any]) -> NetworkScore:
    labels = {
        name: str(value) for name, value in record.items() if name not in (*NUMBERS, "target") and value is not None
    }
    low, high = (math.nan if record[end] is None else float(record[end]) for end in ("low", "high"))
    value = math.nan if record["value"] is None else float(record["value"])
    return NetworkScore(record["metric"], record["target"], labels, value, low, high, int(record["n"]))


def by_network(scores: Sequence[NetworkScore], network: str | None = None) -> dict[str, list[NetworkScore]]:
    """Group scores by network. Raises UsageError if the only network that is wanted has none."""
    groups: dict[str, list[NetworkScore]] = {}
    for score in scores:
        if not math.isnan(score.value):
            groups.setdefault(score.network, []).append(score)
    if network is None:
        return groups
    if network not in groups:
        raise UsageError(Fault("--set", "network", f'unknown network "{network}" {did_you_mean(network, groups)}'))
    return {network: groups[network]}
