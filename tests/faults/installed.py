"""The toys as an installed plugin, which worker processes load too, with attacks that end or burden their process."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench_core.executors import Limits
from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe, Budget, Cost, Examples, MetricRecipe, Model
from tests.toys import Behaviour, Misbehaving, ToyPlugin

HERE = Path(__file__).parents[2]
HANGING = "hanging"  # a file in the plugin's folder, which shows that the attack has begun to hang
ENDLESS = {"hangs", "spins"}  # attacks that only a time limit ends


def limits_for(attacks: Collection[str]) -> Limits:
    """Return limits under which attacks fail for their own reason, however slow the machine is."""
    return Limits(seconds=3 if ENDLESS & set(attacks) else 900, memory=2**30)


def _hang(*_: Any) -> None:
    (Path(os.environ["BENCH_FAULTY_FOLDER"]) / HANGING).touch()
    threading.Event().wait()


def _hang_once(_model: Model, examples: Examples, _budget: Budget) -> Tensor:
    try:
        (Path(os.environ["BENCH_FAULTY_FOLDER"]) / HANGING).open("x").close()
    except FileExistsError:
        return examples.images.clone()
    threading.Event().wait()
    raise AssertionError("unreachable")


def _spin(*_: Any) -> None:
    while True:
        pass


def _fill(*_: Any) -> None:
    held = []
    while True:
        held.append(torch.ones(2**21))  # 8 MiB at a time
        time.sleep(0.005)  # so that a late watchdog finds a little too much and not a full machine


def _fault(*_: Any) -> None:
    ctypes.string_at(0)


def _fork_and_die(*_: Any) -> None:
    """Leave a child process that keeps the pipe to the driver open."""
    if os.fork() == 0:
        time.sleep(600)
    os._exit(9)


def _print(_model: Model, examples: Examples, _budget: Budget) -> Tensor:
    os.write(1, b'{"reason": null, "usage": false, "size": 0}\n')
    print("a plugin that talks")
    return examples.images.clone()


BURDENS: Mapping[str, tuple[Behaviour, str]] = {
    "hangs": (_hang, "ran past its time limit"),
    "spins": (_spin, "ran past its time limit"),
    "fills": (_fill, "of memory, its limit is"),
    "segfaults": (_fault, "SIGSEGV"),
    "aborts": (lambda *_: os.abort(), "SIGABRT"),
    "forks": (_fork_and_die, "exit code 9"),
    "leaves": (lambda *_: sys.exit(5), "SystemExit"),
    "interrupts": (lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()), "raised KeyboardInterrupt"),
}


@dataclass(frozen=True)
class HangsOnce(Misbehaving):
    """Hangs in the first job, and returns the clean images in all later ones. It costs nothing, so it comes last."""

    cost: Cost


@dataclass(frozen=True)
class Observing:
    """A metric that misbehaves in one way."""

    behaviour: Any

    def observe(self, adversarial: Tensor, clean: Examples) -> Mapping[str, Tensor]:
        return {"row": self.behaviour(clean.images)}

    def summarise(self, rows: Any) -> Iterator[Any]:
        return iter(())


def _raises(_images: Tensor) -> Tensor:
    raise ValueError("the metric is at fault")


def hangs_once(budget: Budget) -> HangsOnce:
    return HangsOnce(budget, _hang_once, Cost(0, 0))


METRICS: Mapping[str, tuple[Any, str]] = {
    "raising": (_raises, "the metric is at fault"),
    "exiting": (lambda _images: os._exit(8), "exit code 8"),
    "short": (lambda images: images[:-1, 0, 0, 0], "not 5 rows"),
}


@dataclass
class Plugin(ToyPlugin):
    """The toys, and attacks and metrics that harm their process."""

    built: int = field(default=0)

    @hookimpl
    def bench_attacks(self) -> Mapping[str, AttackRecipe]:
        def recipe(behaviour: Behaviour) -> AttackRecipe:
            def build(budget: Budget) -> Misbehaving:
                return Misbehaving(budget, behaviour)

            return AttackRecipe(build, "misbehaves")

        once = AttackRecipe(hangs_once, "hangs in its first job")
        burdens = {f"bad_{name}": recipe(behaviour) for name, (behaviour, _) in BURDENS.items()}
        return {**super().bench_attacks(), **burdens, "prints": recipe(_print), "hangs_once": once}

    @hookimpl
    def bench_metrics(self) -> Mapping[str, MetricRecipe]:
        def recipe(behaviour: Any) -> MetricRecipe:
            def build() -> Observing:
                return Observing(behaviour)

            return MetricRecipe(build, "misbehaves")

        return {name: recipe(behaviour) for name, (behaviour, _) in METRICS.items()}


plugin = Plugin()


def install(folder: Path, monkeypatch: Any) -> None:
    """Install the plugin into `folder`, for this process and those that it starts."""
    info = folder / "faulty-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[bench]\nfaulty = tests.faults.installed:plugin\n")
    monkeypatch.syspath_prepend(str(folder))
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("BENCH_FAULTY_FOLDER", str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(HERE), before]))
