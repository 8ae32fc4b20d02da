"""Labels as a mapping, and the one definition of which scores a name and labels select."""

import json
from dataclasses import replace

import pytest

from bench_core.scores.labels import Labels, Relation
from bench_core.scores.scored import LabelledScore, Scores, void_score
from bench_core.scores.summarise import summarise
from bench_core.types import Score

FULL = Labels("S", "PGD", "linf", "T", "linf", Relation.BLACK_BOX, {"step": 3})


def test_labels_are_a_mapping_of_those_that_are_set() -> None:
    assert dict(FULL) == {
        "source": "S", "attack": "PGD", "budget": "linf", "target": "T", "norm": "linf", "relation": "black-box",
        "step": 3,
    }  # fmt: skip
    assert json.dumps(dict(FULL)).endswith('"relation": "black-box", "step": 3}')
    assert Labels.of(dict(FULL)) == FULL
    assert hash(Labels.of(dict(FULL))) == hash(FULL)
    assert list(Labels(target="T")) == ["target"]
    assert Labels().get("source") is None
    with pytest.raises(KeyError):
        Labels()["source"]


def test_labels_match_by_text_and_lose_names() -> None:
    assert FULL.matches({"step": "3", "source": "S"})
    assert not FULL.matches({"step": 4})
    assert not FULL.matches({"strength": 1})
    assert dict(FULL.without({"step", "source", "other"})) == {
        name: value for name, value in FULL.items() if name not in ("step", "source")
    }


def test_a_metric_may_not_change_bench_s_own_labels() -> None:
    assert FULL.adding({"order": "1"})["order"] == "1"
    with pytest.raises(ValueError, match="target"):
        FULL.adding({"target": "other"})
    swept = replace(FULL, extra={"samples": "4"})
    for label in ("metric", "value", "low", "high", "n", "void", "subset", "run", "suite", "profile", "samples"):
        with pytest.raises(ValueError, match=f"adds the label {label}, which bench itself sets"):
            swept.adding({label: "1"})
    from bench_core.scores.images import ImageSet
    from bench_core.scores.rows import RowSet

    class Relabels:
        def summarise(self, rows):
            yield Score("a", 0.5, 0, 1, 2, {"source": "other"})

    row = RowSet("m", FULL, ImageSet.of("selected", [0, 1]))
    (summarised,) = summarise([row], {"m": Relabels()}, "all", [0, 1], [0, 0])  # type: ignore[dict-item]
    assert summarised.metric == "m.a"
    assert "adds the label source" in str(summarised.void)


def test_one_definition_selects_values_and_voids() -> None:
    def score(name: str, labels: Labels) -> LabelledScore:
        return LabelledScore(name, labels, Score("", 0.5, 0, 1, 2))

    white = Labels("S", "PGD", "linf", "S", "linf", Relation.WHITE_BOX)
    scores = Scores([
        score("m.a", FULL), score("m.b", FULL), score("m.a", white), void_score("m.*", Labels("S", "IR"), "broken"),
        void_score("n.*", Labels("S"), "other"), score("m.a", Labels("S")),
    ])  # fmt: skip
    assert [s.metric for s in scores.select("m.a")] == ["m.a", "m.a", "m.*", "m.a"]
    assert [s.labels.target for s in scores.select("m.a").valid().black_box()] == ["T", None]
    assert len(scores.select("m.a", {"attack": "IR"})) == 1
    assert isinstance(scores[1:], Scores)
    assert scores[0].record() == {"metric": "m.a", **FULL, "value": 0.5, "low": 0, "high": 1, "n": 2, "void": None}
