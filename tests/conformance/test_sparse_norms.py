"""Gradient attacks keep the rules of the kit in L1 and L0 too."""

import pytest

from bench_attacks.plugin import RECIPES
from bench_core.registry import Registry
from bench_core.testing import applicable, judge, offers, subjects
from bench_core.testing.attack_case import AttackCase

NATIVE = [name for name in RECIPES if RECIPES[name].join]


@pytest.mark.parametrize("norm", ["l1", "l0"])
@pytest.mark.parametrize("name", ["pgd", "mi", *(pytest.param(name, marks=pytest.mark.slow) for name in NATIVE)])
def test_every_rule_holds(name: str, norm: str, installed: Registry) -> None:
    (first, *_) = subjects(installed, offers(installed, name))
    assert isinstance(first, AttackCase)
    case = AttackCase(first.offer, first.options, norm)  # type: ignore[arg-type]
    verdicts = [judge(case, rule) for rule in applicable(case)]
    assert not [str(verdict) for verdict in verdicts if verdict.status in ("broken", "raised")]
