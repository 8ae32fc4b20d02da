"""The results of every attack are those of reference_values.json; reference_values.py says how to add an attack."""

import pytest

from bench_attacks.plugin import RECIPES

from .reference_values import plain_pgd, table, values_of

KNOWN = table()
TOLERANCE = 1e-3  # of a loss; another order of summation may flip the sign of a pixel's gradient


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_an_attack_still_has_its_reference_values(name: str) -> None:
    assert name in KNOWN, f"add its values: python -m tests.attacks.catalogue.reference_values {name}"
    if plain_pgd() != pytest.approx(KNOWN["pgd"], abs=TOLERANCE):
        pytest.skip("the values are those of a processor that rounds otherwise")
    assert values_of(name) == pytest.approx(KNOWN[name], abs=TOLERANCE)


def test_pgd_is_plain_pgd_on_every_processor() -> None:
    assert values_of("pgd") == pytest.approx(plain_pgd(), abs=TOLERANCE)


def test_no_value_is_of_an_attack_that_is_gone() -> None:
    assert set(KNOWN) <= set(RECIPES)
