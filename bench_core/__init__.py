"""bench: declarative adversarial-robustness suites, attacks that are checked, numbers with their uncertainty."""

from .errors import UsageError
from .result import Result
from .run import run
from .runs.load import load_result
from .suite.load import load_suite
from .suite.model import Suite

__all__ = ["Result", "Suite", "UsageError", "load_result", "load_suite", "run"]
