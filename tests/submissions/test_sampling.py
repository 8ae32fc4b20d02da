"""What a sample finds and misses, against brute force and simulation."""

import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import chisquare

from bench_core.planning.jobs import Batch, Cell, CleanJob, PlannedJob
from bench_core.planning.specs import DatasetSpec, Environment
from bench_core.scores.labels import Labels
from bench_core.submissions.agreement import changed_cells
from bench_core.submissions.claims import ClaimedCell, ClaimedJob
from bench_core.submissions.sampling import at_most, draw, found_with, most_missed, sample_size


@pytest.mark.parametrize(("total", "drawn", "changed"), [(7, 3, 2), (6, 6, 1), (8, 1, 8), (9, 4, 0), (7, 5, 6)])
def test_the_number_of_changed_jobs_in_a_sample_is_counted_exactly(total: int, drawn: int, changed: int) -> None:
    samples = list(itertools.combinations(range(total), drawn))
    seen = [sum(place < changed for place in sample) for sample in samples]
    for most in range(drawn + 1):
        assert at_most(most, changed, drawn, total) == Fraction(sum(s <= most for s in seen), len(samples))
    assert found_with(changed, drawn, total) == Fraction(sum(s > 0 for s in seen), len(samples))


def test_one_changed_job_is_found_with_the_share_that_is_drawn() -> None:
    assert all(found_with(1, drawn, 20) == Fraction(drawn, 20) for drawn in range(1, 21))


@pytest.mark.parametrize(("seen", "drawn", "total"), [(0, 5, 20), (0, 20, 20), (3, 10, 60), (7, 7, 30), (0, 59, 1000)])
def test_the_bound_is_the_largest_number_that_such_a_sample_may_come_from(seen: int, drawn: int, total: int) -> None:
    possible = range(seen, total - (drawn - seen) + 1)
    assert most_missed(seen, drawn, total) == max(
        k for k in possible if at_most(seen, k, drawn, total) >= Fraction(1, 20)
    )


def test_the_bound_holds_in_95_of_100_samples() -> None:
    rng, total, drawn, changed = np.random.default_rng(0), 200, 20, 30
    seen = [int((rng.permutation(total)[:drawn] < changed).sum()) for _ in range(2000)]
    bound = {count: most_missed(count, drawn, total) for count in set(seen)}
    assert np.mean([bound[count] >= changed for count in seen]) >= 0.94


def test_a_share_is_at_least_one_job_and_at_most_all() -> None:
    assert [sample_size(100, share) for share in (0.0001, 0.05, 0.051, 1)] == [1, 5, 6, 100]
    assert sample_size(3, 1) == 3
    assert draw(range(50), 0.1, 7) == draw(range(50), 0.1, 7) == sorted(draw(range(50), 0.1, 7))


def test_every_sample_of_a_size_is_as_likely_as_any_other() -> None:
    """So that nobody can know which jobs are drawn, and the stated probability holds for each of them."""
    seeds = 6000
    drawn = Counter(tuple(draw("abcdef", 1 / 3, seed)) for seed in range(seeds))
    assert set(drawn) == set(itertools.combinations("abcdef", 2))
    assert chisquare(list(drawn.values())).pvalue > 1e-3


def made_job(number: int, outcomes: np.ndarray) -> ClaimedJob:
    ids = tuple(f"{number}-{image}" for image in range(len(outcomes)))
    batch = Batch(DatasetSpec("none", {}), tuple(range(len(ids))), ids, (0,) * len(ids), None)
    job = CleanJob(batch, {}, (), 0, Environment("2", "cpu", "cpu", "float32", 1), "")
    cell = Cell("key", "transfer", None)
    planned = PlannedJob(job, (cell,), {}, round=number)
    return ClaimedJob(planned, (ClaimedCell(cell, Labels(), {"fooled": outcomes}),), "selected")


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_one_flipped_outcome_of_10_000_is_found_as_often_as_stated(share: float) -> None:
    """The whole chain, from the sample to the comparison, over 1,000 seeds."""
    truth = np.random.default_rng(0).random((100, 100)) < 0.5
    jobs = [made_job(number, row.copy()) for number, row in enumerate(truth)]
    computed = {job.planned.address: {"key": {"fooled": row}} for job, row in zip(jobs, truth, strict=True)}
    rng, found, seeds = np.random.default_rng(1), 0, 1000
    for seed in range(seeds):
        job, image = rng.integers(100, size=2)
        claimed = jobs[job].cells[0].arrays["fooled"]  # type: ignore[index]
        claimed[image] ^= True
        cells = changed_cells(draw(jobs, share, seed), computed, {})
        claimed[image] ^= True
        assert [cell.batch for cell in cells] in ([], [job])
        found += len(cells)
    stated = float(found_with(1, sample_size(100, share), 100))
    assert abs(found / seeds - stated) < 4 * (stated * (1 - stated) / seeds) ** 0.5
