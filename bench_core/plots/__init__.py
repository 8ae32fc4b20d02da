"""Plots of a finished run, as SVG and PNG. matplotlib (the extra `plots`) is imported only when a plot is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import Fault, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ..registry import Registry
    from ..result import Result
    from .picture import Picture


def write_plots(result: Result, registry: Registry | None = None) -> list[Path]:
    """Draw a suite's `[[plots]]` into `plots/` of the run's folder. Equal runs give equal files.

    Args:
        result: The run.
        registry: The installed plugins; they are discovered by default.

    Returns:
        The files, an SVG and a PNG of each plot.

    Raises:
        UsageError: matplotlib is missing, or a plot cannot be drawn from the run's scores.
    """
    need_matplotlib("--plots")
    from .draw import draw_all

    return draw_all(result, registry)


def picture_of(result: Result, name: str | None = None) -> Picture:
    """Draw one of a suite's plots for a notebook.

    Args:
        result: The run.
        name: The plot's name; by default the first.

    Raises:
        UsageError: matplotlib is missing, there is no such plot, or it cannot be drawn.
    """
    need_matplotlib("plot")
    from .picture import draw_picture

    return draw_picture(result, name)


def need_matplotlib(where: str) -> None:
    """Raise UsageError, naming the option or function `where`, if matplotlib is not installed."""
    try:
        import matplotlib as _  # noqa: F401
    except ImportError as error:
        message = f'plots need matplotlib ({error}); install it with: pip install "adversarial-bench[plots]"'
        raise UsageError(Fault(where, "", message)) from None
