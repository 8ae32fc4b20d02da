"""Runs are compared with runs and baselines on the command line; baselines are files."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from bench_core import load_suite, run
from bench_core.cli import app, guard
from bench_core.errors import UsageError
from bench_core.gate.baselines import load_baseline, save_baseline
from bench_core.gate.compare import compare
from bench_core.gate.snapshot import dataset_image_id, gated_score, shortened, snapshot_of_run
from bench_core.runs.record import read_record
from bench_core.scores.images import ImageSet
from bench_core.scores.labels import Labels
from bench_core.scores.rows import pack_rows, unpack_rows
from bench_core.scores.scored import LabelledScore
from bench_core.statistics import proportion

from .simulated import means, shares, snapshot

GATE = """
[gate]
"transfer.success" = { better = "higher" }
"utility.utility" = { better = "higher" }
"clean.accuracy" = { better = "higher" }
"""


@pytest.fixture
def folder(write_suite, registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of the toy suite, with a gate."""
    monkeypatch.chdir(tmp_path)
    metrics = ('clean = { recipe = "clean_accuracy" }', 'clean = { recipe = "clean_accuracy" }\nutility = { recipe = '
               '"transfer_utility" }')  # fmt: skip
    result = run(load_suite(write_suite(metrics, append=GATE)), out="results", executor="inline", registry=registry)
    return result.folder


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: str) -> tuple[int, str, list[str]]:
        code = guard(lambda: app(list(arguments), prog_name="bench", standalone_mode=False), False)
        captured = capsys.readouterr()
        return code, captured.out, captured.err.splitlines()

    return call


def worsened(folder: Path, name: str, count: int, environment: str | None = None) -> Path:
    """Return a copy of a run in which `count` images are no longer fooled, on another processor if one is given."""
    copy = folder.with_name(name)
    copy.mkdir()
    rows = []
    for row in unpack_rows(str(folder / "rows.safetensors")):
        if row.metric == "transfer":
            fooled = row.arrays["fooled"].copy()
            fooled[np.flatnonzero(fooled.any(1))[:count]] = False
            row = replace(row, arrays={**row.arrays, "fooled": fooled})  # noqa: PLW2901
        rows.append(row)
    (copy / "rows.safetensors").write_bytes(pack_rows(rows))
    facts = json.loads((folder / "run.json").read_text())
    if environment:
        facts["environment"]["processor"] = environment
    (copy / "run.json").write_text(json.dumps(facts))
    return copy


def test_a_run_passes_against_itself_and_its_own_baseline(folder: Path, bench) -> None:
    code, out, errors = bench("compare", str(folder), str(folder / "rows.safetensors"))
    assert (code, errors) == (0, [])
    assert "outcomes must be identical" in out
    assert "clean.accuracy" in out
    assert bench("baseline", "save", str(folder))[0] == 0
    code, out, errors = bench("compare", "baseline:toy.toy", str(folder), "--junit", "j.xml", "--markdown", "s.md")
    assert (code, errors) == (0, [])
    assert ElementTree.parse("j.xml").find("testsuite").get("failures") == "0"
    assert Path("s.md").read_text().startswith("### Gate passed")
    assert "first" in bench("baseline", "list")[1]


def test_a_worse_run_fails_with_exit_code_1(folder: Path, bench, monkeypatch: pytest.MonkeyPatch) -> None:
    worse = worsened(folder, "worse", 12, "another processor")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    code, out, errors = bench("compare", str(folder), str(worse), "--github", "--alpha", "0.5")
    assert (code, errors) == (1, [])
    assert "different: environment.processor" in out
    assert "::error title=bench regression::transfer.success" in out
    assert "regression" in Path("summary.md").read_text()
    code, out, _ = bench("compare", str(folder), str(worsened(folder, "flips", 1)), "--format", "json")
    assert code == 1
    assert {verdict["status"] for verdict in json.loads(out)["verdicts"]} == {"nondeterministic", "no regression"}


def test_incomparable_runs_give_exit_code_2(folder: Path, bench) -> None:
    facts = json.loads((folder / "run.json").read_text())
    other = worsened(folder, "other", 0)
    facts["images"]["ids"][0] = "0" * 64
    (other / "run.json").write_text(json.dumps(facts))
    for arguments, expected in (
        ((str(folder), str(other)), "12 against 12, 11 in common"),
        ((str(folder), "nowhere"), "nowhere: no finished run is here"),
        (("baseline:toi.toy", str(folder)), 'no baseline "toi.toy"'),
        ((str(folder), str(folder), "--format", "junitt"), 'did you mean "junit"?'),
    ):
        code, out, errors = bench("compare", *arguments)
        assert (code, out, len(errors)) == (2, "", 1)
        assert expected in errors[0]


def test_a_gate_on_an_unknown_score_is_a_fault_of_the_suite(write_suite, registry, tmp_path: Path) -> None:
    suite = load_suite(write_suite(append='[gate]\n"transfer.succes" = { better = "higher" }'))
    with pytest.raises(UsageError, match=r'gate.transfer.succes: found "transfer.succes"'):
        run(suite, out=tmp_path, executor="inline", registry=registry)


def test_a_suite_without_a_gate_gates_what_its_tables_mark_as_best(write_suite, registry, tmp_path: Path) -> None:
    last = ('value = "transfer.success"', 'value = "transfer.last"')
    plain = run(load_suite(write_suite(last)), out=tmp_path / "a", executor="inline", registry=registry)
    with pytest.raises(UsageError, match=r'nothing is gated .*the line "transfer.last" = \{ better = "higher" \}'):
        snapshot_of_run(plain.folder)
    marked = load_suite(write_suite(('format = "percent"', 'format = "percent"\nbest = "min"')))
    gated = snapshot_of_run(run(marked, out=tmp_path / "b", executor="inline", registry=registry).folder)
    assert {name: gate.better for name, gate in gated.gate.items()} == {"transfer.success": "lower"}


def test_a_baseline_changes_only_by_update_with_a_reason(folder: Path, bench) -> None:
    bench("baseline", "save", str(folder))
    path = Path("results/baselines/toy.toy.json")
    first = path.read_text()
    code, _, errors = bench("baseline", "save", str(folder))
    assert code == 2
    assert "bench baseline update --reason" in errors[0]
    assert bench("baseline", "update", str(folder))[0] == 2
    assert bench("baseline", "update", str(folder), "--reason", "  ")[0] == 2
    assert bench("baseline", "update", str(folder), "--reason", "x", "--name", "tyo")[0] == 2
    worse = worsened(folder, "worse", 3)
    assert bench("baseline", "update", str(worse), "--reason", "a better\n attack")[0] == 0
    assert json.loads(path.read_text())["history"] == ["first", r"a better\n attack"]
    assert bench("compare", "baseline:toy.toy", str(worse))[0] == 0
    assert bench("compare", "baseline:toy.toy", str(folder))[0] == 1
    path.write_text(first.replace('"is": "', '"is": "1'))
    code, _, errors = bench("compare", "baseline:toy.toy", str(folder))
    assert code == 2
    assert "was not written by bench" in errors[0]


@pytest.mark.parametrize("make", [shares, means])
def test_a_baseline_keeps_every_outcome_and_is_the_same_bytes_each_time(make, tmp_path: Path) -> None:
    before, after = make(np.random.default_rng(0), 3, 150)
    metric = "transfer.success" if make is shares else "utility.utility"
    base = snapshot(before, metric=metric)
    save_baseline(base, tmp_path / "a.json", ["first"])
    save_baseline(base, tmp_path / "b.json", ["first"])
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    kept = load_baseline(tmp_path / "a.json")
    for stored, expected in zip(kept.scores, shortened(base).scores, strict=True):
        assert stored.key == expected.key
        assert stored.ids == expected.ids
        np.testing.assert_array_equal(stored.values, expected.values)
    again = compare(kept, base)
    assert again.identical
    assert not again.failures
    assert compare(kept, snapshot(after, "base", metric=metric)).failures
    lines = (tmp_path / "a.json").read_text().splitlines()
    assert sum('"score"' in line for line in lines) == 3


def test_a_score_over_some_of_the_images_is_joined_on_those(write_suite, registry, tmp_path: Path) -> None:
    """`dropout.corrected` is over the images that fooled the source, which their number does not identify."""
    dropout = ('clean = { recipe = "clean_accuracy" }', 'dropout = { recipe = "dropout", rates = [0.5], cutout = 0.0 }')
    suite = load_suite(write_suite(dropout, append='[gate]\n"dropout.corrected" = { better = "higher" }'))
    result = run(suite, out=tmp_path, executor="inline", registry=registry)
    gated = snapshot_of_run(result.folder)
    for score in gated.scores:
        rows = result.arrays("dropout", source=score.labels["source"], attack="PGD")
        places = np.flatnonzero(rows["fooled"])
        assert 0 < len(places) < 12
        assert score.ids == tuple(gated.ids[place] for place in places)
        np.testing.assert_array_equal(score.values, rows["corrected"][places, 0])
    save_baseline(gated, tmp_path / "b.json", ["first"])
    assert not compare(load_baseline(tmp_path / "b.json"), gated).failures


def test_images_selected_by_target_are_joined_for_each_target(write_suite, registry, tmp_path) -> None:
    def folder(name: str) -> Path:
        suite = load_suite(write_suite(('rule = "all"', 'rule = "correct_by_target"'), append=GATE.replace(
            '"utility.utility" = { better = "higher" }\n', "")))  # fmt: skip
        return run(suite, out=tmp_path / name, executor="inline", registry=registry).folder

    gated = snapshot_of_run(folder("a"))
    counts = {len(score.ids) for score in gated.scores if score.metric == "transfer.success"}
    assert counts
    assert max(counts) < 12
    save_baseline(gated, tmp_path / "b.json", ["first"])
    assert not compare(load_baseline(tmp_path / "b.json"), gated).failures


def test_a_score_over_some_images_of_the_dataset_is_kept(tmp_path: Path) -> None:
    base = snapshot({"A": np.zeros(8)})
    places = [0, 3, 999]
    ids = tuple(dataset_image_id(base.dataset, place) for place in places)
    run_snapshot = replace(base, scores=(replace(base.scores[0], values=np.array([1.0, 0.0, 1.0]), ids=ids),))
    save_baseline(run_snapshot, tmp_path / "b.json", ["first"])
    (kept,) = load_baseline(tmp_path / "b.json").scores
    assert kept.ids == ids
    assert kept.values.tolist() == [1, 0, 1]


def test_a_score_without_an_image_is_void(write_suite, registry, tmp_path: Path) -> None:
    """The mean over no image is NaN, so nothing can be compared."""
    suite = load_suite(write_suite(append='[gate]\n"transfer.success" = { better = "higher" }'))
    folder = run(suite, out=tmp_path, executor="inline", registry=registry).folder
    record = read_record(folder)
    empty = LabelledScore(
        "transfer.success", Labels("S"), proportion("success", []), images=ImageSet.of("selected", [])
    )
    assert gated_score(empty, record).void == "the score is over no image"
