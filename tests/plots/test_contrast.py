"""Text on a shade can be read: its contrast ratio is at least 4.5, as WCAG 2.2 asks of small text."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from bench_core.plots.contrast import contrast, ink, luminance
from bench_core.plots.draw import draw
from bench_core.plots.style import plot_style
from bench_core.registry import Registry
from bench_core.result import Result
from bench_core.scores.scored import LabelledScore, Scores

READABLE = 4.5
BASELINE = {"baseline": {"attack": "PGD"}}


def ratio(first: Sequence[float] | str, second: Sequence[float] | str) -> float:
    """Return the contrast ratio of two colours, from the definition of WCAG 2.2."""

    def luminance(colour: Sequence[float] | str) -> float:
        channels = np.asarray(to_rgb(colour))
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("first", "second", "published"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#767676", "#ffffff", 4.54),
        ("#777777", "#ffffff", 4.48),
        ("#ff0000", "#ffffff", 4.0),
    ],
)
def test_the_ratio_is_that_of_wcag(first: str, second: str, published: float) -> None:
    assert contrast(luminance(to_rgb(first)), luminance(to_rgb(second))) == pytest.approx(published, abs=0.005)
    assert ratio(first, second) == pytest.approx(published, abs=0.005)


@pytest.mark.parametrize("name", ["Greys", "PuOr_r", "cividis"])
def test_ink_is_readable_on_every_shade_that_plots_use(name: str) -> None:
    shades = mpl.colormaps[name](np.linspace(0, 1, 1001))
    assert min(ratio(ink(shade), tuple(shade[:3])) for shade in shades) >= READABLE


def test_ink_is_readable_on_every_colour() -> None:
    colours = product(np.linspace(0, 1, 18), repeat=3)
    assert min(ratio(ink(colour), colour) for colour in colours) >= READABLE


def figure_of(result: Result, name: str, registry: Registry, **changes: object) -> Figure:
    plot = next(plot for plot in result.suite.plots if plot.name == name).model_copy(update=changes)
    with plot_style():
        figure = draw(result, plot, registry)
        figure.draw_without_rendering()
    return figure


def cells(axes: Axes) -> Iterator[tuple[str, tuple[float, ...], str]]:
    """Yield the colour of each text on an image, the colour below it, and the text."""
    (image,) = axes.images
    for text in axes.texts:
        column, row = map(round, text.get_position())
        yield text.get_color(), tuple(image.to_rgba(image.get_array()[row, column])[:3]), text.get_text()


def of_every_shade(result: Result) -> Result:
    """Return a result whose values, and whose differences from the first attack, are evenly spread."""
    names = list(result.suite.attacks)
    shifts = iter(np.linspace(-1, 1, len(result.scores.select("transfer.success"))))

    def spread(score: LabelledScore) -> LabelledScore:
        shift = next(shifts) * (score.labels.attack != names[0])
        per_image = None if score.score.per_image is None else np.full_like(score.score.per_image, shift)
        return replace(score, score=replace(score.score, value=shift, per_image=per_image))

    return replace(result, scores=Scores(map(spread, result.scores.select("transfer.success"))))


@pytest.mark.parametrize("changes", [{}, BASELINE], ids=["scores", "differences"])
def test_every_number_of_a_heatmap_is_readable(result: Result, registry: Registry, changes: dict) -> None:
    figure = figure_of(of_every_shade(result), "heatmap", registry, **changes)
    found = [cell for axes in figure.axes for cell in cells(axes)]
    assert len({below for _, below, _ in found}) > 12
    assert {text for colour, below, text in found if ratio(colour, below) < READABLE} == set()


def test_every_name_on_a_stacked_bar_is_readable(result: Result, registry: Registry) -> None:
    axes = figure_of(result, "stacked", registry).axes[0]
    names = 0
    for text in axes.texts:
        x, y = text.get_position()
        below = [bar for bar in axes.patches if bar.get_window_extent().contains(*axes.transData.transform((x, y)))]
        names += len(below)
        assert all(ratio(text.get_color(), bar.get_facecolor()[:3]) >= READABLE for bar in below)
    assert names


def test_every_sign_of_a_map_is_readable(result: Result, registry: Registry) -> None:
    """The colour below a sign is that of the saved picture, beside the sign."""
    figure = figure_of(result, "maps", registry)
    signs = [(axes, text) for axes in figure.axes for text in axes.texts]
    assert signs
    coloured = [(*axes.transData.transform(text.get_position()), text.get_color()) for axes, text in signs]
    for _, text in signs:
        text.set_visible(False)
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    for x, y, colour in coloured:
        below = pixels[len(pixels) - 1 - round(y), round(x), :3] / 255
        assert ratio(colour, tuple(below)) >= READABLE
