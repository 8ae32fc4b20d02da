"""The badge: the worst value of a score with its interval, the verdict as a colour, text that cannot become markup."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from bench_core.errors import UsageError
from bench_core.gate.badge import GREEN, RED, Badge, badge, svg
from bench_core.gate.compare import compare
from bench_core.gate.snapshot import GatedScore, Snapshot
from bench_core.statistics import bootstrap, wilson
from bench_core.suite.outputs import GateEntry

IDS = tuple(f"{place:016x}" for place in range(100))
NAMESPACE = "{http://www.w3.org/2000/svg}"


def of(name: str, better: str = "higher", **correct: int) -> Snapshot:
    """Return a run in which each network classifies so many of 100 images correctly."""
    scores = tuple(
        GatedScore("robust.accuracy", {"source": label}, (np.arange(100) < count).astype(float), IDS)
        for label, count in correct.items()
    )
    gate = {"robust.accuracy": GateEntry(better=better)}  # type: ignore[arg-type]
    dataset = {"count": 100, "digest": "d"}
    return Snapshot(name, "suite", "ci", gate, {}, {"environment.torch": name}, IDS, dataset, scores)


def test_it_shows_the_worst_network_with_its_interval() -> None:
    low, high = wilson(40, 100)
    shown = badge(of("run", A=60, B=40))
    assert shown.label == "robust.accuracy"
    assert shown.message == f"40.0% [{100 * low:.1f}, {100 * high:.1f}]"
    assert badge(of("run", better="lower", A=60, B=40)).message.startswith("60.0% ")


def test_a_mean_that_is_no_share_has_the_bootstrap_interval_and_each_score_its_own_direction() -> None:
    values = np.linspace(0.2, 0.9, 100)
    scores = tuple(
        GatedScore("distance.mean", {"source": name}, values + move, IDS) for name, move in (("A", 0), ("B", 1))
    )
    run = of("run", A=60)
    gate = {**run.gate, "distance.mean": GateEntry(better="lower")}
    run = replace(run, gate=gate, scores=(*run.scores, *scores))
    low, high = bootstrap(values + 1)
    assert high - low > 0.01
    assert badge(run, "distance.mean").message == f"1.55 [{low:.4g}, {high:.4g}]"
    assert badge(run).message.startswith("60.0% "), "the first score of the gate"


def test_a_comparison_decides_the_colour() -> None:
    base, same, worse = of("base", A=60), of("same", A=60), of("worse", A=30)
    for run, colour, verdict in ((same, GREEN, "no worse"), (worse, RED, "worse")):
        shown = badge(run, comparison=compare(base, run))
        assert (shown.colour, shown.message.partition(" · ")[2]) == (colour, verdict)


def test_an_unknown_or_void_score_is_one_line() -> None:
    run = of("run", A=60)
    with pytest.raises(UsageError, match=r'gates no score "robust.accuracies" \(did you mean "robust.accuracy"\?\)'):
        badge(run, "robust.accuracies")
    void = GatedScore("robust.accuracy", {}, np.empty(0), (), void="no memory")
    with pytest.raises(UsageError, match="is void: no memory"):
        badge(Snapshot("run", "s", "p", run.gate, {}, {}, IDS, run.dataset, (void,)))


def test_the_picture_is_one_sentence_without_markup_or_addresses() -> None:
    text = svg(Badge('<script>"&', "40.0% \x1b[31m"))
    root = ElementTree.fromstring(text)
    assert root.tag == f"{NAMESPACE}svg"
    (title,) = root.iter(f"{NAMESPACE}title")
    assert root.get("aria-label") == title.text == '<script>"&: 40.0% \\x1b[31m'
    shown = [each.text for each in root.iter(f"{NAMESPACE}text")]
    assert shown == ['<script>"&', "40.0% \\x1b[31m"]
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert float(root.get("width", "0")) < 300
    assert float(ElementTree.fromstring(svg(Badge("a" * 5000, "b"))).get("width", "0")) < 1000


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bench_core.cli import app
    from bench_core.gate.baselines import save_baseline

    save_baseline(of("run", A=60), tmp_path / "base.json", ["first"])
    arguments = ["badge", str(tmp_path / "base.json"), "--to", str(tmp_path / "badge.svg"), "--label", "mine"]
    app([*arguments, "--against", str(tmp_path / "base.json")], standalone_mode=False)
    assert "mine: 60.0% [50.2, 69.1] · no worse" in (tmp_path / "badge.svg").read_text()
    assert "mine: 60.0%" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"--to: .* is a folder \(try .*badge\.svg\)"):
        app(["badge", str(tmp_path / "base.json"), "--to", str(tmp_path)], standalone_mode=False)
