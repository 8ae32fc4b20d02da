"""The conformance kit: the rules that plugins must keep. `bench check NAME` and a pytest plugin check them, as does:

from bench_core.registry import discover
from bench_core.testing import check

assert not [verdict for verdict in check(discover(), "my_attack") if verdict.status == "broken"]
"""

from .inputs import budget, examples, network, streams
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
