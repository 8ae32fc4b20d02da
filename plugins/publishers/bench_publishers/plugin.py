"""The publishers that need no library. Those that need one are plugins of their own."""

from __future__ import annotations

from collections.abc import Mapping

from bench_core.hookspecs import hookimpl
from bench_core.publishing import PublisherRecipe

from .every_eval_ever import every_eval_ever

BENCH_API_VERSION = 1


@hookimpl
def bench_publishers() -> Mapping[str, PublisherRecipe]:
    examples = ({"organisation": "My lab", "developer": "my-lab", "higher": ["clean.accuracy"]},)
    summary = "Every Eval Ever: a JSON file per network in its datastore's layout."
    return {"every-eval-ever": PublisherRecipe(every_eval_ever, summary, examples)}
