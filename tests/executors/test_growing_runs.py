"""A run gives the same bytes in one go, stopped after each round, or grown in steps, on every executor."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from bench_core import run
from bench_core.errors import Interrupted
from bench_core.result import Result
from tests.commands.test_cli import GOOD

slow = pytest.mark.slow
STEPS = (2, 4, 6)
# metrics of the clean images, selected and all, have stages of their own
MORE_METRICS = """transfer = { recipe = "transfer" }
clean = { recipe = "clean_accuracy" }
orders = { recipe = "order_interaction", grid = 4, pairs = 2, orders = [0.5, 1.0] }
disentanglement = { recipe = "disentanglement", grid = 4, pairs = 2, contexts = 2, orders = [0.5], over = "selected" }
"""


@pytest.fixture
def suite(tmp_path: Path) -> str:
    changes = (
        ("[budgets.linf]", "[compute]\nmicro_batch = 2\n[budgets.linf]"),
        ("count = 4", "count = 2"),
        ('transfer = { recipe = "transfer" }\n', MORE_METRICS),
    )
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = tmp_path / "small.toml"
    path.write_text(text)
    return str(path)


def stop_at(images: int) -> Callable[[Result], None]:
    """Return a callback that interrupts a run when the rounds of this many images are complete."""

    def on_round(result: Result) -> None:
        if len(result.selected) == images:
            raise KeyboardInterrupt

    return on_round


def stopped_after_each_round(suite: str, **options) -> Result:
    """Stop a run when its first round ends, the next run when the second ends, and let the last run finish."""
    for images in STEPS[:-1]:
        with pytest.raises((KeyboardInterrupt, Interrupted)) as stopped:
            run(suite, images=STEPS[-1], on_round=stop_at(images), **options)
        assert f"the first {images} of {STEPS[-1]} images" in "".join(stopped.value.__notes__)
    return run(suite, images=STEPS[-1], **options)


def grown(suite: str, **options) -> Result:
    for images in STEPS:
        result = run(suite, images=images, **options)
        assert len(result.selected) == images
    return result


def stopped_continued_and_grown(suite: str, **options) -> Result:
    """Stop a run of two rounds when its first ends, continue it, and add a third round.

    Several workers may end both rounds at once, and then nothing is stopped.
    """
    first, second, third = STEPS
    with pytest.raises((KeyboardInterrupt, Interrupted)) if options.get("workers") == 1 else suppress(Interrupted):
        run(suite, images=second, on_round=stop_at(first), **options)
    assert run(suite, images=second, **options).complete
    return run(suite, images=third, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def expected(suite: str, tmp_path: Path) -> Path:
    """The folder of all results of a run in one go, in this process."""
    run(suite, images=STEPS[-1], out=tmp_path / "expected", executor="inline")
    return tmp_path / "expected"


WAYS = [
    pytest.param(stopped_after_each_round, {"executor": "inline"}, id="stopped, inline"),
    pytest.param(grown, {"executor": "inline"}, id="grown, inline"),
    pytest.param(stopped_continued_and_grown, {"executor": "local", "workers": 1}, id="both, local 1"),
    *(
        pytest.param(way, {"executor": executor, "workers": workers}, id=f"{name}, {executor} {workers}", marks=slow)
        for way, name, executor, workers in [
            (stopped_continued_and_grown, "both", "local", 2),
            (stopped_continued_and_grown, "both", "ray", 1),
            (grown, "grown", "ray", 2),
        ]
    ),
]


@pytest.mark.parametrize(("way", "options"), WAYS)
def test_every_way_to_the_same_images_gives_the_same_bytes_and_computes_each_job_once(
    way: Callable[..., Result], options: dict, suite: str, tmp_path: Path, puts: Counter[str], expected: Path
) -> None:
    if options["executor"] == "ray":
        pytest.importorskip("ray")
    needed = set(puts)
    assert len(needed) > 2 * len(STEPS)
    puts.clear()
    result = way(suite, out=tmp_path / "out", **options)
    assert result.complete
    assert len(result.selected) == STEPS[-1]
    assert set(puts) == needed, "jobs were computed that a run in one go does not need"
    assert set(puts.values()) == {1}, "a job was computed twice"
    assert contents(tmp_path / "out") == contents(expected)
