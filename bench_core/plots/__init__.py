"""Plots of a finished run, as SVG and PNG. matplotlib (the extra `plots`) is imported only when a plot is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import Fault, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ..registry import Registry
    from ..result import Result


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
    try:
        import matplotlib as _  # noqa: F401
    except ImportError as error:
        message = f'plots need matplotlib ({error}); install it with: pip install "adversarial-bench[plots]"'
        raise UsageError(Fault("--plots", "", message)) from None
    from .draw import draw_all

    return draw_all(result, registry)
