"""Values are joined by image, not by count: against brute force, and against counts that agree by chance."""

from dataclasses import dataclass

import numpy as np
import pytest

from bench_core.plots.series import point
from bench_core.scores.derived import correlation, worst_case
from bench_core.scores.images import (
    ImageSet,
    PerImage,
    Unpairable,
    difference,
    joined,
    mean_interval,
    mean_of,
    per_image,
)
from bench_core.scores.labels import Labels, Relation
from bench_core.scores.rows import RowSet
from bench_core.scores.scored import LabelledScore, Scores
from bench_core.scores.summarise import images_of, summarise
from bench_core.statistics import bootstrap, proportion
from bench_core.suite.outputs import CorrelationEntry, TableEntry, WorstCaseEntry
from bench_core.tables.pivot import pivot
from bench_core.types import Score
from bench_metrics.disentanglement import Disentanglement
from bench_metrics.dropout import DropoutCorrection

N = 12


def series(indices, values, over="selected") -> PerImage:
    return per_image(ImageSet.of(over, indices), np.asarray(values, dtype=float))


def test_values_are_sorted_by_image_and_joined() -> None:
    shuffled, ordered = series([3, 1, 2], [30, 10, 20]), series([1, 2, 3], [1, 2, 3])
    assert joined([shuffled, ordered]).tolist() == [[10, 20, 30], [1, 2, 3]]
    assert difference(shuffled, ordered).values.tolist() == [9, 18, 27]
    assert mean_of([shuffled, ordered]).values.tolist() == [5.5, 11, 16.5]


@pytest.mark.parametrize(
    "other", [series([1, 2, 4], [0, 0, 0]), series([1, 2], [0, 0]), series([1, 2, 3], [0, 0, 0], "all")]
)
def test_values_of_other_images_are_rejected(other: PerImage) -> None:
    with pytest.raises(Unpairable, match="different images"):
        joined([series([1, 2, 3], [1, 2, 3]), other])


def test_an_image_with_two_values_is_rejected() -> None:
    with pytest.raises(Unpairable, match="several values"):
        series([1, 1], [0, 1])


def test_columns_over_the_same_images_have_the_paired_bootstrap() -> None:
    draw = np.random.default_rng(0)
    first, second = draw.random(N), draw.random(N)
    assert mean_interval([series(range(N), first), series(range(N), second)]) == bootstrap((first + second) / 2)


def test_columns_over_different_images_resample_the_union() -> None:
    """Brute force: draw the images of the union by hand, and average the means over those that each column has."""
    draw = np.random.default_rng(1)
    columns = [series(range(30), draw.random(30)), series(range(10, 50), 2 + draw.random(40))]
    union, means = 50, []
    for _ in range(4000):
        drawn = draw.integers(0, union, union)
        column_means = [
            np.mean([column.values[i - column.images.indices[0]] for i in drawn if i in column.images.indices])
            for column in columns
        ]
        means.append(np.mean(column_means))
    expected = np.quantile(means, [0.025, 0.975])
    assert mean_interval(columns) == pytest.approx(tuple(expected), abs=0.006)


def test_a_metric_states_which_rows_its_values_are_of() -> None:
    images = ImageSet.of("selected", [4, 5, 6, 7])
    mask = np.array([True, False, True, False])
    assert images_of(proportion("a", [1, 0], images=mask), images) == ImageSet.of("selected", [4, 6])
    assert images_of(proportion("a", [1, 0], images=np.array([3, 1])), images) == ImageSet.of("selected", [7, 5])
    assert images_of(proportion("a", [1, 0, 1, 0]), images) == images
    assert images_of(proportion("a", [1, 0]), images) is None
    assert images_of(Score("a", 0, 0, 0, 4), images) is None
    for wrong in (np.array([True, False]), np.array([4])):
        assert images_of(proportion("a", [1], images=wrong), images) is None


def test_disentanglement_states_which_images_are_finite() -> None:
    values = np.array([[0.1], [np.nan], [0.3]])
    found = Disentanglement(orders=(1,)).summarise({"corrected": values, "plug_in": values})
    masks = [score.images.tolist() for score in found if score.name in ("corrected", "plug_in")]
    assert masks == [[True, False, True]] * 2


def dropout_scores() -> Scores:
    """Two attacks that fool equally many images, but different ones."""
    draw = np.random.default_rng(2)
    rows = []
    for attack, first in (("PGD", 0), ("IR", 6)):
        fooled = np.isin(np.arange(N), np.arange(first, first + 6))
        kept = draw.random((N, 1)) < 0.5
        labels = Labels("S", attack, "linf")
        arrays = {"fooled": fooled, "corrected": draw.random((N, 1)) < 0.5, "kept": kept}
        rows.append(RowSet("dropout", labels, ImageSet.of("selected", range(N)), arrays))
    return Scores(summarise(rows, {"dropout": DropoutCorrection(rates=(0.5,), cutout=0)}, "all", range(N), [0] * N))


def test_corrections_of_different_images_have_no_difference_worst_case_or_mean() -> None:
    scores = dropout_scores()
    corrected = scores.select("dropout.corrected")
    assert {score.score.n for score in corrected} == {6}
    assert [score.images.indices.tolist() for score in corrected] == [list(range(6)), list(range(6, 12))]
    table = TableEntry(
        name="t", rows=["attack"], columns=["operation"], value="dropout.corrected", baseline={"attack": "PGD"}
    )
    made = pivot(scores, table, "", None, "file")
    cell = dict(made.rows)["IR",][-1]
    assert np.isnan(cell.value)
    assert cell.void == "no difference from PGD: the values are of different images (6 and 6)"
    entry, attacks = WorstCaseEntry(value="dropout.corrected"), {"linf": ["PGD", "IR"]}
    (worst,) = worst_case(scores, "any", entry, attacks, {"attack"})
    assert "different images" in str(worst.void)
    with pytest.raises(Unpairable, match="different images"):
        corrected.mean_per_image()
    kept = dict(pivot(scores, table.model_copy(update={"value": "dropout.kept"}), "", None, "file").rows)["IR",][-1]
    assert kept.n == N


def test_a_correlation_over_attacks_of_different_images_is_void() -> None:
    table = CorrelationEntry(x="dropout.fooled", y="dropout.corrected")
    fooled = [
        LabelledScore(s.metric, s.labels.without({"operation"}), s.score, images=s.images) for s in dropout_scores()
    ]
    (void,) = correlation(Scores(fooled), "seen", table, {"attack"})
    assert void.metric == "seen.*"
    assert "different images" in str(void.void)


@dataclass(frozen=True)
class Fooled:
    """A metric of one score."""

    def observe(self) -> None: ...

    def summarise(self, rows):
        yield proportion("success", rows["fooled"])


def judged_by_target() -> Scores:
    """Two targets that classify equally many images correctly, but different ones; two attacks on each."""
    draw = np.random.default_rng(3)
    right = {"X": np.arange(N) < 8, "Y": np.arange(N) >= 4}
    rows = [
        RowSet("host:prediction", Labels(target=target), ImageSet.of("all", range(N)), {"predicted": ~correct})
        for target, correct in right.items()
    ]
    for attack in ("PGD", "IR"):
        for target in right:
            labels = Labels("S", attack, "linf", target, "linf", Relation.BLACK_BOX)
            fooled = {"fooled": draw.random(N) < 0.5}
            rows.append(RowSet("transfer", labels, ImageSet.of("selected", range(N)), fooled))
    return Scores(summarise(rows, {"transfer": Fooled()}, "correct_by_target", range(N), [0] * N))


def test_a_target_is_judged_on_its_own_images_in_whichever_order_the_rows_are() -> None:
    order = np.arange(N)[::-1]
    correct, fooled = np.arange(N) < 5, np.arange(N) < 3
    labels = Labels("S", "PGD", "linf", "X", "linf", Relation.BLACK_BOX)
    rows = [
        RowSet("host:prediction", Labels(target="X"), ImageSet.of("all", range(N)), {"predicted": ~correct}),
        RowSet("transfer", labels, ImageSet.of("selected", order), {"fooled": fooled[order]}),
    ]
    (score,) = summarise(rows, {"transfer": Fooled()}, "correct_by_target", range(N), [0] * N)
    assert score.per_image.images == ImageSet.of("selected", range(5))
    assert score.per_image.values.tolist() == [1, 1, 1, 0, 0]


def test_a_mean_over_targets_judged_on_different_images_resamples_their_union() -> None:
    scores = judged_by_target()
    assert {score.score.n for score in scores} == {8}
    table = TableEntry(
        name="t", rows=["attack"], columns=["target"], value="transfer.success", mean=True, baseline={"attack": "PGD"}
    )
    cells = dict(pivot(scores, table, "", None, "file").rows)
    values = {(s.labels.attack, s.labels.target): s.per_image for s in scores}
    columns = [values["IR", "X"], values["IR", "Y"]]
    mean, gap = cells["IR",][2:]
    assert mean.value == pytest.approx(np.mean([column.values.mean() for column in columns]))
    assert (mean.low, mean.high) == mean_interval(columns)
    by_position = bootstrap(np.mean([column.values for column in columns], axis=0))  # pairs the k-th images of both
    assert (mean.low, mean.high) != by_position
    gaps = [difference(values["IR", target], values["PGD", target]) for target in "XY"]
    assert gap.value == pytest.approx(np.mean([column.values.mean() for column in gaps]))
    assert (gap.low, gap.high) == mean_interval(gaps)
    drawn = point([s for s in scores if s.labels.attack == "IR"], 0.0)
    assert drawn is not None
    assert (drawn.low, drawn.high) == mean_interval(columns)
