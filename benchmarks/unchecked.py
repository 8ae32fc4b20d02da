"""Switches off the worker's checks of plugins and networks, so that `benchmarks.host` can measure what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import torch
from torch import Tensor

from bench_core.worker import attack_run, diagnostics, instrument, job, observer, watch


@contextmanager
def nothing(*_: object, **__: object) -> Iterator[None]:
    yield


@contextmanager
def not_watched(_networks: object) -> Iterator[watch.Watches]:
    yield watch.Watches({})


class Uncounted(instrument.PassCounter):
    """Counts no pass."""

    @contextmanager
    def counting(self) -> Iterator[None]:
        self.forwards = 1  # an attack that makes no pass would get a warning
        yield


class Undiagnosed(diagnostics.AttackDiagnostics):
    """Measures no progress."""

    def step(self, index: int, images: Tensor) -> None: ...

    def rows(self, images: Tensor) -> dict[str, Tensor]:
        return dict.fromkeys(("margin", "margin_before", "margin_of_noise"), torch.zeros(len(images)))


def same(_before: object, _after: object) -> list[str]:
    return []


CHECKS = {
    "networks: images, answers, gradients": [(job, "watched", not_watched)],
    "networks: weights, modes, hooks": [
        (job, "weights_kept", nothing),
        (attack_run, "guarded", nothing),
        (observer.TensorVersions, "of", lambda _network: None),
        (observer, "differing", same),
    ],
    "attacks: passes counted": [(job, "PassCounter", Uncounted), (attack_run, "contiguous_gradients", nothing)],
    "attacks: progress, against noise": [(job, "AttackDiagnostics", Undiagnosed)],
}


def unchecked(compute: Callable[[], object], *names: str) -> Callable[[], object]:
    """Return a function that computes without some of the `CHECKS`."""

    def run() -> None:
        with ExitStack() as stack:
            for name in names:
                for owner, attribute, replacement in CHECKS[name]:
                    stack.enter_context(mock.patch.object(owner, attribute, replacement))
            compute()

    return run
