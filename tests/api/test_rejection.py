"""What a `check` may return, and where a suite shows it."""

from dataclasses import dataclass

import pytest

from bench_core.errors import UsageError
from bench_core.planning.resolve import resolve
from bench_core.registry import Offer
from bench_core.suite.load import load_suite
from bench_core.types import AttackRecipe, Budget, Rejection

from ..toys import ToyPlugin


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (None, None),
        ("", None),
        ("grid: found 3", Rejection("grid", "found 3")),
        ("grid: found 3 (try 2)", Rejection("grid", "found 3 (try 2)")),
        ("images are too small", Rejection("", "images are too small")),
        ("too small: 3 x 3", Rejection("", "too small: 3 x 3")),
        ("grid: ", Rejection("", "grid: ")),
        (Rejection("grid", "found 3"), Rejection("grid", "found 3")),
    ],
)
def test_a_text_names_its_option_before_a_colon(returned: Rejection | str | None, expected: Rejection | None) -> None:
    assert Rejection.of(returned) == expected


def test_it_reads_as_the_text_that_it_came_from() -> None:
    for text in ("grid: found 3", "images are too small"):
        assert str(Rejection.of(text)) == text


@dataclass(frozen=True)
class Refuses:
    """An attack that can be used on no images."""

    reason: Rejection | str

    def check(self, shape: tuple[int, int, int]) -> Rejection | str:
        return self.reason

    def __call__(self, *given: object) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("images are too small", "attacks.PGD: images are too small"),
        (Rejection("", "images are too small"), "attacks.PGD: images are too small"),
        ("grid: found 3", "attacks.PGD.grid: found 3"),
        (Rejection("grid", "found 3"), "attacks.PGD.grid: found 3"),
    ],
)
def test_the_reason_is_never_lost(reason: Rejection | str, line: str, toys: ToyPlugin, registry, write_suite) -> None:
    def build(budget: Budget) -> Refuses:
        return Refuses(reason)

    usual = registry.offers["attacks", "pgd"]
    registry.offers["attacks", "pgd"] = Offer("attacks", "pgd", {"pgd": AttackRecipe(build, "Refuses.")}, usual.origin)
    with pytest.raises(UsageError) as error:
        resolve(load_suite(write_suite()), registry)
    (shown,) = str(error.value).splitlines()
    assert shown.endswith(line)
