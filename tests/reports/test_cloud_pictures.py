"""A point cloud in a report is a picture of its points."""

import base64
import io

import numpy as np
from PIL import Image

from bench_core.reports.page.clouds import DOT, SIDE, picture
from bench_core.reports.page.gallery import data_url


def test_points_are_drawn_in_place_and_near_ones_hide_far_ones() -> None:
    cloud = np.array([[0.0, 1.0, 1.0], [0.5, 1.0, 0.0], [1.0, 0.0, 0.0]], np.float32)[..., None]  # x, depth, height
    drawn = picture(cloud)[0]
    assert drawn[0, 0] == drawn[DOT - 1, DOT - 1] > 0  # upper left
    assert drawn[-1, -1] == 1  # lower right: the near point hides the far one
    assert (drawn > 0).sum() == 2 * DOT**2


def test_the_gallery_shows_the_picture_of_a_cloud() -> None:
    cloud = np.random.default_rng(0).random((3, 50, 1)).astype(np.float32)
    kind, _, data = data_url(cloud).partition(",")
    assert kind == "data:image/png;base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert shown.shape == (SIDE, SIDE)
    assert np.array_equal(shown, (picture(cloud)[0] * 255).round())
