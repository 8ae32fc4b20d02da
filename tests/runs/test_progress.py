"""Progress on standard error: a line at both ends when piped, a bar on a terminal, nothing when silent."""

import io
import sys

import pytest

from bench_core import progress
from bench_core.commands.live import LiveView, RoundLines, run_view
from bench_core.progress import Bars, Lines, Silent, for_stream


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the clock; the last number is the time now, in seconds."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[-1])
    return now


def test_lines_state_the_share_done_and_the_time_left(clock, capsys) -> None:
    with Lines().stage("attacks", 8) as advance:
        clock.append(110)
        advance(1)  # too early for a line
        clock.append(120)
        advance(1)
        clock.append(121)
        advance(1)  # too soon after the last line
        clock.append(180)
        advance(5)  # all done: the last line
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.splitlines() == [
        "bench: attacks: 25%, about 60 s left",
        "bench: attacks: done in 80.0 s",
    ]


def test_a_stage_that_fails_is_not_reported_as_done(capsys) -> None:
    with pytest.raises(ZeroDivisionError), Lines().stage("attacks", 1):
        _ = 1 / 0
    assert "done" not in capsys.readouterr().err


def test_silence_is_silent(capsys) -> None:
    with Silent().stage("attacks", 1) as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_a_bar_shows_the_stage_and_the_share_done(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "120")
    with Bars().stage("[bold]attacks", 4) as advance:
        advance(1)
        advance(2)
    assert "[bold]attacks" in stream.getvalue(), "a name is text, not markup"
    assert "75%" in stream.getvalue()


@pytest.mark.parametrize(("terminal", "kind"), [(True, Bars), (False, Lines)])
def test_bars_are_for_terminals(terminal: bool, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(for_stream(), kind)


@pytest.mark.parametrize("name", ["dumb", "unknown"])
def test_a_terminal_on_which_nothing_can_be_drawn_gets_lines(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", name)
    assert isinstance(for_stream(), Lines)
    assert isinstance(run_view(), RoundLines)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(run_view(), LiveView)
