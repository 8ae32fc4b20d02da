"""A pytest plugin: one test for every rule of what a plugin offers.

    # pytest -p bench_core.testing.pytest_plugin
    @pytest.mark.bench("my_attack")  # a recipe, a plugin or a package; with options: bench("my_attack", scale=0.5)
    def test_conformance(bench_rule):
        bench_rule()

A broken rule fails with what is wrong, with which input, and where to read; a declared deviation is an expected
failure with its reason; a rule that cannot be asked is skipped with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from ..errors import UsageError
from ..registry import Registry, discover
from .verdicts import Broken

if TYPE_CHECKING:
    from . import Rule, Subject


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "bench(name, **options): ask all rules of what is called so, by bench_rule")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of every rule for each subject that the marks name."""
    if "bench_rule" not in metafunc.fixturenames:
        return
    marks = list(metafunc.definition.iter_markers("bench"))
    if not marks:
        raise pytest.UsageError(f'{metafunc.definition.nodeid}: bench_rule needs @pytest.mark.bench("NAME")')
    asked = [case for mark in marks for case in cases(*mark.args, **mark.kwargs)]
    names = [f"{subject.name.replace(' ', '-')}-{rule.name}" for subject, rule in asked]
    metafunc.parametrize("bench_rule", asked, ids=names, indirect=True)


def cases(name: str, **options: Any) -> list[tuple[Subject, Rule]]:
    """Give every rule of what has a name; where there is nothing, or options are wrong, a rule that says so."""
    from . import Rule, applicable, offers, subjects

    try:
        found = list(subjects(installed(), offers(installed(), name), options))
    except UsageError as error:
        reason = str(error)

        def missing(_subject: Subject) -> None:
            raise Broken(reason)

        return [(Absent(name), Rule("found", "It is installed, and takes these options.", missing))]
    return [(subject, rule) for subject in found for rule in applicable(subject)]


class Absent:
    """What a mark names and nobody offers."""

    kind = ""

    def __init__(self, name: str) -> None:
        self.name = name

    def declared(self) -> dict[str, str]:
        return {}

    def refuses(self) -> None:
        return None


@cache
def installed() -> Registry:
    return discover()


@pytest.fixture
def bench_rule(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Ask one rule of one subject; the call fails, skips or expects a failure as the verdict is."""
    from . import judge

    def ask() -> None:
        verdict = judge(*request.param)
        if verdict.status == "broken":
            pytest.fail(str(verdict), pytrace=False)
        if verdict.status == "declared":
            pytest.xfail(str(verdict))
        if verdict.status == "unasked":
            pytest.skip(str(verdict))

    return ask
