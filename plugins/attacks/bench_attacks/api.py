"""The parts API: all that a part of a third party is made of, in one place.

It is part of the plugin API and has its version: a plugin with parts declares `BENCH_API_VERSION` like any other, and a
host that does not support this version lists it as unavailable. Names may be added in a version, and fields and
parameters with a default. A name, field or parameter that is removed or changes its meaning makes a new version.

| for | names |
| --- | --- |
| a part and its recipe | `GradientAttack`, `WarmUp`, `Part`, `recipe`, `composed`, `join` |
| types of options | `Count`, `Share`, `Decay`, `Depth`, and any `Annotated[float, annotated_types.Ge(0)]` |
| the kinds of building block | `View`, `Loss`, `Term`, `Estimator`, `Preparation`, `Filter`, `StepRule`, `Tap`, `Surrogate`, `Stop`, `Goal` |
| what they exchange | `Query`, `Answer`, `Passes`, `Outputs`, `TermInputs`, `RunState`, `StepRng` |
| building blocks that others use | `ClassificationLoss`, `classification_loss`, `Momentum`, `Layer`, `Neighbours` |
| tensors with one row for each image | `unit`, `mean_unit`, `mean_units`, `per_image`, `per_pixel`, `BALLS` |
| ensembles | `members_of` |

bench's parts are public too: the function `NAME` of `bench_attacks.parts.NAME`, with the options that suites set. All
other modules of `bench_attacks`, and other names in these files, are internal.
"""  # noqa: E501

from __future__ import annotations

from bench_core.types import API_VERSION

from .balls import BALLS, mean_unit, per_image, unit
from .compose import Count, Part, Share, composed, join, recipe
from .gradient_attack import GradientAttack, WarmUp
from .kinds import (
    Answer,
    Estimator,
    Filter,
    Goal,
    Loss,
    Outputs,
    Passes,
    Preparation,
    Query,
    StepRule,
    Stop,
    Surrogate,
    Tap,
    Term,
    TermInputs,
    View,
)
from .loss import ClassificationLoss, classification_loss
from .members import members_of
from .offsets import Neighbours, mean_units, per_pixel
from .parts.mi import Decay, Momentum
from .rewiring import Depth
from .run_state import RunState
from .step_rng import StepRng
from .taps import Layer

__all__ = [
    "API_VERSION", "BALLS", "Answer", "ClassificationLoss", "Count", "Decay", "Depth", "Estimator", "Filter", "Goal",
    "GradientAttack", "Layer", "Loss", "Momentum", "Neighbours", "Outputs", "Part", "Passes", "Preparation", "Query",
    "RunState", "Share", "StepRng", "StepRule", "Stop", "Surrogate", "Tap", "Term", "TermInputs", "View", "WarmUp",
    "classification_loss", "composed", "join", "mean_unit", "mean_units", "members_of", "per_image", "per_pixel",
    "recipe", "unit",
]  # fmt: skip
