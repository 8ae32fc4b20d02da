"""The bridges of AutoAttack and foolbox keep the rules, or declare their deviations."""

import pytest

from bench_core.registry import Registry
from bench_core.testing import applicable, judge, offers, subjects

NAMES = [
    pytest.param("autoattack", marks=pytest.mark.slow),
    "foolbox:LinfProjectedGradientDescentAttack",
    "foolbox:L2ProjectedGradientDescentAttack",
    "foolbox:L2ClippingAwareRepeatedAdditiveGaussianNoiseAttack",
]


@pytest.mark.parametrize("name", NAMES)
def test_they_keep_every_rule_that_they_do_not_declare(name: str, installed: Registry) -> None:
    if name not in installed.names("attacks"):
        pytest.skip("installed without the extra")
    checks = [
        (subject, rule) for subject in subjects(installed, offers(installed, name)) for rule in applicable(subject)
    ]
    verdicts = [judge(subject, rule) for subject, rule in checks]
    assert not [str(verdict) for verdict in verdicts if verdict.status == "broken"]
    kept = [verdict for verdict in verdicts if verdict.status not in ("declared", "unasked")]
    assert len(kept) > 5
