"""The results of every attack are those of reference_values.json; reference_values.py says how to add an attack."""

import pytest

from bench_attacks.plugin import RECIPES

from .reference_values import FILES, TOLERANCE, file_of_this_processor, plain_pgd, read, values_of


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_an_attack_still_has_its_reference_values(name: str) -> None:
    assert any(name in read(file) for file in FILES), (
        f"add its values: python -m tests.attacks.catalogue.reference_values {name}"
    )
    file = file_of_this_processor()
    if file is None or name not in read(file):
        pytest.skip("no reference values of this kind of processor")
    assert values_of(name) == pytest.approx(read(file)[name], abs=TOLERANCE)


def test_pgd_is_plain_pgd_on_every_processor() -> None:
    assert values_of("pgd") == pytest.approx(plain_pgd(), abs=TOLERANCE)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_value_is_of_an_attack_that_is_gone(file) -> None:
    assert set(read(file)) <= set(RECIPES)
