"""Donors: fixed clean images of the dataset that attacks may mix in, part of the address of the attacks that do."""

from dataclasses import replace

import pytest
import torch

from bench_attacks.donors import Donors
from bench_attacks.step_rng import StepRng
from bench_core.donors import donor_indices, donors_digest
from bench_core.errors import UsageError
from bench_core.planning.planner import selected_jobs
from bench_core.planning.selection import first_images
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite, run
from bench_core.suite.load import load_suite
from bench_core.types import Examples
from bench_core.worker.streams import ImageStreams
from tests.toys import ToyImages


@pytest.mark.parametrize("labels", [[i * 10 // 1000 for i in range(1000)], [i % 10 for i in range(1000)]])
def test_donors_have_all_classes_whether_the_dataset_is_sorted_or_repeats_them(labels: list[int]) -> None:
    assert {labels[index] for index in donor_indices(1000, 100)} == set(range(10))


def test_donors_are_spread_evenly_and_their_digest_has_their_labels() -> None:
    assert [index // 250 for index in donor_indices(1000, 4)] == [0, 1, 2, 3]
    assert donor_indices(3, 4) == [0, 1, 2]
    assert donor_indices(0, 4) == []
    data, other = ToyImages(20), ToyImages(20)
    other.labels = [(label + 1) % 3 for label in other.labels]
    assert len({donors_digest(data, 4), donors_digest(data, 5), donors_digest(other, 4)}) == 3


def drawn(rows: slice, labels: list[int], purpose: str = "mix") -> torch.Tensor:
    pool = Examples(torch.arange(6.0).view(6, 1, 1, 1), torch.tensor([0, 0, 1, 1, 2, 2]), tuple("abcdef"))
    ids = tuple(f"image {i}" for i in range(len(labels)))
    given = Examples(torch.zeros(len(ids), 1, 1, 1), torch.tensor(labels), ids).take(rows)
    streams = ImageStreams(0, given.ids)
    return Donors.of(pool, given).draw(purpose, 50, StepRng(streams, 1, given.images)).flatten(1)


def test_every_image_draws_images_of_all_other_classes_alone_or_in_a_batch() -> None:
    labels = [0, 1, 2, 0]
    together = drawn(slice(0, 4), labels)
    for i, label in enumerate(labels):
        assert set(together[i].tolist()) == {0.0, 1, 2, 3, 4, 5} - {2.0 * label, 2.0 * label + 1}
        assert torch.equal(drawn(slice(i, i + 1), labels)[0], together[i])
    assert not torch.equal(together[0], together[3])
    with pytest.raises(ValueError, match="donors: all 1 donors have the class"):
        Donors.of(Examples(torch.zeros(1, 1, 1, 1), torch.tensor([0]), ("a",)), Examples(
            torch.zeros(1, 1, 1, 1), torch.tensor([0]), ("b",)
        ))  # fmt: skip


PGD = '"PGD" = { recipe = "pgd" }'
SUITE = (PGD, f'{PGD}\n"Admix" = {{ recipe = "admix", pool = 5, mixed = 2 }}')


def addresses(registry: Registry, suite: str, moved: bool) -> dict[str, str]:
    resolved = resolve_suite(load_suite(suite), registry=registry)
    assert resolved.images is not None
    images = first_images(resolved)
    if moved:
        resolved.images.labels = [*resolved.images.labels[:-5], 2, 2, 2, 2, 2]
    return {job.labels["attack"]: job.address for job in selected_jobs(resolved, images) if "attack" in job.labels}


def test_only_attacks_with_donors_have_them_in_their_address(registry: Registry, write_suite) -> None:
    suite = write_suite(SUITE)
    before, after = (addresses(registry, suite, moved) for moved in (False, True))
    assert before["PGD"] == after["PGD"]
    assert before["Admix"] != after["Admix"]


def test_a_dataset_of_one_class_is_refused_before_a_run(registry: Registry, write_suite, monkeypatch) -> None:
    monkeypatch.setattr("tests.toys.CLASSES", 1)
    reason = "attacks.Admix: it mixes in images of other classes, but its 5 donors of the dataset have one class"
    with pytest.raises(UsageError, match=reason):
        resolve_suite(load_suite(write_suite(SUITE)), registry=registry)
    resolve_suite(load_suite(write_suite()), registry=registry)


def test_a_suite_runs_an_attack_with_donors(registry: Registry, write_suite, tmp_path) -> None:
    result = run(write_suite(SUITE), out=tmp_path, registry=registry, executor="inline")
    assert result.complete
    spec = next(use.spec for (attack, _, _), use in resolve_suite(
        load_suite(write_suite(SUITE)), registry=registry
    ).attacks.items() if attack == "Admix")  # fmt: skip
    assert "donors" not in spec.to_json()
    assert type(spec).from_json(replace(spec, donors="x").to_json()).donors == "x"
