"""Files as people have them, harmed and whole: a right number or one line, no traceback, and nothing is stored."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench_core.errors import Incomplete, UsageError
from bench_core.registry import Origin, Registry, discover
from bench_core.run_suite import run
from bench_core.suite.load import load_suite
from bench_models.libraries import checkpoint
from bench_models.libraries.torchvision import construct

from .fuzzed_files import MAKERS, Plugin, Trial, Weights, weights_trial
from .stand_ins import with_random_statistics

SUITE = """
title = "fuzzed files"
profiles = ["none"]
targets = ["A"]
[data]
{data}
[images]
count = 3
rule = "all"
[models]
"A" = {{ recipe = "reads_pixels" }}
[metrics]
clean = {{ recipe = "clean_accuracy" }}
[[tables]]
name = "main"
rows = ["target"]
columns = []
value = "clean.accuracy"
"""


@pytest.fixture(scope="module")
def registry() -> Registry:
    found = discover()
    found.register(Plugin(), Origin("fuzzed", "tests", "1", "fuzzed-source"))
    return found


@pytest.fixture(scope="module")
def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return tuple(
        with_random_statistics(construct(name, num_classes=5)) for name in ("mobilenet_v3_small", "squeezenet1_1")
    )


def data_of(trial: Trial) -> str:
    return "\n".join(
        f"{key} = {str(value) if isinstance(value, int) else repr(value)}" for key, value in trial.options.items()
    )


def wrong_with_data(trial: Trial, folder: Path, registry: Registry) -> str | None:
    """Run a suite on a dataset. Return what is wrong with the outcome, or None."""
    suite, out = folder / "fuzzed.toml", folder / "out"
    suite.write_text(SUITE.format(data=data_of(trial)))
    try:
        result = run(load_suite(str(suite)), out=out, registry=registry, executor="inline")
    except (UsageError, Incomplete) as error:
        if not trial.fails and "cut" not in trial.what and "more at the end" not in trial.what:
            return f"refused: {error}"
        if "\n" in str(error) or "Traceback" in str(error):
            return f"more than one line: {error}"
        stored = [path for path in (out / "store").rglob("*") if path.is_file()] if out.exists() else []
        return f"stored {stored}" if stored else None
    (accuracy,) = (score.score.value for score in result.scores if score.score.name == "accuracy")
    return None if accuracy == 1 and not trial.fails else f"accuracy {accuracy}, fails: {trial.fails}"


def wrong_with_weights(trial: Weights, network: nn.Module) -> str | None:
    """Load a file of weights. Return what is wrong with the outcome, or None."""
    given = {"classes": 5, "side": 32, "mean": None, "std": None, **trial.options}
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
            model = checkpoint.build("torchvision:mobilenet_v3_small", str(trial.file), **given)
            found, expected = model(images), network(model.prepared(images))
    except UsageError as error:
        if not trial.fails and "more at the end" not in trial.what:
            return f"refused: {error}"
        return f"more than one line: {error}" if "\n" in str(error) or "weights_only" in str(error) else None
    right = bool(torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max())))
    return None if right and not trial.fails else f"right: {right}, fails: {trial.fails}"


def outcomes(numbers: range, folder: Path, registry: Registry, networks: tuple[nn.Module, nn.Module]) -> list[str]:
    """Return what is wrong with the trials of these numbers."""
    wrong = []
    for number in numbers:
        draw, home = np.random.default_rng((0, number)), folder / str(number)
        home.mkdir()
        if number % 4 == 3:
            weights = weights_trial(*networks, home, draw)
            what, reason = weights.what, wrong_with_weights(weights, networks[0])
        else:
            (home / "data").mkdir()
            trial = MAKERS[int(draw.integers(len(MAKERS)))](home / "data", draw)
            what, reason = trial.what, wrong_with_data(trial, home, registry)
        shutil.rmtree(home)
        wrong += [f"trial {number}: {what}: {reason}"] if reason else []
    return wrong


def test_some_files_give_a_right_number_or_one_line(tmp_path: Path, registry: Registry, networks) -> None:
    assert outcomes(range(60), tmp_path, registry, networks) == []


@pytest.mark.slow
@pytest.mark.parametrize("start", range(60, 2060, 100))
def test_files_give_a_right_number_or_one_line(start: int, tmp_path: Path, registry: Registry, networks) -> None:
    assert outcomes(range(start, start + 100), tmp_path, registry, networks) == []
