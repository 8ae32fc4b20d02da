"""Several micro-batches go through an attack at once, and what is computed at once is what their addresses say."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from bench_core.errors import Interrupted
from bench_core.hookspecs import hookimpl
from bench_core.planning.jobs import AttackJob, PlannedJob
from bench_core.planning.planner import selected_jobs
from bench_core.planning.selection import first_images
from bench_core.planning.together import fills
from bench_core.registry import Origin, Registry
from bench_core.reserved import RECORD
from bench_core.result import Result
from bench_core.run_suite import resolve_suite, run
from bench_core.store import Rows, Store
from bench_core.suite.load import load_suite
from bench_core.types import AttackRecipe, Budget, Examples, Model, Streams
from tests.commands.test_cli import GOOD
from tests.faults.world import stored

TOGETHER = ("micro_batch = 5", "micro_batch = 2\ntogether = 8")  # of 12 images: two groups, of 8 and of 4
ALONE = ("micro_batch = 5", "micro_batch = 2")


class Noting:
    """Brightens the images, and notes how many it was given."""

    def __init__(self, budget: Budget, seen: list[int]) -> None:
        self.budget, self.seen = budget, seen

    def __call__(self, model: Model, examples: Examples, rng: Streams):
        self.seen.append(len(examples.labels))
        for _ in range(self.budget.steps):
            model(examples.images)
            yield (examples.images + self.budget.eps).clamp(max=1)


class Seeded(Noting):
    global_seed = True


class Coupled(Noting):
    deviations: Mapping[str, str] = {"batch_independence": "its images depend on each other"}


class Plugin:
    def __init__(self) -> None:
        self.seen: list[int] = []

    @hookimpl
    def bench_attacks(self) -> Mapping[str, AttackRecipe]:
        def recipe(kind: type[Noting]) -> AttackRecipe:
            return AttackRecipe(lambda budget: kind(budget, self.seen), "notes its batches")

        return {"noting": recipe(Noting), "seeded": recipe(Seeded), "coupled": recipe(Coupled)}


@pytest.fixture
def noting(registry: Registry) -> Plugin:
    plugin = Plugin()
    registry.register(plugin, Origin("noting", "tests", "1", "noting-source"))
    return plugin


def attack_jobs(suite: str, registry: Registry, device: str = "cpu") -> list[PlannedJob]:
    resolved = resolve_suite(load_suite(suite), registry, device=device, remote=True)
    jobs = selected_jobs(resolved, first_images(resolved))
    return [job for job in jobs if isinstance(job.job, AttackJob)]


def rows_of(result: Result) -> bytes:
    return (Path(result.folder) / "rows.safetensors").read_bytes()


def fooled(result: Result) -> np.ndarray:
    labels = [(source, target) for source in ("A", "A+B") for target in ("A", "B")]
    return np.stack([result.arrays("transfer", source=s, attack="PGD", target=t)["fooled"] for s, t in labels])


@pytest.mark.parametrize(("recipe", "sizes"), [("noting", [8, 4]), ("seeded", [2] * 6), ("coupled", [2] * 6)])
def test_only_attacks_whose_images_are_independent_get_several_micro_batches(
    write_suite: Callable[..., str], registry: Registry, noting: Plugin, tmp_path: Path, recipe: str, sizes: list[int]
) -> None:
    suite = write_suite(TOGETHER, ('recipe = "pgd"', f'recipe = "{recipe}"'), ('["A", ["A", "B"]]', '["A"]'))
    run(suite, out=tmp_path, executor="inline", registry=registry)
    assert noting.seen == sizes


def test_the_rows_are_those_of_each_micro_batch_but_for_rounding(
    write_suite: Callable[..., str], registry: Registry, tmp_path: Path
) -> None:
    results = {
        name: run(write_suite(change, name=name), out=tmp_path / name, executor="inline", registry=registry)
        for name, change in (("together", TOGETHER), ("alone", ALONE))
    }
    flips = int((fooled(results["together"]) != fooled(results["alone"])).sum())
    assert flips == 0, f"{flips} outcomes differ"
    for name in ("forwards", "backwards", "margin", "linf", "margin_of_noise"):
        found, expected = (results[key].arrays(RECORD, source="A", attack="PGD") for key in results)
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_an_address_says_what_is_computed_at_once(write_suite: Callable[..., str], registry: Registry) -> None:
    fewer = ("micro_batch = 5", "micro_batch = 2\ntogether = 4")
    addresses = {
        name: [job.address for job in attack_jobs(write_suite(change, name=name), registry)]
        for name, change in {"alone": ALONE, "8": TOGETHER, "4": fewer}.items()
    }
    assert all(len(set(each)) == 12 for each in addresses.values()), "two sources, six micro-batches"
    shared = set(addresses["8"]) & set(addresses["4"])
    assert len(shared) == 4, "of both, the last two micro-batches go together on each source"
    assert not set(addresses["alone"]) & (set(addresses["8"]) | set(addresses["4"]))


def test_a_group_that_is_stored_in_part_is_computed_to_the_same_bits(
    write_suite: Callable[..., str], registry: Registry, tmp_path: Path
) -> None:
    suite = write_suite(TOGETHER)
    first = rows_of(run(suite, out=tmp_path / "out", executor="inline", registry=registry))
    store = Store(tmp_path / "out" / "store")
    before = {address: bundle.read() for address, bundle in stored(store)}
    lost = [job.address for job in attack_jobs(suite, registry)][1::3]
    shutil.rmtree(store.root)
    for address in before.keys() - set(lost):
        store.put(address, before[address])
    assert rows_of(run(suite, out=tmp_path / "out", executor="inline", registry=registry)) == first
    assert {address: bundle.read() for address, bundle in stored(store)} == before
    assert {address for address, bundle in stored(store) if bundle.in_segment} <= set(lost)
    wholes = {job.job.whole().address() for job in attack_jobs(suite, registry)}
    assert not [path for path in (tmp_path / "out" / "store").rglob("*") if path.name in wholes], "no claim is left"


def test_the_rows_of_a_group_are_those_that_the_store_has(
    write_suite: Callable[..., str], registry: Registry, tmp_path: Path
) -> None:
    class Reports:
        """Notes the rows that are reported, and those that the store has then."""

        def __init__(self) -> None:
            self.pairs: list[tuple[Rows, Rows]] = []

        @hookimpl
        def bench_cell_done(self, job: PlannedJob, rows: Rows) -> None:
            if isinstance(job.job, AttackJob):
                self.pairs.append((rows, Store(tmp_path / "out" / "store").get(job.address)))

    reports = Reports()
    registry.register(reports, Origin("reports", "tests", "1", "reports-source"))
    suite = write_suite(TOGETHER, append="[keep]\nimages = 4\n")
    first = rows_of(run(suite, out=tmp_path / "out", executor="inline", registry=registry))
    assert len(reports.pairs) == 12
    kept = 0
    for found, in_store in reports.pairs:
        assert found.keys() == in_store.keys()
        kept += sum(not found[cell] for cell in found)
        for cell in filter(found.get, found):
            assert found[cell].keys() == in_store[cell].keys()
            for name, row in in_store[cell].items():
                assert found[cell][name].dtype == row.dtype
                np.testing.assert_array_equal(found[cell][name], row)
    assert kept == 4, "of two micro-batches on two sources, images are kept, which are not read"
    assert rows_of(run(suite, out=tmp_path / "out", executor="inline", registry=registry)) == first


def test_a_run_that_is_stopped_between_groups_goes_on_to_the_same_bits(
    write_suite: Callable[..., str], registry: Registry, tmp_path: Path
) -> None:
    suite, complete = write_suite(TOGETHER), list[int]()

    def stop(result: Result) -> None:
        complete.append(len(result.selected))
        raise KeyboardInterrupt

    expected = rows_of(run(suite, out=tmp_path / "whole", executor="inline", registry=registry))
    with pytest.raises(Interrupted):
        run(suite, out=tmp_path / "out", executor="inline", registry=registry, on_round=stop)
    assert complete == [8], "the micro-batches of a group are complete at once"
    assert rows_of(run(suite, out=tmp_path / "out", executor="inline", registry=registry)) == expected


def test_worker_processes_compute_the_same_bits(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(
        GOOD.replace("count = 4", "count = 5").replace("[budgets", "[compute]\nmicro_batch = 1\ntogether = 2\n[budgets")
    )
    rows = [rows_of(run(str(path), out=tmp_path / name, executor=name)) for name in ("inline", "local")]
    assert rows[0] == rows[1]


def test_a_metric_that_fails_voids_its_cells_alone(
    write_suite: Callable[..., str], registry: Registry, tmp_path: Path
) -> None:
    suite = write_suite(TOGETHER, ("[metrics]", '[metrics]\nbroken = { recipe = "broken" }'))

    class Broken:
        def observe(self, adversarial: torch.Tensor) -> dict[str, torch.Tensor]:
            raise ValueError("on purpose")

        def summarise(self, rows):
            return []

    class Metrics:
        @hookimpl
        def bench_metrics(self):
            from bench_core.types import MetricRecipe

            return {"broken": MetricRecipe(Broken, "fails")}

    registry.register(Metrics(), Origin("broken", "tests", "1", "broken-source"))
    result = run(suite, out=tmp_path / "broken", executor="inline", registry=registry)
    assert {score.metric for score in result.scores if score.void} == {"broken.*"}
    whole = run(write_suite(TOGETHER, name="whole"), out=tmp_path / "whole", executor="inline", registry=registry)
    assert np.array_equal(fooled(result), fooled(whole))


def test_a_gpu_takes_what_fills_it_and_a_cpu_one_micro_batch(
    write_suite: Callable[..., str], registry: Registry
) -> None:
    suite = write_suite(ALONE)
    assert {job.job.together for job in attack_jobs(suite, registry)} == {None}
    on_gpu = attack_jobs(suite, registry, "cuda")
    assert {len(job.job.whole().batch) for job in on_gpu} == {12}
    use = next(iter(resolve_suite(load_suite(suite), registry, device="cpu").attacks.values()))
    assert fills("cuda", use, (3, 32, 32)) == 512
    assert fills("cuda:1", use, (3, 224, 224)) == 64
    assert fills("cpu", use, (3, 32, 32)) == 1
