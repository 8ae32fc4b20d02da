"""The notes of tables on 8 bits and on attacks whose perturbations differ in length."""

import numpy as np
import pytest

from bench_core import run
from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry
from bench_core.reports.leaderboard import leaderboards, read_contributions
from bench_core.scores.images import ImageSet, PerImage
from bench_core.scores.perturbations import EIGHT_BITS, lengths_of, unequal_lengths
from bench_core.suite.budget import BudgetEntry
from bench_core.types import AttackRecipe, Budget
from tests.toys import Misbehaving

BUDGETS = {
    "linf": BudgetEntry(norm="linf", eps=0.1, step_size=0.01, steps=4),
    "l2": BudgetEntry(norm="l2", eps=1.0, step_size=0.1, steps=4),
}
GATE = '[gate]\n"transfer.success" = { better = "higher" }\n'


def notes(lengths: dict[tuple[str, str, str], float | list[float]]) -> list[str]:
    values = {key: np.array(length if isinstance(length, list) else [length] * 8) for key, length in lengths.items()}
    images = {key: PerImage(ImageSet.of("selected", range(len(of))), of) for key, of in values.items()}
    return list(unequal_lengths(BUDGETS, list(images), images))


def test_attacks_of_one_linf_budget_that_differ_by_over_a_tenth_are_noted() -> None:
    assert notes({("A", "PGD", "linf"): 2.0, ("A", "IR", "linf"): 1.6, ("A", "MI", "linf"): 1.9}) == [
        "unequal lengths under linf: on A, the perturbations of PGD are 25% longer in L2 than those of IR (2 and 1.6)"
    ]


@pytest.mark.parametrize(
    "lengths",
    [
        {("A", "PGD", "linf"): 1.09, ("A", "IR", "linf"): 1.0},
        {("A", "PGD", "l2"): 2.0, ("A", "IR", "l2"): 1.0},
        {("A", "PGD", "linf"): 2.0, ("B", "PGD", "linf"): 1.0},  # sources differ, not attacks
        {("A", "PGD", "linf"): 2.0, ("A", "IR", "linf"): 0.0},  # no image was changed
    ],
)
def test_nothing_else_is_noted(lengths: dict[tuple[str, str, str], float]) -> None:
    assert notes(lengths) == []


def test_images_that_an_attack_returns_unchanged_do_not_make_its_perturbations_shorter() -> None:
    plain = [2.0] * 8
    assert notes({("A", "PGD", "linf"): plain, ("A", "APGD", "linf"): [2.0] * 5 + [0.0] * 3}) == []
    (note,) = notes({("A", "PGD", "linf"): plain, ("A", "APGD", "linf"): [1.0] * 6 + [0.0] * 2})
    assert note == (
        "unequal lengths under linf: on A, the perturbations of PGD are 100% longer in L2 than those of APGD "
        "(2 and 1, on the 6 images that both changed)"
    )
    assert notes({("A", "PGD", "linf"): plain, ("A", "APGD", "linf"): [1.0] * 4 + [0.0] * 4}) == []  # too few
    assert notes({("A", "PGD", "linf"): [2.0] * 3, ("A", "APGD", "linf"): [1.0] * 3})  # all there are


def test_the_largest_difference_of_several_sources_is_named() -> None:
    lengths = {("A", "PGD", "linf"): 1.2, ("A", "IR", "linf"): 1.0, ("B", "PGD", "linf"): 1.5, ("B", "IR", "linf"): 1.0}
    (note,) = notes(lengths)
    assert "on B, the largest difference of 2 sources, the perturbations of PGD are 50% longer" in note


@pytest.mark.parametrize("quantise", [True, False])
def test_tables_and_leaderboards_state_what_was_judged(
    quantise: bool, registry: Registry, write_suite, tmp_path
) -> None:
    suite = write_suite(
        ('title = "toy"', f'title = "toy"\nquantise = {str(quantise).lower()}'),
        ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd" }\n"noise" = { recipe = "noise" }'),
        append=GATE + '[[tables]]\nname = "clean"\nrows = ["target"]\ncolumns = []\nvalue = "clean.accuracy"\n',
    )
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    main, clean = (next(table for table in result.tables if table.name == name) for name in ("main", "clean"))
    assert (EIGHT_BITS in main.notes) == quantise
    assert EIGHT_BITS not in clean.notes
    (sheet,) = leaderboards(read_contributions([str(result.folder)], registry))
    (stated,) = [note for note in sheet.notes if note.startswith("adversarial images: ")]
    assert ("of 8 bits" in stated) == quantise


class Timid:
    """Offers an attack that uses half of the budget."""

    @hookimpl
    def bench_attacks(self) -> dict[str, AttackRecipe]:
        def half(budget: Budget) -> Misbehaving:
            return Misbehaving(budget, lambda _, clean, limits: (clean.images + limits.eps / 2).clamp(0, 1))

        return {"timid": AttackRecipe(half, "adds eps / 2")}


def test_a_run_notes_the_lengths_of_its_own_attacks(registry: Registry, write_suite, tmp_path) -> None:
    registry.register(Timid(), Origin("timid", "tests", "1", "timid-source"))
    suite = write_suite(
        ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd" }\n"timid" = { recipe = "timid" }'),
        append='[[tables]]\nname = "cost"\nrows = ["attack"]\ncolumns = ["source"]\nvalue = "attack.forwards"\n',
    )
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    lengths = lengths_of(result.scores)
    assert {key[1] for key in lengths} == {"PGD", "timid"}
    expected = list(unequal_lengths(result.suite.budgets, list(lengths), lengths))
    assert expected
    assert [note for note in result.tables[0].notes if note.startswith("unequal")] == expected
    assert not [note for note in result.tables[1].notes if note.startswith("unequal")]
