"""What other runs of a results folder contribute to the best distances: the right ones, once, and reproducibly."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench_core import load_suite, run
from bench_core.errors import UsageError
from bench_core.registry import Registry
from bench_core.result import Result
from bench_core.run_suite import resolve_suite
from bench_core.runs.folder import OTHER_RUNS_FILE
from bench_core.runs.load import load_result

FAR = ('clean = { recipe = "clean_accuracy" }', 'far = { recipe = "fooling_distance", norm = "l2" }')
BUDGET = ('norm = "linf"\neps = 0.1', 'norm = "l2"\neps = 4')
STEPS, SEED = ("steps = 4", "steps = 20"), ("seed = 2", "seed = 30")  # which can be fooled
SINGLE = ('["A", ["A", "B"]]', '["A"]')
PGD = '"PGD" = { recipe = "pgd" }'
BEST = """
[optimality.best]
value = "far.distance"
store = true
[[tables]]
name = "local"
rows = ["attack"]
columns = ["source", "target"]
value = "best.gap"
"""


@pytest.fixture
def ran(write_suite, registry: Registry, tmp_path: Path) -> Callable[..., Result]:
    """Return a function that runs a suite of one name into a common folder of results."""

    def of(name: str, attacks: str, *changes: tuple[str, str], append: str = "", out: str = "results") -> Result:
        suite = write_suite((PGD, attacks), FAR, BUDGET, STEPS, SEED, SINGLE, *changes, name=name, append=append)
        return run(suite, out=tmp_path / out, registry=registry, executor="inline")

    return of


def distances(result: Result, attack: str) -> np.ndarray:
    return result.arrays("far", target="A", attack=attack)["distance"]


def gaps(result: Result, attack: str = "PGD") -> np.ndarray:
    (score,) = result.scores.select("best.gap", {"attack": attack})
    return np.asarray(score.per_image.values)


def note_of(result: Result) -> str:
    table = next(table for table in result.tables if table.name == "local")
    return next(note for note in table.notes if note.startswith("the best distances"))


def test_attacks_of_another_run_count_image_by_image(ran) -> None:
    alone = ran("mine", PGD, append=BEST)
    assert gaps(alone).tolist() == [0] * 12
    assert alone.elsewhere == ()
    assert "those of this run" in note_of(alone)
    ddn = ran("other", '"DDN" = { recipe = "ddn" }')
    both = ran("mine", PGD, append=BEST)
    pgd, other = distances(both, "PGD"), distances(ddn, "DDN")
    assert (other < pgd).any()
    expected = [min(p, 4) - min(p, d, 4) for p, d in zip(pgd, other, strict=True)]
    assert gaps(both) == pytest.approx(expected)
    assert "1 attack of 1 other run " in note_of(both)
    record = json.loads((both.folder / "run.json").read_text())
    assert [(each["folder"], each["attacks"]) for each in record["other_runs"]] == [("other/toy", ["DDN"])]


def test_a_finished_run_does_not_change_with_later_ones(ran, registry: Registry) -> None:
    ran("other", '"DDN" = { recipe = "ddn" }')
    mine = ran("mine", '"MI" = { recipe = "mi" }', append=BEST)
    before = mine.records()
    later = ran("later", '"FMN" = { recipe = "fmn" }')
    again = load_result(mine.folder, registry)
    assert again.records() == before
    assert note_of(again) == note_of(mine)
    (later.folder / "run.json").unlink()
    assert load_result(mine.folder, registry).records() == before
    (mine.folder / OTHER_RUNS_FILE).unlink()
    with pytest.raises(UsageError, match=r"other_runs\.safetensors"):
        load_result(mine.folder, registry)


def test_another_run_never_lowers_a_distance_to_the_envelope(ran) -> None:
    attacks = '"PGD" = { recipe = "pgd" }\n"MI" = { recipe = "mi" }'
    before = ran("mine", attacks, append=BEST)
    ran("first", '"DDN" = { recipe = "ddn" }')
    between = ran("mine", attacks, append=BEST)
    ran("second", '"FMN" = { recipe = "fmn" }')
    after = ran("mine", attacks, append=BEST)
    for attack in ("PGD", "MI"):
        assert (gaps(between, attack) >= gaps(before, attack)).all()
        assert (gaps(after, attack) >= gaps(between, attack)).all()


DIFFERENT = {
    "networks": (('"A" = { recipe = "toy", seed = 1 }', '"A" = { recipe = "toy", seed = 77 }'), ()),
    "norm": (('norm = "l2"\neps = 4', 'norm = "linf"\neps = 0.9'), ()),
    "images": (("count = 12", "count = 3"), [0, 1, 2]),
    "levels": (('title = "toy"', 'title = "toy"\nquantise = true'), ()),
    "targets": (('title = "toy"', 'title = "toy"\ntargeted = true'), ()),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_only_what_is_the_same_counts(ran, what: str) -> None:
    change, common = DIFFERENT[what]
    attack = '"FMN" = { recipe = "fmn" }'
    ran("other", attack, change)
    mine = ran("mine", PGD, append=BEST)
    found = {int(index) for row in mine.elsewhere for index in row.images.indices}
    assert sorted(found) == list(common)


def test_an_attack_without_the_metric_counts_with_its_last_images(ran) -> None:
    """Its distance is the size of its last perturbation where it fools the network, which the host records."""
    ddn = ran("other", '"DDN" = { recipe = "ddn" }', ('far = { recipe = "fooling_distance", norm = "l2" }\n', ""))
    assert not any(row.metric == "far" for row in ddn.rows)
    mine = ran("mine", PGD, append=BEST)
    (row,) = mine.elsewhere
    recorded = ddn.arrays("attack", attack="DDN")
    assert row.arrays["distance"].tolist() == np.where(recorded["margin"] > 0, recorded["l2"], np.inf).tolist()
    same = ran("elsewhere", '"DDN" = { recipe = "ddn" }', out="others")
    known = np.where(distances(same, "DDN") == 0, row.arrays["distance"], distances(same, "DDN"))
    assert row.arrays["distance"] == pytest.approx(known)


def test_a_run_that_cannot_be_read_is_named(ran) -> None:
    other = ran("other", '"DDN" = { recipe = "ddn" }')
    (other.folder / "rows.safetensors").write_bytes(b"nothing")
    mine = ran("mine", PGD, append=BEST)
    assert mine.elsewhere == ()
    assert "the best distances do not count runs that cannot be read: other/toy" in mine.notes


def test_targeted_attacks_are_refused(write_suite, registry: Registry) -> None:
    path = write_suite(FAR, ('title = "toy"', 'title = "toy"\ntargeted = true'), append=BEST)
    with pytest.raises(UsageError, match=r"optimality.best.store: attacks of other runs may aim at other classes"):
        resolve_suite(load_suite(path), registry)
