"""The arithmetic of the benchmarks, and that every script can be imported; not what they measure."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from bench_core.executors.onednn import Execution
from benchmarks import __main__ as main
from benchmarks import ir_samples
from benchmarks.__main__ import ROOT, SCRIPTS, page, section, sections
from benchmarks.side_by_side import compared, in_turns, quartiles

SHARED = {"__init__", "__main__", "side_by_side", "checkouts", "kernels", "large", "unchecked"}  # which scripts import
NAMES = sorted({path.stem for path in (ROOT / "benchmarks").glob("*.py")} - SHARED)
# docs/ci.md cites the first and docs/suites.md the second; the third needs a browser
NOT_ON_THE_PAGE = {"gate_power", "minimal_norms", "report_size"}


def test_contestants_take_turns_and_the_first_turn_warms_up() -> None:
    order: list[str] = []
    clock = iter(range(100))
    seconds = in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2, lambda: next(clock))
    assert order == ["a", "b"] * 3
    assert seconds == {"a": [1, 1], "b": [1, 1]}


def test_a_ratio_is_the_median_of_the_turns_ratios() -> None:
    text = compared({"ours": [1.0, 2.0, 4.0], "theirs": [3.0, 2.0, 8.0]}, "ours")
    assert "2.00 [1.50, 2.50]" in text
    assert quartiles([5.0]) == (5.0, 5.0, 5.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_script_can_be_imported_and_its_help_states_what_it_measures(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        script = importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        if str(error.name).startswith("bench"):
            raise
        pytest.skip(f"installed without {error.name}")
    monkeypatch.setattr(sys, "argv", [f"benchmarks.{name}", "--help"])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert not ended.value.code
    printed = " ".join(capsys.readouterr().out.split())
    assert f"python -m benchmarks.{name}" in printed
    assert len(printed.split("python -m benchmarks.")[1].split()) > 10, "a sentence or two about what is measured"


def test_every_script_is_on_the_page_or_is_known_not_to_be() -> None:
    assert set(NAMES) == {*SCRIPTS, *NOT_ON_THE_PAGE}


def test_the_page_has_every_output_under_its_claim() -> None:
    text = page({"peak": section("peak", "114 GFLOP/s  \n"), "store": section("store", "10 ms")})
    assert (
        f"## The machine's peak\n\n{SCRIPTS['peak'][1]}\n\n`python -m benchmarks.peak`\n\n```text\n114 GFLOP/s\n"
        in text
    )
    assert "## The store" in text


def test_a_script_that_runs_again_replaces_its_section_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = main.PAGE.read_text(encoding="utf-8")
    assert set(sections(before)) <= set(SCRIPTS)
    assert page(sections(before)) == before, "reading and writing the page changes nothing"
    copy = tmp_path / "performance.md"
    copy.write_text(before, encoding="utf-8")
    monkeypatch.setattr(main, "ROOT", tmp_path)
    monkeypatch.setattr(main, "PAGE", copy)
    monkeypatch.setattr(main, "run", lambda name: f"new {name}")
    monkeypatch.setattr(sys, "argv", ["benchmarks", "table1", "start_up"])
    main.main()
    after = sections(copy.read_text(encoding="utf-8"))
    kept = {name: text for name, text in sections(before).items() if name not in ("table1", "start_up")}
    assert after == {**kept, **{name: section(name, f"new {name}") for name in ("table1", "start_up")}}


@pytest.mark.parametrize(
    ("shifts", "expected"),
    [
        ({}, "IR 1 independent"),
        ({"IR 1 independent": -2.0}, "IR 2 disjoint"),
        ({"IR 1 independent": -2.0, "IR 2 disjoint": -1.0}, "IR 2 independent"),  # close, but worse than independent
        ({"IR 1 independent": -2.0, "IR 2 disjoint": -2.0}, "IR 2 independent"),
        ({"IR 1 independent": 2.0, "IR 2 independent": -2.0}, "IR 2 disjoint"),  # more success is not closer
        ({f"IR {n} {sets}": -2.0 for n in (1, 2, 4, 8) for sets in ("independent", "disjoint")}, "IR 4 independent"),
    ],
)
@pytest.mark.parametrize("norms", [("linf", "l2"), ("linf",)])
def test_the_fewest_samples_that_are_close_in_both_norms_are_chosen(
    shifts: dict[str, float], expected: str, norms: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).normal(size=200)

    def over_sources(_result: object, attack: str, norm: str) -> np.ndarray:
        return 70 + noise + shifts.get(attack, 0.0) * (norm in norms)

    monkeypatch.setattr(ir_samples, "over_sources", over_sources)
    assert ir_samples.decision(None).label == expected  # type: ignore[arg-type]


def test_a_gradients_time_is_that_of_its_kernels_and_the_rest() -> None:
    kernels = importlib.import_module("benchmarks.kernels")
    found = [
        Execution("convolution", "brg_conv_fwd:avx512_core_bf16", "forward_training", "", 0.002),
        Execution("convolution", "brg_conv_fwd:avx512_core_bf16", "forward_inference", "", 0.001),
        Execution("convolution", "brgconv_strided:avx512_core_bf16", "backward_data", "", 0.004),
        Execution("reorder", "jit:uni", "undef", "", 0.001),
        Execution("matmul", "brg_matmul:avx512_core_bf16", "undef", "", 0.001),
    ]
    profile = kernels.Profile(found, 0.019)
    assert profile.parts() == pytest.approx(
        {kernels.FORWARD: 0.003, kernels.BACKWARD: 0.004, kernels.REORDERS: 0.001, kernels.OTHER: 0.001,
         kernels.REST: 0.010}
    )  # fmt: skip
    assert profile.names(kernels.FORWARD) == "2 x brg_conv_fwd:avx512_core_bf16"


def test_a_run_is_timed_by_what_it_prints() -> None:
    table1 = importlib.import_module("benchmarks.table1")
    lines = [
        (4.0, "bench: clean images: done in 2.0 s"),
        (30.0, "bench: 50 of 300 images: mean"),
        (60.0, "bench: 100 of"),
    ]
    timeline = table1.Timeline(lines, 200.0, 390.0)
    assert (timeline.first("clean images: done"), timeline.first(" of 300 images")) == (4.0, 30.0)
    assert timeline.first(" of 50 images") == 200.0, "a run of one round has no table before its end"
