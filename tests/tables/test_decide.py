"""The decisions of a table's comparisons: from which differences, in which family, and what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bench_core.scores.images import ImageSet
from bench_core.scores.labels import Labels, Relation
from bench_core.scores.scored import LabelledScore, Scores, void_score
from bench_core.scores.sequences import e_holm, log_e, log_e_of_wins, sequence
from bench_core.suite.decide import DecideEntry
from bench_core.suite.outputs import TableEntry
from bench_core.tables.decide import AHEAD, decide
from bench_core.tables.decision import Decision, Decisions
from bench_core.types import Score

Values = NDArray[np.float64]
IMAGES = 400
TABLE = TableEntry(
    name="main", rows=["source", "attack"], columns=["target"], value="m.share", format="percent",
    baseline={"attack": "PGD"},
)  # fmt: skip
FIRST_LOOK = DecideEntry(fewest=1)


def score(attack: str, target: str, values: Values, images: list[int] | None = None, **labels: str) -> LabelledScore:
    relation = Relation.WHITE_BOX if target == "A" else Relation.BLACK_BOX
    all_labels = {"source": "A", "attack": attack, "target": target, "relation": relation, **labels}
    of = ImageSet.of("selected", range(len(values)) if images is None else images)
    return LabelledScore("m.share", Labels.of(all_labels), Score("share", 0, 0, 0, len(values), {}, values), images=of)


def outcomes(chance: float, seed: int, images: int = IMAGES) -> Values:
    return (np.random.default_rng(seed).random(images) < chance).astype(float)


def decided(scores: list[LabelledScore], entry: DecideEntry = FIRST_LOOK, images: int = IMAGES) -> Decisions:
    return decide(Scores(scores), TABLE, entry, {}, images, "suite.toml")


def first(reached: NDArray[np.bool_]) -> int:
    return int(reached.argmax()) + 1


def test_one_target_is_decided_by_its_wins_and_losses() -> None:
    base, better = outcomes(0.3, 0), outcomes(0.5, 1)
    (decision,) = decided([score("PGD", "B", base), score("IR", "B", better)]).each
    assert decision.labels == ("A", "IR")
    assert decision.state == "decided"
    assert decision.images == first(log_e_of_wins(better - base) >= np.log(20))


def test_a_single_fraction_among_wins_and_losses_does_not_change_the_bets() -> None:
    base, better = outcomes(0.3, 0), outcomes(0.5, 1)
    (of_outcomes,) = decided([score("PGD", "B", base), score("IR", "B", better)]).each
    better[-1] = 0.5  # after the decision
    (of_shares,) = decided([score("PGD", "B", base), score("IR", "B", better)]).each
    assert of_shares.images == of_outcomes.images


def test_several_targets_are_decided_by_their_mean_without_white_boxes() -> None:
    base, better = ([outcomes(chance, seed) for seed in seeds] for chance, seeds in ((0.3, (0, 1)), (0.45, (2, 3))))
    scores = [score("PGD", name, values) for name, values in zip("BC", base, strict=True)]
    scores += [score("IR", name, values) for name, values in zip("BC", better, strict=True)]
    scores += [score("PGD", "A", outcomes(0.0, 4)), score("IR", "A", outcomes(1.0, 5))]
    (decision,) = decided(scores).each
    differences = np.mean(better, axis=0) - np.mean(base, axis=0)
    assert decision.images == first(log_e(differences) >= np.log(20))
    assert (decision.low, decision.high) == sequence(differences, 0.05)


def test_several_comparisons_are_one_family() -> None:
    base, attacks = outcomes(0.3, 0), {"IR": outcomes(0.5, 1), "MI": outcomes(0.3, 2), "TI": outcomes(0.45, 3)}
    scores = [score("PGD", "B", base), *(score(name, "B", values) for name, values in attacks.items())]
    each = {decision.labels[1]: decision for decision in decided(scores).each}
    evidence = np.exp(np.stack([log_e_of_wins(values - base) for values in attacks.values()], axis=-1))
    adjusted = e_holm(evidence) >= 20
    assert each["IR"].images == first(adjusted[:, 0])
    assert each["IR"].images > first(evidence[:, 0] >= 20), "later than alone"
    assert each["TI"].images == first(adjusted[:, 2])
    assert each["MI"].state == "undecided"


def test_nothing_ends_before_the_fewest_images() -> None:
    base, better = np.zeros(IMAGES), np.ones(IMAGES)
    scores = [score("PGD", "B", base), score("IR", "B", better)]
    assert decided(scores).each[0].images == 8, "2^8 / 9 is the first above 20"
    assert decided(scores, DecideEntry(fewest=50)).each[0].images == 50
    assert decided(scores, DecideEntry(fewest=500)).each[0].state == "undecided"


def test_a_difference_that_is_certain_and_within_the_margin_at_the_same_image_is_decided() -> None:
    base, better = np.tile([0.0, 0.0, 0.0, 0.0, 0.0], 80), np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 80)
    pair = [score("PGD", "B", base), score("IR", "B", better)]
    alone = [decided(pair, DecideEntry(fewest=1, margin=margin)).each[0] for margin in (0.01, 0.8)]
    assert [one.state for one in alone] == ["decided", "tied"], "whichever is first"
    (both,) = decided(pair, DecideEntry(fewest=200, margin=0.8)).each
    assert (both.state, both.images) == ("decided", 200)


@pytest.mark.parametrize("images", [100, 250, 399])
def test_a_decision_on_the_first_images_is_that_on_all(images: int) -> None:
    base, better = outcomes(0.3, 0), outcomes(0.4, 1)
    end = decided([score("PGD", "B", base), score("IR", "B", better)]).each[0]
    (early,) = decided([score("PGD", "B", base[:images]), score("IR", "B", better[:images])], images=images).each
    assert (early.state == "decided") == (end.images <= images)
    assert early.images == min(end.images, images)


def test_equal_rows_are_tied_when_their_sequence_lies_within_the_margin() -> None:
    base = outcomes(0.3, 0, 1000)
    same = [score("PGD", "B", base), score("IR", "B", base)]
    decisions = decided(same, DecideEntry(fewest=1, margin=0.02), 1000)
    (tied,) = decisions.each
    assert tied.state == "tied"
    assert decisions.ended_at == tied.images
    one_less, at = (sequence(np.zeros(n), 0.05, np.arange(0.5, 32) / 32) for n in (tied.images - 1, tied.images))
    assert at[1] < 0.02 <= one_less[1]


def test_an_undecided_comparison_says_about_how_many_more_images_it_needs() -> None:
    base, better = outcomes(0.3, 0), outcomes(0.42, 1)
    pair = [score("PGD", "B", base), score("IR", "B", better)]
    end = decided(pair).each[0].images
    for images in (end // 2, end - 5):
        (early,) = decided([of_first(one, images) for one in pair], images=images).each
        repeated = [of_first(one, images, 1 + AHEAD) for one in pair]
        later = decided(repeated, images=images * (1 + AHEAD)).each[0]
        assert (early.state, later.state) == ("undecided", "decided")
        assert images + early.more == pytest.approx(later.images, rel=0.15)


def test_an_estimate_has_an_end() -> None:
    base, nearly = np.zeros(60), np.zeros(60)
    nearly[[3, 50]], base[[10, 40]] = 1, 1
    (decision,) = decided([score("PGD", "B", base), score("IR", "B", nearly)], images=60).each
    assert str(decision) == f"undecided, over {60 * AHEAD} more"


def of_first(one: LabelledScore, images: int, times: int = 1) -> LabelledScore:
    """Return the score of the first images, over and over again."""
    return score(str(one.labels.attack), "B", np.tile(one.per_image.values[:images], times))


@pytest.mark.parametrize(("more", "text"), [(7, "~7"), (96, "~96"), (141, "~150"), (4021, "~4100"), (None, "over 900")])
def test_the_estimate_has_two_digits(more: int | None, text: str) -> None:
    assert str(Decision(("A",), "undecided", 100, more=more, most=900)) == f"undecided, {text} more"


def test_under_correct_by_target_an_image_is_the_mean_over_its_targets() -> None:
    base, better = outcomes(0.2, 0, 10), outcomes(0.9, 1, 10)
    scores = [score("PGD", "B", base[:6], list(range(6))), score("IR", "B", better[:6], list(range(6)))]
    scores += [score("PGD", "C", base[3:9], list(range(3, 9))), score("IR", "C", better[3:9], list(range(3, 9)))]
    (decision,) = decided(scores, images=10).each
    gaps = better - base  # the last image counts for no target
    assert (decision.low, decision.high) == sequence(gaps[:9], 0.05)


def test_what_cannot_be_compared_is_void_with_its_reason_and_does_not_stop_a_run() -> None:
    plain = score("PGD", "B", outcomes(0.3, 0))
    other = score("IR", "B", outcomes(0.3, 1)[:200], list(range(200)))
    large = score("MI", "B", 5 * outcomes(0.3, 2))
    failed = [score("TI", "B", outcomes(0.3, 3)), void_score("m.share", Labels.of({"source": "A", "attack": "X"}), "?")]
    decisions = decided([plain, other, large, *failed])
    reasons = {decision.labels[1]: decision.reason for decision in decisions.each}
    assert reasons == {
        "IR": "the values are of different images (200 and 400)", "MI": "some values are outside [0, 1]", "TI": "",
        "X": "A X has no value that is not void",
    }  # fmt: skip
    assert decided([plain, other]).ended_at is None
    assert decided([plain]).counts() == "nothing to decide"


def test_the_notes_name_every_comparison_with_its_state() -> None:
    each = [
        Decision(("A", "IR"), "decided", 106), Decision(("A", "MI"), "tied", 250),
        Decision(("A", "TI"), "undecided", 300, more=181, most=2700), Decision(("A", "VR"), "void", 300, reason="why"),
    ]  # fmt: skip
    decisions = Decisions("main", 0.05, 0.01, each)
    assert decisions.counts() == "1 decided, 1 tied, 1 undecided, 1 void"
    assert decisions.ended_at is None
    assert Decisions("main", 0.05, 0.01, each[:2]).ended_at == 250
    text = "\n".join(decisions.notes())
    for part in ("A IR at 106 images", "A MI at 250 images", "A TI (~190 more images)", "A VR (why)", "5%", "1 point:"):
        assert part in text


@pytest.mark.slow
def test_equal_attacks_are_decided_in_at_most_five_percent_of_runs_with_chosen_steps() -> None:
    """The whole way from scores, with the steps chosen anew and a family of three, looked at after each image."""
    generator, table = np.random.default_rng(0), TABLE.model_copy(update={"value": "m.best"})
    curve, images = np.array([0.2, 0.4, 0.45, 0.45]), 120

    def scores_of(attack: str, target: str) -> list[LabelledScore]:
        fooled = (generator.random((images, 1)) + 0.1 * generator.random((images, 4)) < curve).astype(float)
        steps = [replace(score(attack, target, column, step=str(step)), metric="m.at") for step, column in
                 enumerate(fooled.T, 1)]  # fmt: skip
        return [*steps, replace(score(attack, target, fooled.max(axis=1)), metric="m.best")]

    false_alarms = 0
    for _ in range(1000):
        scores = [one for attack in ("PGD", "IR", "MI", "TI") for target in "BC" for one in scores_of(attack, target)]
        decisions = decide(Scores(scores), table, FIRST_LOOK, {"m.best": "m.at"}, images, "suite.toml")
        assert len(decisions.each) == 3
        false_alarms += bool(decisions.of("decided"))
    assert 0 < false_alarms <= 50


def test_a_hundred_undecided_comparisons_are_not_all_listed_below_a_table() -> None:
    each = [Decision(("A", f"attack {i}"), "undecided", 4, most=36) for i in range(100)]
    text, _ = Decisions("main", 0.05, 0.01, each).notes()
    assert text.startswith("undecided: A attack 0 (over 36 more images); A attack 1 ")
    assert text.endswith("A attack 7 (over 36 more images); 92 more (run.json has all)")
    assert len(Decisions("main", 0.05, 0.01, each).record()["comparisons"]) == 100
