"""The conformance kit: what must hold for every plugin, asked of one. `bench check NAME` and a pytest plugin run it.

from bench_core.registry import discover
from bench_core.testing import check

assert not [verdict for verdict in check(discover(), "my_attack") if verdict.status == "broken"]
"""

from .scenes import budget, examples, network, streams
from .subjects import RULES, Subject, applicable, check, judge, offers, subjects, trials
from .verdicts import Rule, Verdict

__all__ = [
    "RULES",
    "Rule",
    "Subject",
    "Verdict",
    "applicable",
    "budget",
    "check",
    "examples",
    "judge",
    "network",
    "offers",
    "streams",
    "subjects",
    "trials",
]
