"""bench: declarative adversarial-robustness suites, attacks that are checked, numbers with their uncertainty."""

from .errors import UsageError
from .result import Result
from .run import run
from .runs.load import load_result
from .suite.model import Suite, load_suite

__all__ = ["Result", "Suite", "UsageError", "load_result", "load_suite", "run"]
