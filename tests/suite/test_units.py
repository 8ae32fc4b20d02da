"""Lengths in grey levels are refused when planned, with the length that is probably meant."""

from collections.abc import Callable

import pytest

from bench_core import load_suite
from bench_core.errors import UsageError
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite
from bench_core.suite.find import own_suites
from bench_core.suite.merge import read_toml

WriteSuite = Callable[..., str]
SUITES = [(name, profile) for name, path in own_suites().items() for profile in read_toml(path)["profiles"]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("step_size = 0.03", "step_size = 2", r'budgets\.linf: found step_size 2, .*\(try "2/255"\)'),
        (
            "step_size = 0.03",
            "step_size = inf",
            r"budgets\.linf\.step_size: input should be a finite number, found inf",
        ),
        ("step_size = 0.03", "step_size = nan", r"budgets\.linf\.step_size: "),
        ("steps = 4", f"steps = {10**18}", r"linf\.steps: found 1,000,000,000,000,000,000, expected at most 100,000"),
        ("eps = 0.1", "eps = inf", r"budgets\.linf\.eps: input should be a finite number, found inf"),
        ("eps = 0.1", "eps = 8", r'budgets\.linf: found eps 8, but images are in \[0, 1\] \(try "8/255"\)'),
        (
            'norm = "linf"\neps = 0.1',
            'norm = "l2"\neps = 128',
            r'linf\.eps: found eps 128, .*\(try "128/255"\): two images of 1 x 4 x 4 differ by at most 4 in L2',
        ),
        (
            'norm = "linf"\neps = 0.1\nstep_size = 0.03',
            'norm = "l2"\neps = 4\nstep_size = 20',
            r'budgets\.linf\.step_size: found step_size 20, .*\(try "20/255"\)',
        ),
        ('recipe = "pgd"', 'parts = ["vr"], sigma = 15', r'attacks\.PGD\.sigma: found sigma 15, .*\(try "15/255"\)'),
        (
            'clean = { recipe = "clean_accuracy" }',
            'clean = { recipe = "clean_accuracy" }\ncertified = { recipe = "certified", sigma = 64 }',
            r'metrics\.certified\.sigma: found sigma 64, .*\(try "64/255"\)',
        ),
        (
            '"B" = { recipe = "toy", seed = 2 }',
            '"B" = { recipe = "smoothed", base = "A", sigma = 64 }',
            r'models\.B\.sigma: found sigma 64, .*\(try "64/255"\)',
        ),
    ],
)
def test_a_length_in_grey_levels_is_refused(
    old: str, new: str, message: str, write_suite: WriteSuite, registry: Registry
) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_suite(load_suite(write_suite((old, new))), registry)


def test_the_largest_lengths_are_accepted(write_suite: WriteSuite, registry: Registry) -> None:
    linf = write_suite(("eps = 0.1\nstep_size = 0.03", "eps = 1\nstep_size = 1"))
    l2 = write_suite(('norm = "linf"\neps = 0.1\nstep_size = 0.03', 'norm = "l2"\neps = 4\nstep_size = 4'), name="l2")
    for suite in (linf, l2):
        assert resolve_suite(load_suite(suite), registry).attacks
