"""A pytest plugin: one test for every rule of a recipe, a plugin or a package.

    # pytest -p bench_core.testing.pytest_plugin
    @pytest.mark.bench("my_attack")  # a recipe, a plugin or a package; with options: bench("my_attack", scale=0.5)
    def test_conformance(bench_rule):
        bench_rule()

A broken rule fails with what is wrong, the input, and a link to the documentation. A declared deviation is an expected
failure (xfail). A rule that does not apply is skipped. All state their reason.
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
    config.addinivalue_line(
        "markers", "bench(name, **options): the recipe, plugin or package whose rules the fixture bench_rule checks"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise `bench_rule` with the rules of every subject that the marks name."""
    if "bench_rule" not in metafunc.fixturenames:
        return
    marks = list(metafunc.definition.iter_markers("bench"))
    if not marks:
        raise pytest.UsageError(f'{metafunc.definition.nodeid}: bench_rule needs @pytest.mark.bench("NAME")')
    checks = [case for mark in marks for case in cases(*mark.args, **mark.kwargs)]
    names = [f"{subject.name.replace(' ', '-')}-{rule.name}" for subject, rule in checks]
    metafunc.parametrize("bench_rule", checks, ids=names, indirect=True)


def cases(name: str, **options: Any) -> list[tuple[Subject, Rule]]:
    """Return the subjects of a name with each of their rules.

    If nothing has this name or the options are wrong, the only rule is one that fails with the reason.
    """
    from . import Rule, applicable, offers, subjects

    try:
        found = list(subjects(installed(), offers(installed(), name), options))
    except UsageError as error:
        reason = str(error)

        def missing(_subject: Subject) -> None:
            raise Broken(reason)

        return [(NotFound(name), Rule("found", "It is installed and accepts these options.", missing))]
    return [(subject, rule) for subject in found for rule in applicable(subject)]


class NotFound:
    """A name in a mark that no plugin offers."""

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
    """Return a function that checks one rule of one subject and fails, skips or xfails accordingly."""
    from . import judge

    def check() -> None:
        verdict = judge(*request.param)
        if verdict.status == "broken":
            pytest.fail(str(verdict), pytrace=False)
        if verdict.status == "declared":
            pytest.xfail(str(verdict))
        if verdict.status == "unasked":
            pytest.skip(str(verdict))

    return check
