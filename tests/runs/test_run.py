"""A complete run: the same numbers on every executor and after any interruption."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench_core import load_result, load_suite, run
from bench_core.errors import Incomplete, Interrupted, UsageError
from bench_core.executors.inline import Inline
from bench_core.planning.plan import make_plan, stored_cells
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite
from bench_core.store import Store


def tables_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "tables").iterdir())}


def test_a_run_writes_its_files_and_can_be_shown_again(registry: Registry, write_suite, tmp_path) -> None:
    result = run(write_suite(), out=tmp_path / "r", registry=registry, executor="inline")
    folder = tmp_path / "r" / "toy" / "toy"
    assert result.folder == folder
    facts = json.loads((folder / "run.json").read_text())
    assert {"suite", "images", "models", "environment", "versions", "seed", "host", "reproduce"} <= set(facts)
    assert len(facts["images"]["ids"]) == 12
    lines = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    assert lines == result.records()
    again = load_result(folder, registry)
    assert again.records() == result.records()
    assert again.tables == result.tables
    assert {"main.txt", "main.md", "main.csv", "main.tex", "main.json"} <= set(tables_of(folder))
    fooled = result.arrays("transfer", source="A", attack="PGD", target="B")["fooled"]
    assert fooled.shape == (12, 4)
    for metric, labels, message in (
        ("transfer", {"source": "A"}, r"^arrays: \d+ sets of rows of transfer have these .*differ in .*target"),
        ("transfr", {}, r'^arrays: unknown metric "transfr" \(did you mean "transfer"'),
        ("transfer", {"sauce": "A"}, r'^arrays: transfer has no label "sauce" \(did you mean "source"'),
        ("transfer", {"attack": "PDG"}, r'^arrays: transfer: attack: found "PDG" \(did you mean "PGD"'),
    ):
        with pytest.raises(UsageError, match=message):
            result.arrays(metric, **labels)


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_bits(
    registry: Registry, write_suite, tmp_path
) -> None:
    random = ("[data]", "random_start = true\n[data]")
    rows = []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        suite = write_suite(random, ("[data]", f"seed = {seed}\n[data]"), name=name)
        result = run(suite, out=tmp_path / name, registry=registry, executor="inline")
        rows.append(result.arrays("attack", source="A", attack="PGD"))
    assert np.array_equal(rows[0]["l2"], rows[1]["l2"])
    assert not np.array_equal(rows[0]["l2"], rows[2]["l2"])


def test_nothing_is_computed_twice(registry: Registry, write_suite, tmp_path, monkeypatch) -> None:
    done = count_tasks(monkeypatch)
    run(write_suite(), out=tmp_path, registry=registry, executor="inline")
    first = len(done)
    assert first == 1 + 2 * 3  # the clean images on all models; two sources, three micro-batches
    run(write_suite(), out=tmp_path, registry=registry, executor="inline")
    assert len(done) == first
    renamed = write_suite(
        ('"A" =', '"New" ='), ('["A", ["A", "B"]]', '["New", ["New", "B"]]'), ('["A", "B"]\n', '["New", "B"]\n')
    )
    result = run(renamed, out=tmp_path, registry=registry, executor="inline")
    assert len(done) == first, "a label is no part of an address"
    assert "New" in {score.labels.get("source") for score in result.scores}


def count_tasks(monkeypatch) -> list[str]:
    done: list[str] = []
    original = Inline.run

    def counted(self, tasks):
        for outcome in original(self, tasks):
            done.append(outcome.address)
            yield outcome

    monkeypatch.setattr(Inline, "run", counted)
    return done


def test_a_new_target_computes_only_what_it_adds(registry: Registry, write_suite, tmp_path) -> None:
    out = tmp_path / "r"
    few = write_suite(('targets = ["A", "B"]', 'targets = ["A"]'), ('["A", ["A", "B"]]', '["A"]'), name="few")
    run(few, out=out, registry=registry, executor="inline")
    more = write_suite(('["A", ["A", "B"]]', '["A"]'), name="more")
    plan = make_plan(resolve_suite(load_suite(more), registry), Store(out / "store"))
    missing = {cell.target for job in plan.jobs for cell in plan.missing(job)}
    assert missing == {"B"}


@pytest.mark.parametrize(("over", "usual"), [("all", {"A", "B"}), ("selected", {"B"})])
def test_a_metric_of_clean_images_is_computed_for_the_models_it_names(
    over, usual, registry, write_suite, tmp_path
) -> None:
    def models_of(models: str) -> set[str]:
        metric = f'{{ recipe = "clean_accuracy", over = "{over}"{models} }}'
        changes = ('targets = ["A", "B"]', 'targets = ["B"]'), ('{ recipe = "clean_accuracy" }', metric)
        result = run(write_suite(*changes), out=tmp_path / "r", registry=registry, executor="inline")
        return {score.labels["target"] for score in result.scores if score.metric == "clean.accuracy"}

    assert models_of("") == usual
    assert models_of(', models = ["A"]') == {"A"}
    with pytest.raises(UsageError, match=r'metrics\.clean\.models.*"C"'):
        models_of(', models = ["C"]')


@pytest.mark.parametrize("stop_after", [1, 3, 6])
def test_an_interrupted_run_goes_on_and_prints_the_same(
    stop_after, registry: Registry, write_suite, tmp_path, monkeypatch
) -> None:
    whole = run(write_suite(), out=tmp_path / "whole", registry=registry, executor="inline")
    original, seen = Inline.run, []

    def stopping(self, tasks):
        for outcome in original(self, tasks):
            yield outcome
            seen.append(outcome.address)
            if len(seen) == stop_after:
                raise KeyboardInterrupt

    monkeypatch.setattr(Inline, "run", stopping)
    with pytest.raises(Interrupted):
        run(write_suite(), out=tmp_path / "cut", registry=registry, executor="inline")
    rest = run(write_suite(), out=tmp_path / "cut", registry=registry, executor="inline")
    assert len(seen) == len(set(seen)), "a finished job was computed again"
    assert tables_of(rest.folder) == tables_of(whole.folder)
    assert (rest.folder / "rows.safetensors").read_bytes() == (whole.folder / "rows.safetensors").read_bytes()


def test_a_full_disk_loses_nothing_and_the_run_goes_on(registry: Registry, write_suite, tmp_path, monkeypatch) -> None:
    original, written = Store.put, []

    def full(self, address, bundle):
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        original(self, address, bundle)
        written.append(address)

    monkeypatch.setattr(Store, "put", full)
    with pytest.raises(Incomplete, match="No space left"):
        run(write_suite(), out=tmp_path, registry=registry, executor="inline")
    monkeypatch.setattr(Store, "put", original)
    done = count_tasks(monkeypatch)
    assert run(write_suite(), out=tmp_path, registry=registry, executor="inline").complete
    assert not set(done) & set(written)


def test_a_damaged_entry_is_computed_again(registry: Registry, write_suite, tmp_path) -> None:
    first = run(write_suite(), out=tmp_path, registry=registry, executor="inline")
    before = tables_of(first.folder)
    for path in sorted((tmp_path / "store").rglob("*.safetensors"))[::2]:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    assert tables_of(run(write_suite(), out=tmp_path, registry=registry, executor="inline").folder) == before


TOP_LEVEL = [
    "seed = 1",
    'loss = "margin"',
    "random_start = true",
    "targeted = true",
    "quantise = true",
    'ensemble = "probabilities"',
]


def test_every_key_changes_the_address_or_the_tables(registry: Registry, write_suite, tmp_path) -> None:
    def fingerprint(*replacements):
        resolved = resolve_suite(load_suite(write_suite(*replacements)), registry)
        plan = make_plan(resolved, Store(tmp_path / "none"))
        return sorted((job.address, cell.key) for job in plan.jobs for cell in job.cells)

    base = fingerprint()
    changes = [
        ("eps = 0.1", "eps = 0.2"), ("step_size = 0.03", "step_size = 0.02"), ("steps = 4", "steps = 5"),
        ('norm = "linf"', 'norm = "l2"'), ("count = 12", "count = 11"), ("micro_batch = 5", "micro_batch = 4"),
        ("seed = 2", "seed = 3"), ('{ recipe = "pgd" }', '{ recipe = "ir", grid = 2, cells = 2 }'),
        ('targets = ["A", "B"]', 'targets = ["A"]'), ('["A", ["A", "B"]]', '["A"]'),
        *(("[data]", f"{line}\n[data]") for line in TOP_LEVEL),
    ]  # fmt: skip
    for change in changes:
        assert fingerprint(change) != base, change
    assert fingerprint(('"PGD" =', '"Other" =')) == base


@pytest.mark.parametrize(("rule", "n"), [("all", {12}), ("correct_by_target", None), ("correct_by_all", None)])
def test_the_rule_selects_the_images(rule, n, registry: Registry, write_suite, tmp_path) -> None:
    result = run(write_suite(('rule = "all"', f'rule = "{rule}"')), out=tmp_path, registry=registry, executor="inline")
    clean = {t: result.arrays("clean", target=t)["correct"] for t in "AB"}
    scores = [s for s in result.scores if s.metric == "transfer.success"]
    found = {s.labels["target"]: s.score.n for s in scores}
    if rule == "correct_by_all":
        n = {int(min((clean["A"] & clean["B"]).sum(), 12))}
    if rule == "correct_by_target":
        assert found == {t: int(clean[t][:12].sum()) for t in "AB"}
    else:
        assert set(found.values()) == n


def test_a_pinned_list_of_images_is_kept(registry: Registry, write_suite, tmp_path) -> None:
    result = run(write_suite(), out=tmp_path, registry=registry, executor="inline")
    digest = json.loads((result.folder / "run.json").read_text())["images"]["digest"]
    pinned = write_suite(("count = 12", f'count = 12\ndigest = "{digest}"'), name="pinned")
    assert run(pinned, out=tmp_path, registry=registry, executor="inline").complete
    other = write_suite(("count = 12", f'count = 11\ndigest = "{digest}"'), name="other")
    with pytest.raises(UsageError, match=r"images\.digest"):
        run(other, out=tmp_path, registry=registry, executor="inline")


def test_white_box_targets_are_known_by_weights_not_by_label(registry: Registry, write_suite, tmp_path) -> None:
    twin = write_suite(('"B" = { recipe = "toy", seed = 2 }', '"B" = { recipe = "toy", seed = 1 }'))
    result = run(twin, out=tmp_path, registry=registry, executor="inline")
    assert {s.labels["relation"] for s in result.scores if s.metric == "transfer.success"} == {"white-box"}
    assert np.isnan(result.tables[0].rows[0][1][-1].value), "no black-box target, no mean"


def test_the_passes_that_an_attack_declares_are_those_that_the_host_counts(
    registry: Registry, write_suite, tmp_path
) -> None:
    suite = write_suite(('{ recipe = "pgd" }', '{ recipe = "ir", grid = 2, cells = 2, samples = 3 }'))
    resolved = resolve_suite(load_suite(suite), registry)
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    rows = result.arrays("attack", source="A", attack="PGD")
    forwards, backwards = resolved.attacks["PGD", "A", "linf"].cost.total(4)
    assert (forwards, backwards) == (4 * 7 + 1, 4 * 7)
    assert np.all(rows["forwards"] == forwards)
    assert np.all(rows["backwards"] == backwards)


def test_stored_cells_are_found_by_the_plan(registry: Registry, write_suite, tmp_path) -> None:
    resolved = resolve_suite(load_suite(write_suite()), registry)
    assert make_plan(resolved, Store(tmp_path / "store")).cells_stored == 0
    run(write_suite(), out=tmp_path, registry=registry, executor="inline")
    plan = make_plan(resolved, Store(tmp_path / "store"))
    assert plan.cells_stored == plan.cells
    assert set(stored_cells(plan.jobs, Store(tmp_path / "store"))) == {job.address for job in plan.jobs}
