"""The gallery of a report shows the images that a run has kept, and attacks nothing again."""

from pathlib import Path

import numpy as np
import pytest

from bench_core.registry import Registry
from bench_core.reports.page import gallery as gallery_module
from bench_core.reports.page.gallery import Gallery, data_url, make_gallery
from bench_core.result import Result
from bench_core.runs.record import read_record
from bench_core.worker.attack_run import AttackRun

from .small import L2, LINF, PGD, run_small, write_suite


def gallery_of(result: Result, registry: Registry, count: int) -> Gallery:
    return make_gallery(result, read_record(result.folder), registry, count)


@pytest.fixture
def no_attack(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_arguments, **_options) -> None:
        raise AssertionError("an attack ran")

    return lambda: monkeypatch.setattr(AttackRun, "__init__", refuse)


@pytest.mark.parametrize("quantise", [True, False])
@pytest.mark.parametrize("targeted", [True, False])
def test_kept_images_are_shown_without_an_attack(
    quantise: bool, targeted: bool, registry: Registry, tmp_path: Path, no_attack, monkeypatch
) -> None:
    def change(text: str) -> str:
        text = text.replace(
            "quantise = true", f"quantise = {str(quantise).lower()}\ntargeted = {str(targeted).lower()}"
        )
        return text + "[keep]\nimages = 5\n"

    path = write_suite(tmp_path, LINF + L2 + PGD, change=change)
    result = run_small(path, registry, tmp_path / "out", warn=False)
    no_attack()
    shown: list[np.ndarray] = []
    monkeypatch.setattr(gallery_module, "data_url", lambda image: shown.append(image) or data_url(image))
    found = gallery_of(result, registry, 5)
    assert not found.missing
    assert [(row.attack, row.budget, row.void) for row in found.rows] == [
        ("PGD", "linf", None), ("PGD", "l2", None), ("MI", "linf", None), ("MI", "l2", None),
    ]  # fmt: skip
    for row in found.rows:
        recorded = result.arrays("predictions", attack=row.attack, budget=row.budget, target="B")
        predicted = [next(each.after for each in image.predictions if each.target == "B") for image in row.images]
        assert [int(text.split()[0]) for text in predicted] == recorded["after"][:5].tolist()
        sizes = result.arrays("attack", attack=row.attack, budget=row.budget)["linf"][:5]
        pictures, shown = shown[: 3 * 5], shown[3 * 5 :]  # clean, perturbation and adversarial of each image
        measured = [np.abs(pictures[3 * i + 2] - pictures[3 * i]).max() for i in range(5)]
        assert measured == sizes.tolist()


def test_images_that_are_not_kept_are_attacked(registry: Registry, tmp_path: Path, no_attack) -> None:
    path = write_suite(tmp_path, LINF + PGD, change=lambda text: text + "[keep]\nimages = 4\n")
    result = run_small(path, registry, tmp_path / "out", warn=False)
    kept = gallery_of(result, registry, 4)
    again = gallery_of(result, registry, 5)
    assert [row.images[:4] for row in again.rows] == [row.images for row in kept.rows]
    no_attack()
    assert not any(row.void for row in gallery_of(result, registry, 3).rows)
    assert all("an attack ran" in str(row.void) for row in gallery_of(result, registry, 6).rows)
