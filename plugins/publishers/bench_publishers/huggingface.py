"""Hugging Face: `.eval_results/*.yaml`, and model cards with `model-index` metadata. Nothing is uploaded."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_core.errors import Fault, UsageError
from bench_core.files import safe_name
from bench_core.hookspecs import hookimpl
from bench_core.publishing import PublisherRecipe, RunView, code_text, escaped, text_table

from .networks import NetworkScore, by_network, scores_of_networks

BENCH_API_VERSION = 1

if importlib.util.find_spec("huggingface_hub") is None:
    raise ImportError('huggingface_hub is not installed (try pip install "adversarial-bench[huggingface]")')

TASK = "image-classification"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


@dataclass(frozen=True)
class EvalResults:
    """Writes `.eval_results/` of model repositories."""

    dataset: str
    to: str
    task: str | None
    network: str | None
    scores: tuple[str, ...]
    source_url: str | None

    def publish(self, run: RunView) -> str:
        """Write a file for each network; see `bench_core.publishing.Publisher`."""
        from huggingface_hub.utils import yaml_dump

        groups = by_network(scores_of_networks(run, "scores", self.scores), self.network)
        if self.task is not None and any(len(scores) > 1 for scores in groups.values()):
            found = next(len(scores) for scores in groups.values() if len(scores) > 1)
            message = (
                f"found {found} scores for one task (try scores=..., or leave task out: each score is then a task)"
            )
            raise UsageError(Fault("--set", "task", message))
        for network, scores in groups.items():
            folder = Path(self.to) / safe_name(network) / ".eval_results"
            folder.mkdir(parents=True, exist_ok=True)
            entries = [self.entry(score) for score in scores]
            (folder / f"{safe_name(run.name)}.yaml").write_text(yaml_dump(entries), encoding="utf-8")
        return f"{self.to}: NETWORK/.eval_results/{safe_name(run.name)}.yaml of {len(groups)} networks"

    def entry(self, score: NetworkScore) -> dict[str, Any]:
        """Return an entry of the file, whose fields are those of the Hub's `eval_results.yaml`."""
        task = self.task or score.slug
        source = {"source": {"url": self.source_url, "name": "bench"}} if self.source_url else {}
        notes = "; ".join(filter(None, [score.metric, score.setting, score.evidence, "95% interval"]))
        return {"dataset": {"id": self.dataset, "task_id": task}, "value": score.value, **source, "notes": notes}


@dataclass(frozen=True)
class ModelCards:
    """Writes or extends the `README.md` of model repositories."""

    to: str
    network: str | None
    scores: tuple[str, ...]
    dataset: str | None

    def publish(self, run: RunView) -> str:
        """Write a card for each network; see `bench_core.publishing.Publisher`."""
        from huggingface_hub import ModelCard, ModelCardData

        groups = by_network(scores_of_networks(run, "scores", self.scores), self.network)
        cards = {}
        for network, scores in groups.items():
            path = Path(self.to) / safe_name(network) / "README.md"
            text = path.read_text(encoding="utf-8") if path.exists() else f"---\n{{}}\n---\n\n# {escaped(network)}\n"
            try:
                card = ModelCard(text, ignore_metadata_errors=False)
            except ValueError as error:
                raise UsageError(Fault(str(path), "", f"its metadata cannot be read: {error}")) from None
            kept = [result for result in card.data.eval_results or [] if not is_of(run, result)]
            rest = {key: value for key, value in card.data.to_dict().items() if key != "model-index"}
            card.data = ModelCardData(
                **rest, model_name=card.data.model_name or network, eval_results=[*kept, *self.results(run, scores)]
            )
            card.text = with_section(card.text, section(run, scores))
            cards[path] = card
        for path, card in cards.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(card), encoding="utf-8")
        return f"{self.to}: NETWORK/README.md of {len(groups)} networks"

    def results(self, run: RunView, scores: Sequence[NetworkScore]) -> list[Any]:
        """Return entries of `model-index`; the interval and N are beside the value."""
        from huggingface_hub import EvalResult

        dataset = self.dataset or str(run.facts["suite"]["data"]["kind"])
        return [
            EvalResult(
                task_type=TASK, dataset_type=dataset, dataset_name=dataset, metric_type=score.metric,
                metric_name=score.name, metric_value=score.value, metric_args=arguments(run, score),
            )
            for score in scores
        ]  # fmt: skip


def arguments(run: RunView, score: NetworkScore) -> dict[str, Any]:
    """Return what `model-index` has beside a value: the run, the setting, N, and the interval."""
    interval = {} if math.isnan(score.low) else {"interval_95": [score.low, score.high]}
    return {"bench": source_of(run), **score.labels, "n": score.n, **interval}


def source_of(run: RunView) -> str:
    """Return the name by which the entries of a run are found again and replaced."""
    return f"{run.name}/{run.profile}"


def is_of(run: RunView, result: Any) -> bool:
    """Return whether an entry of `model-index` was written for this run, or an earlier one of the same suite."""
    return (result.metric_args or {}).get("bench") == source_of(run)


def section(run: RunView, scores: Sequence[NetworkScore]) -> str:
    """Return the table of a card, with intervals, and how to reproduce it."""
    table = _CardTable(run, tuple(scores))
    return f"## Robustness\n\n{text_table(table)}\nReproduce: {code_text(run.facts['reproduce'])}\n"


def with_section(text: str, content: str) -> str:
    """Put a section between bench's marks, or at the end of a card that has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.rpartition(END)  # the last one, since a command of the run may have the mark, too
    if not begin or not end:
        before, after = f"{text.rstrip()}\n\n", "\n"
    return f"{before}{BEGIN}\n{content}{END}{after}"


class _CardTable:
    """The scores of one network as a table; implements `TableView`."""

    dimensions, percent, name = 2, False, "scores"
    header = ("score", "setting", "value")

    def __init__(self, run: RunView, scores: Sequence[NetworkScore]) -> None:
        self.title = str(run.title)
        self.notes = (f"bench {run.facts['versions'].get('adversarial-bench')}; 95% intervals",)
        self.rows = tuple(((score.metric, score.setting), (_CardCell(score),)) for score in scores)


class _CardCell:
    """A score as a cell; implements `TableCellView`."""

    white_box, best, signed = False, False, False
    reference, void = None, None

    def __init__(self, score: NetworkScore) -> None:
        self.value, self.low, self.high, self.n = score.value, score.low, score.high, score.n


def eval_results(
    dataset: str,
    to: str = "huggingface",
    task: str | None = None,
    network: str | None = None,
    scores: list[str] | None = None,
    source_url: str | None = None,
) -> EvalResults:
    """Write `.eval_results/SUITE.yaml` for the repository of each network.

    Args:
        dataset: The benchmark's dataset on the Hub, such as `my-lab/robustness`.
        to: The folder; it gets a folder for each network.
        task: The task of the dataset, for a single score; by default each score is a task of its own.
        network: The only network to write; all targets by default.
        scores: The scores to write, such as `clean.accuracy`; all by default.
        source_url: Where the run can be seen.
    """
    return EvalResults(dataset, to, task, network, tuple(scores or ()), source_url)


def model_card(
    to: str = "huggingface",
    network: str | None = None,
    scores: list[str] | None = None,
    dataset: str | None = None,
) -> ModelCards:
    """Write `model-index` metadata and a table into the `README.md` of each network.

    A card that exists is kept: bench replaces only its own entries and its own section.

    Args:
        to: The folder; it has or gets a folder for each network.
        network: The only network to write; all targets by default.
        scores: The scores to write, such as `clean.accuracy`; all by default.
        dataset: The dataset's id on the Hub; the kind of the suite's dataset by default.
    """
    return ModelCards(to, network, tuple(scores or ()), dataset)


@hookimpl
def bench_publishers() -> Mapping[str, PublisherRecipe]:
    return {
        "eval-results": PublisherRecipe(
            eval_results,
            "Hugging Face: .eval_results YAML files, one per network.",
            ({"dataset": "my-lab/robustness"},),
        ),
        "model-card": PublisherRecipe(
            model_card, "Hugging Face: model-index metadata and a table in README.md, one per network."
        ),
    }
