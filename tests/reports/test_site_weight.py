"""What keeps a site light: few colours in pictures, and no intervals in tables of very many."""

import io

import numpy as np
from PIL import Image

from bench_core.reports.page.figures import SMALL_COLOURS, _reduced
from bench_core.reports.site.run_tables import MOST_INTERVALS


def test_a_picture_of_many_colours_has_few() -> None:
    across = np.linspace(0, 255, 200).astype(np.uint8)
    pixels = np.stack([np.tile(across, (200, 1)), np.tile(across[:, None], (1, 200)), np.full((200, 200), 90)], axis=2)
    picture, png = Image.fromarray(pixels.astype(np.uint8)), io.BytesIO()
    picture.save(png, "png")
    small = _reduced(png.getvalue())
    colours = Image.open(io.BytesIO(small)).convert("RGB").getcolors(SMALL_COLOURS)
    assert colours is not None, "it has no more"


def test_the_limits_are_those_with_which_the_project_site_is_below_its_size() -> None:
    """Measured over a run of each embedded suite: 48 colours and 2,000 intervals gave 2,028,057 bytes, too many."""
    assert SMALL_COLOURS <= 32
    assert MOST_INTERVALS <= 1000
