"""What only a GPU can show: `python -m pytest -m needs_gpu`. Skipped where there is no NVIDIA GPU."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench_core import Result, load_suite, run
from bench_core.batches import at_once, batched_forward
from bench_core.registry import Registry
from bench_core.worker.attack_run import AttackRun
from bench_core.worker.guard import guarded
from bench_core.worker.rng_state import RandomStates

needs_gpu = pytest.mark.needs_gpu
SUITE = """
title    = "card"
profiles = ["embedded"]
compute  = { micro_batch = 25 }
images   = { count = 50, models = ["ResNet-S"] }
budgets.linf = { norm = "linf", eps = "16/255", step_size = "2/255", steps = 10 }
[attacks]
"PGD" = { recipe = "pgd" }
"IR"  = { recipe = "ir", grid = 14, samples = 4, cells = 24 }
[metrics]
transfer = { recipe = "transfer" }
[on.embedded]
loss    = "margin"
sources = ["ResNet-S"]
targets = ["ResNet-S", "VGG"]
[[tables]]
name    = "main"
rows    = ["source", "attack"]
columns = ["target"]
value   = "transfer.success"
format  = "percent"
"""


@pytest.fixture
def suite(tmp_path: Path) -> str:
    path = tmp_path / "card.toml"
    path.write_text(SUITE)
    return str(path)


def outcomes(result: Result) -> np.ndarray:
    """Return whether each image fooled each target at each step under each attack."""
    labels = [(attack, target) for attack in ("PGD", "IR") for target in ("ResNet-S", "VGG")]
    return np.stack([result.arrays("transfer", source="ResNet-S", attack=a, target=t)["fooled"] for a, t in labels])


@needs_gpu
def test_outcomes_are_those_of_the_cpu_but_for_a_few_flips(suite: str, tmp_path: Path) -> None:
    """A rounding may flip the sign of a gradient of nearly zero, and so an image at the boundary."""
    on = {device: outcomes(run(suite, out=tmp_path / device, device=device)) for device in ("cpu", "cuda")}
    flips = np.mean(on["cpu"] != on["cuda"])
    assert flips <= 0.02, f"{flips:.2%} of the outcomes differ"


@needs_gpu
def test_a_card_gives_the_same_bits_twice_and_with_two_workers(suite: str, tmp_path: Path) -> None:
    results = [
        run(suite, out=tmp_path / name, device="cuda", workers=workers)
        for name, workers in (("a", 1), ("b", 1), ("c", 2))
    ]
    first, *others = [(Path(result.folder) / "rows.safetensors").read_bytes() for result in results]
    assert all(other == first for other in others)


@needs_gpu
def test_ray_shares_a_card_among_workers(suite: str, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    shared = run(suite, out=tmp_path / "ray", device="cuda", executor="ray", workers=2, executor_options={"gpus": 0.5})
    alone = run(suite, out=tmp_path / "alone", device="cuda", workers=1)
    assert np.array_equal(outcomes(shared), outcomes(alone))


class Hungry(nn.Module):
    """A network that takes a quarter of the free memory for each image."""

    def __init__(self) -> None:
        super().__init__()
        self.each = torch.cuda.mem_get_info()[0] // 4
        self.sizes: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(images))
        scratch = torch.empty(len(images), self.each, dtype=torch.uint8, device=images.device)
        scratch[:, 0] = 1
        return images.flatten(1) * scratch[:, :1]


@needs_gpu
def test_a_batch_that_does_not_fit_is_halved_and_loses_nothing() -> None:
    network, images = Hungry(), torch.rand(16, 1, 4, 4, device="cuda")
    assert torch.equal(batched_forward(network, images), images.flatten(1))
    assert network.sizes[:3] == [16, 8, 4], "the first ones ran out of memory"
    assert at_once(network, images) < 4
    assert torch.cuda.memory_allocated() < network.each, "a batch that failed leaves nothing behind"


@needs_gpu
def test_a_limit_of_memory_changes_no_more_than_rounding(suite: str, tmp_path: Path) -> None:
    usual = outcomes(run(suite, out=tmp_path / "usual", device="cuda"))
    assert np.mean(outcomes(run(suite, out=tmp_path / "little", device="cuda", memory=4 * 2**30)) != usual) <= 0.02


@needs_gpu
def test_micro_batches_that_go_together_change_no_more_than_rounding(suite: str, tmp_path: Path) -> None:
    alone = load_suite(suite, overrides=["compute.together=1"])
    apart, together = (
        outcomes(run(each, out=tmp_path / name, device="cuda")) for name, each in (("a", alone), ("t", suite))
    )
    assert np.mean(apart != together) <= 0.02


@needs_gpu
def test_the_host_does_not_wait_for_the_card_at_every_step(
    suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch warns of each operation that makes the host wait."""
    steps_of = AttackRun.steps

    def waits(steps: int) -> int:
        found = list[warnings.WarningMessage]()

        def counting(attack: AttackRun) -> Iterator[torch.Tensor]:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                torch.cuda.set_sync_debug_mode("warn")
                try:
                    yield from steps_of(attack)
                finally:
                    torch.cuda.set_sync_debug_mode("default")
                found.extend(each for each in caught if "synchroniz" in str(each.message))

        with monkeypatch.context() as patched:
            patched.setattr(AttackRun, "steps", counting)
            changed = load_suite(suite, overrides=[f"budgets.linf.steps={steps}"])
            run(changed, out=tmp_path / str(steps), device="cuda", executor="inline")
        return len(found)

    Path(suite).write_text(SUITE.replace('"IR"  = { recipe = "ir", grid = 14, samples = 4, cells = 24 }', ""))
    assert waits(12) == waits(6)


@needs_gpu
def test_random_states_of_the_card_are_restored() -> None:
    torch.cuda.init()
    before = RandomStates()
    with guarded(nn.Flatten(), seed=3):
        drawn = torch.rand(3, device="cuda")
    assert not RandomStates().differing(before)
    with guarded(nn.Flatten(), seed=3):
        assert torch.equal(torch.rand(3, device="cuda"), drawn), "the seed reaches the card"


@needs_gpu
def test_bfloat16_on_a_card_is_judged_in_float32(suite: str, tmp_path: Path, registry: Registry) -> None:
    short = run(load_suite(suite), out=tmp_path, device="cuda", precision="bfloat16", registry=registry)
    full = run(load_suite(suite), out=tmp_path, device="cuda", registry=registry)
    assert np.mean(outcomes(short) != outcomes(full)) <= 0.1


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no Apple GPU")
def test_an_apple_gpu_has_the_outcomes_of_the_cpu(suite: str, tmp_path: Path) -> None:
    on = {device: outcomes(run(suite, out=tmp_path / device, device=device)) for device in ("cpu", "mps")}
    assert np.mean(on["cpu"] != on["mps"]) <= 0.02
