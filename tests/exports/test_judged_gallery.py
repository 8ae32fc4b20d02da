"""The gallery of a report shows images that were made elsewhere, as they were judged, and attacks nothing."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from bench_core.registry import Registry
from bench_core.reports.page import gallery as gallery_module
from bench_core.reports.page.gallery import Gallery, data_url, make_gallery
from bench_core.reports.page.page import run_page
from bench_core.result import Result
from bench_core.runs.record import read_record

from .made import folder_of, outcomes, perturbed, png
from .small import LINF, PGD, EightBit, export_small, judge_small, run_small, write_suite


def gallery_of(result: Result, registry: Registry, count: int = 3, source: str | None = None) -> Gallery:
    return make_gallery(result, read_record(result.folder), registry, count, source)


def test_given_images_are_shown_as_they_were_judged(registry: Registry, tmp_path: Path, monkeypatch) -> None:
    theirs = perturbed()
    root = folder_of(tmp_path, theirs)
    result = judge_small(write_suite(tmp_path), root, registry, tmp_path / "out", warn=False)
    shown: list[np.ndarray] = []
    monkeypatch.setattr(gallery_module, "data_url", lambda image: shown.append(image) or data_url(image))
    found = gallery_of(result, registry)
    assert not found.missing
    assert not found.source, "nothing was attacked"
    (row,) = found.rows
    assert (row.attack, row.budget, row.void, row.given) == ("theirs", "linf", None, "elsewhere")
    fooled = [next(each.fooled for each in image.predictions if each.target == "B") for image in row.images]
    assert fooled == outcomes(theirs)[:3]
    for i, clean in enumerate(EightBit().pixels[:3]):
        before, difference, after = shown[3 * i : 3 * i + 3]
        assert np.array_equal(before, clean)
        assert np.array_equal(after, theirs[i].astype(np.float32) / np.float32(255))
        np.testing.assert_allclose(difference, 0.5 + row.images[i].scale * (after - before))
    page = run_page(result.folder, registry, gallery=2)
    assert "theirs, linf (images given, not attacked here; made on: elsewhere)" in page
    assert "Attacks on the source" not in page


def test_every_exported_attack_has_a_row_and_a_source_can_be_chosen(registry: Registry, tmp_path: Path) -> None:
    path = write_suite(tmp_path)
    ours = run_small(path, registry, tmp_path / "out", warn=False)
    export_small(ours.folder, tmp_path / "images", registry)
    judged = judge_small(path, tmp_path / "images", registry, tmp_path / "out", warn=False)
    expected, found = gallery_of(ours, registry), gallery_of(judged, registry)
    assert [row.images for row in found.rows] == [row.images for row in expected.rows]
    assert [(row.attack, row.given) for row in found.rows] == [("PGD", "A"), ("MI", "A")]
    assert gallery_of(judged, registry, source="A") == found
    assert gallery_of(judged, registry, source="B").missing == "the suite has no source B"


def test_given_images_beside_attacks_keep_their_source(registry: Registry, tmp_path: Path) -> None:
    root = folder_of(tmp_path, perturbed())
    path = write_suite(tmp_path, LINF + PGD, change=lambda text: f'{text}[given."theirs"]\nroot = "{root}"\n')
    result = run_small(path, registry, tmp_path / "out", warn=False)
    found = gallery_of(result, registry)
    assert [(row.attack, row.given) for row in found.rows] == [("PGD", None), ("MI", None), ("theirs", "elsewhere")]
    assert [row.attack for row in gallery_of(result, registry, source="A").rows] == ["PGD", "MI"]
    assert [row.attack for row in gallery_of(result, registry, source="elsewhere").rows] == ["theirs"]


@pytest.mark.parametrize("change", ["another", "gone"])
def test_images_that_are_not_those_that_were_judged_are_not_shown(
    change: str, registry: Registry, tmp_path: Path
) -> None:
    root = folder_of(tmp_path, perturbed())
    result = judge_small(write_suite(tmp_path), root, registry, tmp_path / "out", warn=False)
    if change == "gone":
        shutil.rmtree(root)
        assert gallery_of(result, registry).missing == f"{root}: no such file or folder"
        return
    (root / "00001.png").write_bytes(png(perturbed(seed=1)[1]))
    (row,) = gallery_of(result, registry).rows
    assert row.void == f"the images in {root} are no longer those that were judged"
    assert not row.images
