"""`python -m benchmarks gpu` on a CPU with stand-ins: every part runs, stops, goes on, and is written down."""

import json
from pathlib import Path

import pytest
import torch

from bench_core import load_suite
from benchmarks.gpu import command, parts, published, timing
from benchmarks.gpu.networks import IMAGENET
from benchmarks.gpu.page import NOT_MEASURED, page
from benchmarks.gpu.timing import Growth, Setting, grow

DOCS = Path(__file__).parents[2] / "docs"
CPU = ["--device", "cpu", "--tiny", "--turns", "1"]


def measured(out: Path, *arguments: str) -> dict[str, dict[str, dict[str, float]]]:
    command.main([*CPU, "--out", str(out), *arguments])
    found: dict[str, dict[str, dict[str, float]]] = json.loads(out.read_text())["parts"]
    return found


def one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "NAMES", (*IMAGENET, "ResNet-S"))
    monkeypatch.setattr(parts, "IMAGENET", {"VGG-16": IMAGENET["VGG-16"]})
    monkeypatch.setattr(published, "SUITES", ("transfer_table4",))


@pytest.mark.slow
def test_every_part_runs_and_is_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchattacks")
    one_each(monkeypatch)
    found = measured(tmp_path / "gpu.json")
    assert set(found) == set(parts.PARTS)
    for part, measurements in found.items():
        assert measurements, part
        assert not [name for name, each in measurements.items() if "failed" in each], part
    text = (tmp_path / "gpu.md").read_text()
    assert NOT_MEASURED in text, "a CPU is no GPU"
    assert all(f"| {name}" in text for measurements in found.values() for name in measurements)


def test_a_part_stops_in_time_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, now = tmp_path / "gpu.json", [0.0]
    monkeypatch.setattr(command.time, "monotonic", lambda: now[0])
    made: list[str] = []

    def measurements(_setting: object, _known: object):
        def measure(name: str):
            def run() -> dict[str, float]:
                made.append(name)
                now[0] += 301
                if name == "b":
                    raise torch.OutOfMemoryError("full")
                return {"rate": 1.5}

            return run

        yield from ((name, measure(name)) for name in "abc")

    monkeypatch.setattr(command, "PARTS", {"peak": measurements})
    assert list(measured(out, "--minutes", "9")["peak"]) == ["a", "b"]
    assert "not complete: the same command goes on" in capsys.readouterr().out
    assert list(measured(out)["peak"]) == made == ["a", "b", "c"]
    assert "OutOfMemoryError: full" in (tmp_path / "gpu.md").read_text()
    with pytest.raises(SystemExit, match="try another --out"):
        command.main(["--device", "cpu", "--out", str(out)])


@pytest.mark.parametrize(
    ("rates", "limit", "expected"),
    [
        ([1, 2, 4, 4.05], None, Growth(8, 4.05, 8, False)),  # the last gains no 3%, but is the fastest
        ([1, 2, 4, 8, 16], 4, Growth(4, 4, 4, True)),
        ([3, 1], None, Growth(1, 3, 2, False)),
    ],
)
def test_a_batch_grows_to_what_fits_or_gains_nothing(
    rates: list[float], limit: int | None, expected: Growth, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(count: int):
        if limit is not None and count > limit:
            raise torch.OutOfMemoryError("full")
        return count

    monkeypatch.setattr(timing, "seconds_of", lambda count, _setting: count / rates[count.bit_length() - 1])
    assert grow(step, Setting("cpu")) == expected
    with pytest.raises(torch.OutOfMemoryError):
        grow(lambda _count: (_ for _ in ()).throw(torch.OutOfMemoryError("full")), Setting("cpu"))


def test_hours_are_passes_over_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a rate of 1 for all networks, the hours of a suite are its passes, and half the forwards of its targets."""
    monkeypatch.setattr(published, "SUITES", ("transfer_table4",))
    rates = {f"{name}, float32": {"rate": 2.0} for name in IMAGENET}
    suite = load_suite("transfer_table4", "imagenet")
    groups: list[dict[str, float | str]] = []
    monkeypatch.setattr(published, "plan_record", lambda _plan: {"groups": groups})
    for source, members in suite.members_by_source.items():
        passes = 7200.0 * len(members)
        groups.append({"source": source, "forwards": passes, "backwards": passes - 1, "evaluations": 14400.0})
    sources = suite.members_by_source.values()
    expected = sum(len(members) * 1.0 + 1.0 for members in sources)
    assert published.hours({"gradient": rates}, "float32")["all"] == pytest.approx(expected)


def test_the_page_says_whether_a_card_was_measured() -> None:
    written = (DOCS / "gpu.md").read_text()
    assert written == page(None) or NOT_MEASURED not in written
    found = {
        "device": "cuda",
        "machine": "NVIDIA X",
        "tiny": False,
        "parts": {"peak": {"float32": {"convolution": 2e12}}},
    }
    text = page(found)
    assert NOT_MEASURED not in text
    assert "NVIDIA X" in text
    assert "| float32 | 2 " in text


def test_no_card_is_a_mistake_of_the_user(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        command.main([])
    assert "try --device cpu --tiny" in capsys.readouterr().err
