"""A run is recomputed: equal, as on another machine, or not; and what differs is named."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench_core.errors import UsageError
from bench_core.scores.labels import Labels
from bench_core.scores.rows import RowSet
from bench_core.submissions.report import sheets
from bench_core.submissions.sampling import most_missed

from .conftest import changed_rows


def changed_record(folder: Path, change) -> None:
    path = folder / "run.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def flip(folder: Path, image: int, **labels: str) -> None:
    with changed_rows(folder) as rows:
        row = next(row for row in rows if row.metric == "transfer" and row.labels.matches(labels))
        row.arrays["fooled"][image, -1] ^= True


def test_an_honest_run_is_identical(folder: Path, verified) -> None:
    found = verified(folder, share=1.0)
    assert found.verdict == "identical"
    assert found.drawn == found.jobs
    assert found.found_with == 1
    assert found.most_missed == 0
    assert found.notes == ()
    assert found.drawn_cells == found.cells > 30


def test_a_flipped_outcome_is_found_if_and_only_if_its_micro_batch_is_drawn(folder: Path, verified) -> None:
    flip(folder, 7, source="A", target="B")  # image 7 is in micro-batch 4 of two images each
    verdicts = {}
    for seed in range(12):
        found = verified(folder, share=0.3, seed=seed)
        verdicts.setdefault(found.verdict, []).append(found)
        assert replace(found, drawn_cells=1).found_with == found.drawn / found.jobs, "jobs are drawn, not cells"
        assert found.most_missed == most_missed(found.changed_jobs, found.drawn, found.jobs)
        shown = dict(sheets(replace(found, drawn_cells=1))[0].rows)
        assert shown["one changed outcome"].endswith(f" is found with probability {found.drawn / found.jobs:.4g}")
        assert f"in at most {found.most_missed} of {found.jobs} micro-batches" in shown["could be missed"]
    assert verdicts.keys() == {"identical", "not equal"}
    for found in verdicts["not equal"]:
        (cell,) = found.changed
        assert cell.batch == 3
        assert cell.outcomes
        assert "source=A" in cell.name
        assert "target=B" in cell.name
        assert "must be" in found.reasons[0]
        assert found.changed_jobs == 1


def test_values_that_are_left_out_are_not_equal(folder: Path, verified) -> None:
    with changed_rows(folder) as rows:
        rows[:] = [row for row in rows if not (row.metric == "transfer" and row.labels.matches({"target": "B"}))]
    found = verified(folder, share=1.0)
    assert found.verdict == "not equal"
    assert "the run lacks values of" in found.reasons[0]
    assert "target=B" in found.reasons[0]


def test_on_another_machine_single_flips_are_no_fraud_and_flips_of_one_direction_are(folder: Path, verified) -> None:
    changed_record(folder, lambda record: record["environment"].update(processor="another"))
    assert verified(folder, share=1.0).verdict == "identical"
    flip(folder, 7, source="A", target="B")
    found = verified(folder, share=1.0)
    assert found.verdict == "statistically equal"
    assert any("processor" in text for text in found.differs.setup)
    with changed_rows(folder) as rows:
        for row in rows:
            if row.metric == "attack":
                row.arrays["l2"] += 0.1
    found = verified(folder, share=1.0)
    assert found.verdict == "not equal"
    assert "attack.l2: claimed values are higher on 12 images and lower on 0" in found.reasons[0]


def test_the_sign_test_is_that_of_scipy(folder: Path, verified) -> None:
    from scipy.stats import binomtest

    changed_record(folder, lambda record: record["environment"].update(processor="another"))
    with changed_rows(folder) as rows:
        for row in rows:
            if row.metric == "transfer":
                row.arrays["fooled"][:6] = False
    found = verified(folder, share=1.0)
    test = next(row for row in found.rows if row.name == "transfer.fooled")
    p = binomtest(test.higher, test.higher + test.lower).pvalue if test.higher + test.lower else 1.0
    assert test.lower > 0
    assert test.p == pytest.approx(min(1.0, p * len(found.rows)))


@pytest.mark.parametrize("place", ["environment", "dtype"])
def test_what_is_damaged_is_one_fault(folder: Path, verified, place: str) -> None:
    """Whatever a stranger's record makes our code raise."""
    if place == "environment":
        changed_record(folder, lambda record: record["environment"].update(threads=float("inf")))
    else:
        with changed_rows(folder) as rows:
            row = next(row for row in rows if row.metric == "host:prediction")
            row.arrays["other"] = row.arrays.pop("predicted")
    with pytest.raises(UsageError) as caught:
        verified(folder)
    assert "damaged" in str(caught.value.faults[0])


def test_a_run_of_a_suite_with_published_values_is_verified_where_the_suite_is_not(
    write_suite, registry, tmp_path: Path, verified, faults_of
) -> None:
    """The values are in the run; the file that the suite took them from is on the machine of its author."""
    from bench_core import run

    (tmp_path / "paper.csv").write_text("source,attack,target,published\nA,PGD,B,50.0\n")
    suite = write_suite(("mean = true", 'mean = true\nreference = { file = "paper.csv", value = "published" }'))
    folder = run(suite, out=tmp_path / "results", executor="inline", registry=registry).folder
    assert (folder / "published" / "main.csv").is_file()
    changed_record(folder, lambda record: record["suite"].update(file="/home/alice/toy.toml"))
    assert faults_of(folder) == []
    assert verified(folder).verdict == "identical"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: r["models"]["A"]["identity"].update(seed=9), "network A: other weights"),
        (lambda r: r["models"]["A"].update(recipe="embedded"), "network A: other options"),
        (lambda r: r["models"]["A"]["options"].update(width=9), "network A: other options"),
        (lambda r: r["models"].pop("A"), "network A: the run does not say what it is"),
        (lambda r: r["models"]["B"].update(code="0"), "network B: other code"),
        (lambda r: r["models"]["A"]["identity"].update(code="0"), "network A: other code"),  # of a Python file
        (lambda r: r.update(host="0" * 64), "bench's code: here"),
        (lambda r: r.update(plugins=[]), "plugin attacks (adversarial-bench"),
        (lambda r: r["dataset"].update(digest="0" * 64), "images: the dataset here is"),
        (lambda r: r["truth"].__setitem__(0, 2), "images: 1 have other classes, the first is number 0"),
    ],
)
def test_what_differs_is_named(folder: Path, verified, change, named: str) -> None:
    changed_record(folder, change)
    with pytest.raises(UsageError) as caught:
        verified(folder)
    assert any(named in str(fault) and "not the same run" in str(fault) for fault in caught.value.faults)


def test_other_code_can_be_compared_all_the_same(folder: Path, verified) -> None:
    def change(record: dict) -> None:
        record.update(host="0" * 64)
        record["models"]["A"]["identity"].update(code="0")

    changed_record(folder, change)
    found = verified(folder, share=1.0, other_code=True)
    assert found.verdict == "identical"
    assert found.differs.code[0] == "network A: other code"
    assert "bench's code" in found.differs.code[1]


def test_images_chosen_by_hand_are_found(write_suite, registry, tmp_path: Path, verified) -> None:
    """A run of the images that suit an attack, whose rows are all right."""
    from bench_core import run

    suite = write_suite(("micro_batch = 5", "micro_batch = 2"), ("count = 12", "count = 4"))
    folder = run(suite, out=tmp_path / "results", executor="inline", registry=registry).folder
    from bench_core.digests import digest

    def other_images(record) -> None:
        record["images"]["indices"] = [0, 1, 3, 2]
        record["images"]["ids"][2:] = record["images"]["ids"][:1:-1]
        record["images"]["digest"] = digest(record["images"]["ids"])
        record["truth"][2:] = record["truth"][:1:-1]

    changed_record(folder, other_images)
    found = verified(folder)
    assert found.verdict == "not equal"
    assert "not the images that the suite selects" in found.reasons[0]


def test_a_row_of_another_shape_or_an_unknown_void_is_not_equal_anywhere(folder: Path, verified) -> None:
    changed_record(folder, lambda record: record["environment"].update(processor="another"))
    with changed_rows(folder) as rows:
        row = next(row for row in rows if row.metric == "transfer")
        row.arrays["fooled"] = np.zeros((12, 3), bool)
    found = verified(folder, share=1.0)
    assert found.verdict == "not equal"
    assert any(cell.form for cell in found.changed)


def copied(row: RowSet, **labels: str) -> RowSet:
    """Return a set of rows in which every attack succeeds."""
    arrays = {name: np.ones_like(array) if array.dtype == bool else array for name, array in row.arrays.items()}
    return replace(row, labels=Labels.of({**row.labels, **labels}), arrays=arrays)


def test_rows_of_no_job_are_found(folder: Path, verified, faults_of) -> None:
    """An attack that the suite does not have would be ranked, and nothing would recompute it."""
    with changed_rows(folder) as rows:
        rows += [copied(row, attack="Best") for row in rows if row.labels.attack]
    found = verified(folder)
    assert found.verdict == "not equal"
    assert any("no job of the suite gives, such as" in reason and "attack=Best" in reason for reason in found.reasons)
    assert any("attack=Best" in fault and "no job of the suite gives" in fault for fault in faults_of(folder))


@pytest.mark.parametrize("first", [True, False])
def test_two_sets_of_the_same_rows_are_refused(folder: Path, verified, faults_of, first: bool) -> None:
    """Of two, the scores could come from the false one, and the comparison from the true one."""
    with changed_rows(folder) as rows:
        false = [copied(row) for row in rows if row.metric == "transfer"]
        rows[:] = [*false, *rows] if first else [*rows, *false]
    assert "has two sets of rows of" in faults_of(folder)[0]
    with pytest.raises(UsageError, match="has two sets of rows of"):
        verified(folder)


def test_other_classes_than_those_of_the_dataset_are_refused(folder: Path, faults_of) -> None:
    changed_record(folder, lambda record: record["truth"].__setitem__(0, 2))
    (fault,) = faults_of(folder)
    assert "truth: has other classes than the dataset here" in fault


def test_a_run_that_was_stopped_early_is_valid_and_says_so(folder: Path, registry) -> None:
    from bench_core.submissions.check import check
    from bench_core.submissions.contents import read_contents
    from bench_core.submissions.unpack import unpacked

    changed_record(folder, lambda record: record["images"].update(planned=20))
    with unpacked(folder) as opened:
        assert "8 of 20 images, which the run did not attack" in check(opened, read_contents(opened), registry).notes
