"""The gate: what fails, what passes, what cannot be compared, and the messages."""

import json
import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from bench_core.errors import UsageError
from bench_core.gate.compare import Comparison, compare
from bench_core.gate.formats import COMPARISON_FORMATS
from bench_core.gate.snapshot import GatedScore
from bench_core.suite.outputs import GateEntry

from .simulated import means, shares, snapshot

N = 300
DRAW = np.random.default_rng(5)
OUTCOMES = {attack: DRAW.random(N) < p for attack, p in (("PGD", 0.5), ("IR", 0.6))}


def changed(places: dict[str, tuple[list[int], bool]]) -> dict:
    values = {attack: outcomes.copy() for attack, outcomes in OUTCOMES.items()}
    for attack, (images, outcome) in places.items():
        values[attack][images] = outcome
    return values


def fooled(attack: str, count: int) -> list[int]:
    return np.flatnonzero(OUTCOMES[attack])[:count].tolist()


def by_attack(comparison: Comparison) -> dict:
    return {verdict.labels["attack"]: verdict for verdict in comparison.verdicts}


def test_a_real_drop_is_a_regression_of_that_score_alone() -> None:
    verdicts = by_attack(compare(snapshot(OUTCOMES), snapshot(changed({"IR": (fooled("IR", 30), False)}), "new")))
    assert verdicts["IR"].status == "regression"
    assert verdicts["IR"].change == pytest.approx(-0.1)
    assert (verdicts["IR"].worse, verdicts["IR"].better) == (30, 0)
    assert verdicts["PGD"].status == "no regression"
    assert verdicts["PGD"].smallest > 0.01
    assert verdicts["IR"].low <= verdicts["IR"].change <= verdicts["IR"].high


def test_the_same_drop_is_good_where_lower_is_better() -> None:
    gate = {"transfer.success": GateEntry(better="lower")}
    base, new = snapshot(OUTCOMES, gate=gate), snapshot(changed({"IR": (fooled("IR", 30), False)}), "new", gate=gate)
    assert not compare(base, new).failures
    assert [verdict.labels["attack"] for verdict in compare(new, base).failures] == ["IR"]


def test_a_drop_within_the_margin_passes_however_significant() -> None:
    new = snapshot(changed({"IR": (fooled("IR", 30), False)}), "new")
    for margin, failed in ((0.0999, True), (0.1, False)):
        gate = {"transfer.success": GateEntry(better="higher", margin=margin)}
        assert bool(compare(snapshot(OUTCOMES, gate=gate), new).failures) is failed


def test_a_drop_that_chance_explains_passes() -> None:
    new = snapshot(changed({"IR": (fooled("IR", 4), False)}), "new")
    verdict = by_attack(compare(snapshot(OUTCOMES), new))["IR"]
    assert verdict.harm > verdict.margin
    assert verdict.status == "no regression"


def test_images_are_joined_by_their_digests_not_by_their_positions() -> None:
    base = snapshot(OUTCOMES)
    order = np.random.default_rng(0).permutation(N)
    shuffled = tuple(
        replace(score, values=score.values[order], ids=tuple(score.ids[i] for i in order)) for score in base.scores
    )
    new = replace(base, name="new", scores=shuffled, ids=shuffled[0].ids)
    comparison = compare(base, new)
    assert comparison.identical
    assert not comparison.failures


def test_equal_fingerprints_demand_equal_outcomes() -> None:
    base = snapshot(OUTCOMES)
    new = replace(snapshot(changed({"IR": (fooled("IR", 1), False)}), "new"), fingerprint=base.fingerprint)
    comparison = compare(base, new)
    assert comparison.identical
    assert {attack: verdict.status for attack, verdict in by_attack(comparison).items()} == {
        "IR": "nondeterministic", "PGD": "no regression",
    }  # fmt: skip
    better = replace(new, fingerprint={"environment.torch": "other"})
    assert not compare(base, better).failures


def test_other_images_or_budgets_cannot_be_compared() -> None:
    base = snapshot(OUTCOMES)
    fewer = snapshot({attack: outcomes[:-1] for attack, outcomes in OUTCOMES.items()}, "new")
    with pytest.raises(UsageError, match="299 against 300, 299 in common"):
        compare(base, fewer)
    with pytest.raises(UsageError, match="not the same threat"):
        compare(base, snapshot(OUTCOMES, "new", threat={"budgets": {"linf": {"eps": 0.2}}}))
    base_threat = replace(base, threat={"loss": "margin", "budgets": {"linf": {"eps": 0.1, "steps": 4}}})
    other_threat = replace(base, name="new", threat={"loss": "margin", "budgets": {"linf": {"eps": 0.1, "steps": 9}}})
    with pytest.raises(UsageError, match=r"^new: budgets\.linf\.steps: found 9, but base has 4: not the same threat$"):
        compare(base_threat, other_threat)
    shorter = replace(base.scores[0], values=base.scores[0].values[:-1], ids=base.scores[0].ids[:-1])
    with pytest.raises(UsageError, match=r"attack=PGD.*299 against 300"):
        compare(base, replace(base, name="new", scores=(shorter, base.scores[1])))
    with pytest.raises(UsageError, match="has none of the scores"):
        compare(base, snapshot(OUTCOMES, "new", metric="other.score"))


def test_a_missing_or_void_score_fails() -> None:
    base = snapshot(OUTCOMES)
    void = GatedScore("transfer.*", {"attack": "IR", "target": "T"}, np.empty(0), (), "raised ValueError")
    verdicts = by_attack(compare(base, replace(base, name="new", scores=(base.scores[0], void))))
    assert verdicts["IR"].status == "void"
    assert verdicts["IR"].reason == "raised ValueError"
    gone = compare(base, replace(base, name="new", scores=base.scores[:1]))
    assert by_attack(gone)["IR"].status == "missing"
    assert compare(replace(base, scores=base.scores[:1]), base).ungated == ("transfer.success attack=IR target=T",)


def test_many_scores_are_corrected_together() -> None:
    """A drop that is significant alone is not significant among a hundred scores."""
    few = changed({"IR": (fooled("IR", 6), False)})
    alone = compare(snapshot({"IR": OUTCOMES["IR"]}), snapshot({"IR": few["IR"]}, "new"))
    assert alone.failures
    many = {f"A{i}": OUTCOMES["PGD"] for i in range(99)}
    comparison = compare(snapshot({"IR": OUTCOMES["IR"], **many}), snapshot({"IR": few["IR"], **many}, "new"))
    assert not comparison.failures
    detectable = {verdict.labels["attack"]: verdict.smallest for verdict in comparison.verdicts}
    assert detectable["IR"] > alone.verdicts[0].smallest


def test_means_are_gated_by_the_bootstrap() -> None:
    before, after = means(np.random.default_rng(2), 4, 200, drop=0.6)
    comparison = compare(
        snapshot(before, metric="utility.utility"), snapshot(after, "new", metric="utility.utility")
    )  # fmt: skip
    assert [verdict.labels["attack"] for verdict in comparison.failures] == ["A0"]
    assert not comparison.verdicts[0].share
    assert comparison.verdicts[-1].margin == 0


def test_false_alarms_are_rare_and_planted_drops_found() -> None:
    """A short form of `benchmarks/gate_power.py`."""
    draw = np.random.default_rng(11)
    alarms = detected = 0
    runs, cells, n = 60, 4, 120
    for _ in range(runs):
        before, after = shares(draw, cells, n)
        comparison = compare(snapshot(before), snapshot(after, "new"))
        alarms += bool(comparison.failures)
    drop = float(np.median([verdict.smallest for verdict in comparison.verdicts]))
    for _ in range(runs):
        before, after = shares(draw, cells, n, drop)
        comparison = compare(snapshot(before), snapshot(after, "new"))
        detected += any(verdict.labels["attack"] == "A0" for verdict in comparison.failures)
    assert alarms <= 6  # of 60 at 5%; more have a probability of 3%
    assert 0.6 < detected / runs < 0.95


HOSTILE = ["<script>alert(1)</script>", "a|b", "\x00", "=cmd|' /C calc'!A0", "\033[31mred", "line\nbreak\r",
           "::error::x", "##[error]x", "[link](http://x)", "*bold* `code`", "\u202eevil", "@SUM(A1)",
           "a,b:c%0Ad", "]]>"]  # fmt: skip


@pytest.mark.parametrize("label", HOSTILE)
@pytest.mark.parametrize("form", COMPARISON_FORMATS)
def test_labels_are_inert_in_every_format(form: str, label: str) -> None:
    values = {label: OUTCOMES["IR"]}
    new = snapshot({label: changed({"IR": (fooled("IR", 40), False)})["IR"]}, label, fingerprint={})
    comparison = compare(snapshot(values, label), new)
    assert comparison.failures
    text = COMPARISON_FORMATS[form](comparison)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", text)
    lines = text.splitlines()
    commands = [line for line in lines if line.lstrip().startswith("::")]
    assert len(commands) == (1 if form == "github" else 0)
    assert "##[" not in text
    if form == "markdown":
        assert "<script" not in text
        rows = [line for line in lines if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {13}
    if form == "junit":
        (case,) = ElementTree.fromstring(text).iter("testcase")
        assert case.find("failure") is not None
    if form == "github":
        title, _, message = commands[0].removeprefix("::error title=").partition("::")
        assert title == "bench regression"
        assert "%0A" not in message.replace("%250A", "")
    if form == "json":
        assert json.loads(text)["verdicts"][0]["labels"]["attack"] == label


def test_all_formats_agree() -> None:
    before, after = shares(np.random.default_rng(3), 30, 400)
    for attack in list(before)[:14]:
        after[attack] = after[attack] & ~before[attack]
    comparison = compare(snapshot(before), snapshot(after, "new"))
    assert len(comparison.failures) == 14
    annotations = COMPARISON_FORMATS["github"](comparison).splitlines()
    assert len(annotations) == 10
    assert "5 more scores failed" in annotations[-1]
    assert comparison.verdicts[0].name in annotations[0]
    suite = ElementTree.fromstring(COMPARISON_FORMATS["junit"](comparison)).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("30", "14")
    assert "FAILED" in COMPARISON_FORMATS["terminal"](comparison)
    record = json.loads(COMPARISON_FORMATS["json"](comparison))
    assert record["passed"] is False
    assert [verdict["status"] for verdict in record["verdicts"]] == ["regression"] * 14 + ["no regression"] * 16
    worst = comparison.verdicts[0]
    assert f"{100 * worst.change:+.1f} pp" in COMPARISON_FORMATS["markdown"](comparison).replace("\\", "")
    assert not math.isnan(record["verdicts"][-1]["smallest"])
