"""The baselines in results/: each is complete, and the short ones are run again and gated."""

from pathlib import Path

import pytest

from bench_core import load_suite, run
from bench_core.gate.baselines import baseline_files, load_baseline
from bench_core.gate.compare import compare
from bench_core.gate.snapshot import snapshot_of_run
from bench_core.suite.find import own_suites

BASELINES = baseline_files(Path(__file__).parents[2] / "results" / "baselines")
SHORT = [name for name in BASELINES if name.endswith(".short")]


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_is_complete_and_of_a_shipped_suite(name: str) -> None:
    baseline = load_baseline(BASELINES[name])
    assert baseline.suite in own_suites()
    assert baseline.scores
    suite = load_suite(baseline.suite, baseline.profile, baseline.made_with["overrides"])
    assert baseline.threat["loss"] == suite.loss
    assert len(baseline.ids) == (baseline.made_with["limit"] or suite.images.count)


def test_the_embedded_suites_are_no_worse_than_their_baselines(tmp_path: Path) -> None:
    """They share a folder, so that what two suites have in common is computed once."""
    assert SHORT
    failures = []
    for name in SHORT:
        baseline = load_baseline(BASELINES[name])
        suite = load_suite(baseline.suite, baseline.profile, baseline.made_with["overrides"])
        result = run(suite, out=tmp_path, limit=baseline.made_with["limit"], executor="inline")
        comparison = compare(baseline, snapshot_of_run(result.folder))
        failures += [f"{name}: {verdict.name}: {verdict.status}: {verdict.reason}" for verdict in comparison.failures]
    assert not failures
