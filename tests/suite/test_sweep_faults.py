"""Mistakes in a list of eps, or in another sweep: one line for each, with the key as it is in the file."""

from collections.abc import Callable

import pytest

from bench_core import load_suite
from bench_core.errors import UsageError
from bench_core.planning.recipe_faults import recipe_faults
from bench_core.registry import Registry

WriteSuite = Callable[..., str]
CURVE = '[security_curves.curve]\nvalue = "transfer.last"\n'
RELATIVE = ("step_size = 0.03", 'step_size = "eps/4"')
HINT = '(try 0.06, "16/255", "16*sqrt(784)/255")'
ABOVE = 'expected at least one eps above 0 (try ["2/255", "4/255", "8/255"])'


def lines(path: str, registry: Registry) -> list[str]:
    with pytest.raises(UsageError) as raised:
        load_suite(path, more_faults=recipe_faults(registry))
    return [f"{fault.key}: {fault.message}" for fault in raised.value.faults]


@pytest.mark.parametrize(
    ("listed", "line"),
    [
        ('["0.1", "0.1"]', "budgets.linf.eps: found '0.1' and '0.1', the same value twice"),
        ('[0.1, "0.1"]', "budgets.linf.eps: found 0.1 and '0.1', the same value twice"),
        ('["1/4", "8/255", 0.03137254902]', "budgets.linf.eps: found '8/255' and 0.03137254902, the same value twice"),
        ("[0, 0.0]", "budgets.linf.eps: found 0 and 0.0, the same value twice"),
        ("[0.0]", f"budgets.linf.eps: found [0.0], {ABOVE}"),
        ("[]", "budgets.linf.eps: found [], expected at least one value"),
        ('[0.1, "x"]', f'budgets.linf.eps.1: found "x", which is not a number {HINT}'),
        ('["x"]', f'budgets.linf.eps.0: found "x", which is not a number {HINT}'),
        ("[0.1, -1]", "budgets.linf.eps.1: input should be greater than or equal to 0, found -1"),
        ("[8, 0.1]", 'budgets.linf.eps.0: found eps 8, but images are in [0, 1] (try "8/255")'),
        ("[0.1, true]", "budgets.linf.eps.1: input should be a valid number, found True"),
        ("[0.1, nan]", "budgets.linf.eps.1: input should be a finite number, found nan"),
        ("[0.1, [0.2]]", "budgets.linf.eps.1: input should be a valid number, found [0.2]"),
        (
            "[0.1]\nsweep = { eps = [0.2] }",
            "budgets.linf.eps: found eps and also a sweep of it, expected one of the two",
        ),
        (
            "0.1\nsweep = { steps = [4, 4] }",
            "budgets.linf.sweep.steps: found 4 and 4, the same value twice",
        ),
    ],
)
def test_a_mistake_in_a_list_is_one_line(listed: str, line: str, write_suite: WriteSuite, registry: Registry) -> None:
    curve = CURVE if listed.startswith("[") else ""
    changes = [("eps = 0.1", f"eps = {listed}"), RELATIVE]
    changes += [("steps = 4\n", "")] if "steps" in listed else []
    assert lines(write_suite(*changes, append=curve), registry) == [line]


def test_a_faulty_eps_is_not_reported_as_a_faulty_step_size_too(write_suite: WriteSuite, registry: Registry) -> None:
    path = write_suite(("eps = 0.1", 'eps = "x"'), RELATIVE)
    assert lines(path, registry) == [f'budgets.linf.eps: found "x", which is not a number {HINT}']


def test_another_mistake_in_a_budget_does_not_hide_its_sweep(write_suite: WriteSuite, registry: Registry) -> None:
    changes = [("eps = 0.1", "eps = [0.1, 0.2]"), ('norm = "linf"', 'norm = "l3"')]
    found = lines(write_suite(*changes, append=CURVE), registry)
    assert found
    assert all(".norm: " in line for line in found)


def test_an_attack_sweeps_each_value_once(write_suite: WriteSuite, registry: Registry) -> None:
    path = write_suite(('recipe = "pgd"', 'recipe = "mi", sweep = { decay = [1, "1.0"] }'))
    assert lines(path, registry) == ["attacks.PGD.sweep.decay: found 1 and '1.0', the same value twice"]


def test_a_mistake_that_is_overridden_names_the_option(write_suite: WriteSuite, registry: Registry) -> None:
    with pytest.raises(UsageError, match=r"--set budgets\.linf\.eps=.*: budgets\.linf\.eps\.1: found \"x\""):
        load_suite(write_suite(), overrides=['budgets.linf.eps=[0.1, "x"]'])


def test_different_values_are_kept_in_their_order(write_suite: WriteSuite) -> None:
    suite = load_suite(write_suite(("eps = 0.1", 'eps = ["8/255", 0.0, "0.03137"]')))
    assert [*suite.budgets] == ["linf eps=8/255", "linf eps=0.0", "linf eps=0.03137"]
