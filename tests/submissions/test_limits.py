"""The work that a stranger's run asks for is limited before anything of it is computed."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_core.cli import app, guard
from bench_core.errors import Incomplete, UsageError
from bench_core.executors import Limits, Outcome, Task
from bench_core.executors.watchdog import Watch
from bench_core.submissions import limits as limits_module
from bench_core.submissions.contents import read_contents
from bench_core.submissions.prepare import Request
from bench_core.submissions.unpack import unpacked
from bench_core.submissions.verify import verify

from .test_hostile import edited

Change = Callable[[dict], object]


def models_of_models(record: dict, names: int, members: int) -> None:
    """Add networks of networks of networks, which double (or not) at each level."""
    models = record["suite"]["models"]
    for number in range(names):
        models[f"N{number}"] = {"recipe": "ensemble", "members": [f"N{number - 1}" if number else "A"] * members}
    record["suite"]["targets"].append(f"N{names - 1}")


ASKING: dict[str, tuple[Change, str]] = {
    "steps": (lambda s: s["budgets"]["linf"].update(steps=10**18), "budgets.linf.steps: found 1e+18, more than"),
    "passes": (lambda s: s["budgets"]["linf"].update(passes=10**300), "budgets.linf.passes: found 1e+300, more than"),
    "queries": (
        lambda s: s["budgets"]["linf"].update(access="scores", queries=10**9),
        "budgets.linf.queries: found 1,000,000,000, more than 100,000",
    ),
    "steps of all": (
        lambda s: (
            s["budgets"]["linf"].update(steps=90_000),
            s["attacks"].update({f"P{n}": {"recipe": "pgd"} for n in range(20)}),
        ),
        "budgets (the steps of all attacks): found 3,780,000, more than 2,000,000",
    ),
    "images": (lambda s: s["images"].update(count=10**6), "images.count: found 1,000,000, more than 100,000"),
    "at once": (lambda s: s["compute"].update(micro_batch=10**9), "compute.micro_batch: found 1,000,000,000, more"),
    "kept": (lambda s: s["keep"].update(images=10**9), "keep.images: found 1,000,000,000, more than 100,000"),
    "attacks": (
        lambda s: s["attacks"].update({f"P{n}": {"recipe": "pgd"} for n in range(2000)}),
        "attacks (their number): found 2,001, more than 1,000",
    ),
    "tables": (lambda s: s.update(tables=s["tables"] * 300), "tables (their number): found 300, more than 200"),
    "grid": (lambda s: s["attacks"].update(I={"recipe": "ir", "grid": 10**9}), "attacks.I.grid: found 1,000,000,000"),
    "samples": (
        lambda s: s["attacks"].update(I={"recipe": "ir", "by_source": {"A": {"samples": 10**18}}}),
        "attacks.I.by_source.A.samples: found 1e+18, more than 1,000,000",
    ),
    "metric": (lambda s: s["metrics"].update(i={"recipe": "interaction", "grid": 10**9}), "metrics.i.grid: found"),
    "list": (
        lambda s: s["metrics"].update(q={"recipe": "queries", "at": [1] * 20_000}),
        "metrics.q.at (its length): found 20,000, more than 10,000",
    ),
    "network": (lambda s: s["models"]["A"].update(shape=[1, 10**9, 10**9]), "models.A.shape: found 1,000,000,000"),
    "dataset": (lambda s: s["data"].update(count=10**9), "data.count: found 1,000,000,000, more than 10,000"),
    "whole dataset": (
        lambda s: s.update(data={"kind": "shapes", "count": 10_000, "points": 9_000}),
        "data (its options multiplied): found 90,000,000, more than 50,000,000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ASKING)
def test_a_key_that_asks_for_too_much_is_named_with_its_limit(folder: Path, faults_of, name: str) -> None:
    change, expected = ASKING[name]
    faults = faults_of(edited(folder, lambda record: change(record["suite"])))
    (fault,) = [fault for fault in faults if expected in fault]
    assert fault.startswith("run.json: suite.")
    assert fault.endswith("(try --no-limits, if you trust its author)")


def test_neither_resolves_nor_builds_what_asks_for_too_much(folder: Path, toys, verified, monkeypatch) -> None:
    """The costs of 10^18 steps would be added one by one."""
    never = lambda *_a, **_k: pytest.fail("the run was resolved")  # noqa: E731
    monkeypatch.setattr("bench_core.submissions.claims.resolve", never)
    edited(folder, lambda record: record["suite"]["budgets"]["linf"].update(steps=10**18))
    built = toys.built
    with pytest.raises(UsageError, match=r"steps: found 1e\+18"):
        verified(folder)
    assert toys.built == built


@pytest.mark.parametrize(
    ("names", "members", "said"), [(40, 2, "more than 10,000 networks"), (900, 1, "more than 50 levels of networks")]
)
def test_networks_made_of_networks_do_not_grow_without_end(folder, faults_of, names, members, said) -> None:
    faults = faults_of(edited(folder, lambda record: models_of_models(record, names, members)))
    assert any(f"models.N{names - 1}: is made of {said}" in fault for fault in faults)


def test_many_small_jobs_are_too_many(folder: Path, faults_of, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "MOST_JOBS", 20)
    edited(folder, lambda record: record["suite"]["compute"].update(micro_batch=1))
    assert "compute.micro_batch: gives 48 micro-batches of 1 images, more than 20 (try" in faults_of(folder)[0]


def test_a_run_of_more_passes_than_anybody_computes_is_invalid(folder: Path, faults_of, monkeypatch) -> None:
    assert faults_of(folder) == []
    monkeypatch.setattr("bench_core.submissions.check.MOST_RUN_PASSES", 100)
    (fault,) = faults_of(folder)
    assert "run.json: suite.attacks.PGD: the run takes" in fault
    assert "passes of single images, more than 100 (try --no-limits" in fault


def test_the_passes_of_the_sample_are_those_of_the_plan(folder: Path, verified) -> None:
    """PGD takes a pass forward and one back for each of 4 steps, on one network or two, and 1 for each target."""
    whole = (
        12 * ((8 + 2 * 4) + (16 + 2 * 4)) + 2 * 20
    )  # 12 images on two sources, and the 20 clean ones on two networks
    with pytest.raises(UsageError) as caught:
        verified(folder, share=1.0, most_passes=whole - 1)
    (fault,) = caught.value.faults
    assert fault.key == "suite.attacks.PGD"
    assert f"micro-batches takes {whole} passes of single images, more than {whole - 1}" in fault.message
    assert fault.message.endswith("(try a smaller --sample, or a larger --max-passes)")
    assert verified(folder, share=1.0, most_passes=whole).verdict == "identical"


def test_a_metric_that_takes_the_most_is_named(write_suite, registry, tmp_path: Path, verified) -> None:
    from bench_core import run

    suite = write_suite(append='[metrics.i]\nrecipe = "interaction"\ngrid = 4\ncells = 16\n')
    made = run(suite, out=tmp_path / "results", executor="inline", registry=registry).folder
    with pytest.raises(UsageError) as caught:
        verified(made, share=1.0, most_passes=100)
    assert caught.value.faults[0].key == "suite.metrics.i"


class OverLimit:
    def __init__(self, reason: str) -> None:
        self.reason = reason

    def run(self, tasks: list[Task]):
        for task in tasks:
            yield Outcome(task.address, reason=self.reason, died=True, over_limit=True)


def test_a_job_over_its_limits_is_no_verdict(folder: Path, registry) -> None:
    """A run that needs more memory than a verifier gives it is not refuted."""
    from bench_core.progress import Silent

    with unpacked(folder) as opened, pytest.raises(Incomplete, match="not verified: a micro-batch used 9 MiB"):
        verify(opened, read_contents(opened), Request(), registry, OverLimit("used 9 MiB of memory"), Silent())


def test_all_tasks_together_end_in_time() -> None:
    """A second task begins with what the first has left of the time."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True) as process:
        with Watch(process, Limits(seconds=3600, until=time.monotonic())) as watch:  # type: ignore[arg-type]
            process.wait()
        assert watch.reason == "ran past the time limit of all"


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A run of an included suite, that the command can verify."""
    from bench_core import run
    from bench_core.suite.load import load_suite

    suite = load_suite(
        "transfer_table1", overrides=['sources=["VGG"]', 'targets=["MobileNet"]', "tables=[]", "plots=[]"]
    )
    return run(suite, out=tmp_path / "results", limit=2, executor="inline").folder


def bench(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = guard(lambda: app(list(arguments), prog_name="bench", standalone_mode=False), False)
    return code, capsys.readouterr().err


def test_the_commands_say_what_is_too_much(stranger: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    code, error = bench(capsys, "verify", str(stranger), "--sample", "1", "--max-passes", "10")
    assert code == 2
    assert "takes" in error
    assert "more than 10 (try a smaller --sample, or a larger --max-passes)" in error
    assert error.count("\n") == 1
    edited(stranger, lambda record: record["suite"]["keep"].update(images=10**6))  # asks for much, computes nothing
    assert bench(capsys, "submit-check", str(stranger))[0] == 1
    assert bench(capsys, "verify", str(stranger))[0] == 2
    assert bench(capsys, "submit-check", str(stranger), "--no-limits") == (0, "")
    code, error = bench(capsys, "verify", str(stranger), "--max-memory", "much")
    assert (code, error) == (2, 'bench: --max-memory: found "much" (try 800M, 4G)\n')

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench_core.submissions.verify.verify", interrupted)
    edited(stranger, lambda record: record["suite"]["keep"].update(images=0))
    assert bench(capsys, "verify", str(stranger)) == (130, "bench: interrupted; there is no verdict\n")
