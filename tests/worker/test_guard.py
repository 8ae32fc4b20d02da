"""After an attack, the process is as it was before."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from bench_core.errors import ContractError
from bench_core.worker.guard import guarded
from tests.toys import toy_network


@pytest.fixture
def warn_only() -> object:
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def test_algorithms_that_only_warn_do_so_afterwards(warn_only: object) -> None:
    """Metrics after an attack run in the same mode as those before it."""
    with guarded(toy_network()):
        pass
    assert torch.is_deterministic_algorithms_warn_only_enabled()


def test_a_change_of_warn_only_is_reported_and_undone(warn_only: object) -> None:
    with pytest.raises(ContractError, match="deterministic algorithms"), guarded(toy_network()):
        torch.use_deterministic_algorithms(True, warn_only=False)
    assert torch.is_deterministic_algorithms_warn_only_enabled()


def test_an_attack_imports_no_compiler(tmp_path: Path) -> None:
    """Importing torch's compiler would take more than a second in each worker."""
    code = """if True:
        import sys
        from bench_core import load_suite, run
        overrides = ("sources=['AlexNet']", "targets=['AlexNet']", "budgets.linf.steps=1", "budgets.l2.steps=1")
        run(load_suite("transfer_table1", overrides=overrides), executor="inline", limit=1, strict=True)
        print(*sys.modules, sep="\\n")
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "torch" in done.stdout.split()
    assert {"torch._inductor", "torch._dynamo", "sympy"}.isdisjoint(done.stdout.split())


class FakeCuda:
    """Simulates the generator of one GPU."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.states = [torch.zeros(16, dtype=torch.uint8)]
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: [state.clone() for state in self.states])
        monkeypatch.setattr(torch.cuda, "set_rng_state_all", self.restore)

    def restore(self, states: list[torch.Tensor]) -> None:
        self.states = [state.clone() for state in states]


def test_a_draw_from_a_gpus_generator_is_reported_and_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(monkeypatch)
    with pytest.raises(ContractError, match="CUDA's global random state"), guarded(toy_network()):
        cuda.states[0] += 1
    assert not cuda.states[0].any()


def test_a_seeded_attack_may_draw_and_leaves_no_trace() -> None:
    network: nn.Module = toy_network()
    before = torch.get_rng_state()
    with guarded(network, seed=7):
        first = torch.rand(3)
    with guarded(network, seed=7):
        assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.get_rng_state(), before)
