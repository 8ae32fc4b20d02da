"""A legend of many entries makes a figure higher, and does not take the room of its panels."""

import io
import warnings

import pytest


@pytest.mark.parametrize("lines", [3, 60])
def test_panels_keep_their_height(lines: int) -> None:
    pytest.importorskip("matplotlib")
    from bench_core.plots.layout import finish, panels
    from bench_core.plots.style import plot_style

    with plot_style(), warnings.catch_warnings():
        figure, axes = panels([("a",), ("b",)], ["norm"])
        legend = {f"attack {place}": axes["a",].plot([1, 2], [place, place])[0] for place in range(lines)}
        warnings.simplefilter("error")
        finish(figure, "title", ["a note"], "x", "y", legend)
        figure.savefig(io.BytesIO(), format="png", dpi=figure.dpi)
        box = axes["a",].get_window_extent()
        assert box.height / figure.dpi > 1
        assert figure.legends[0].get_window_extent().y0 >= box.y1 - 1
