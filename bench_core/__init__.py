"""bench: declarative adversarial-robustness suites, attacks that are checked, numbers with their uncertainty."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import UsageError
    from .notebook import with_plugins
    from .result import Result
    from .run_suite import run
    from .runs.load import load_result
    from .suite.load import load_suite
    from .suite.model import Suite

    __version__: str

__all__ = ["Result", "Suite", "UsageError", "load_result", "load_suite", "run", "with_plugins"]

_MODULES = {
    "Result": ".result",
    "Suite": ".suite.model",
    "UsageError": ".errors",
    "load_result": ".runs.load",
    "load_suite": ".suite.load",
    "run": ".run_suite",
    "with_plugins": ".notebook",
}


def __getattr__(name: str) -> Any:
    """Import a name of the API at its first use, so that commands and workers load only what they need."""
    if name == "__version__":
        from importlib.metadata import version

        return version("adversarial-bench")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name], __name__), name)
