"""What this package offers to bench."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench_core.hookspecs import hookimpl
from bench_core.types import MetricRecipe

from .certified import CertifiedAccuracy
from .context_maps import ContextMaps
from .detection import ShapleyDetection
from .disentanglement import Disentanglement
from .dropout import DropoutCorrection
from .interaction import Interaction, NeighbourInteraction, PairwiseInteraction
from .order_interaction import OrderInteraction
from .order_separation import OrderSeparation
from .order_strength import OrderStrength
from .pictures import Pictures, Predictions
from .rank import RankInteraction
from .recovery import Recovery
from .region_interaction import RegionInteraction
from .robust import RobustAccuracy
from .spectrum import SpectrumSeparation
from .transfer import CleanAccuracy, TransferSuccess, TransferUtility


def first_line(metric: type[Any]) -> str:
    return (metric.__doc__ or "").strip().splitlines()[0]


METRICS: Mapping[str, type[Any]] = {
    "transfer": TransferSuccess,
    "transfer_utility": TransferUtility,
    "clean_accuracy": CleanAccuracy,
    "robust_accuracy": RobustAccuracy,
    "certified": CertifiedAccuracy,
    "interaction": Interaction,
    "pairwise_interaction": PairwiseInteraction,
    "neighbour_interaction": NeighbourInteraction,
    "dropout": DropoutCorrection,
    "recovery": Recovery,
    "order_interaction": OrderInteraction,
    "region_interaction": RegionInteraction,
    "order_strength": OrderStrength,
    "disentanglement": Disentanglement,
    "context_maps": ContextMaps,
    "spectrum": SpectrumSeparation,
    "order_separation": OrderSeparation,
    "rank_interaction": RankInteraction,
    "shapley_detection": ShapleyDetection,
    "pictures": Pictures,
    "predictions": Predictions,
}


EXAMPLES: Mapping[str, Sequence[Mapping[str, Any]]] = {  # small enough to be checked in a second
    "interaction": [{}, {"grid": 4, "cells": 5}],
    "pairwise_interaction": [{"grid": 2}, {"pairs": 3, "contexts": 4}],
    "neighbour_interaction": [{"grid": 4, "contexts": 2}],
    "certified": [{"sigma": 0.25, "n0": 10, "n": 20}],
    "order_interaction": [{"grid": 4, "orders": [0.1, 0.5, 0.9], "pairs": 3, "contexts": 2}],
    "region_interaction": [{"regions": 8, "orders": [0, 3, 6], "pairs": 3}],
    "order_separation": [{"grid": 4, "orders": [0.1, 0.5, 0.9], "pairs": 3}],
    "order_strength": [{"grid": 4, "orders": [0.5], "iterations": [1, 3], "pairs": 3}],
    "rank_interaction": [{"grid": 4, "ranks": [1.0, 0.25], "orders": [0.1, 0.5, 0.9], "pairs": 3}],
    "shapley_detection": [{"grid": 4, "orders": [0.0, 0.5, 1.0], "contexts": 2}],
    "context_maps": [{"grid": 4, "pairs": 4, "contexts": 2}],
    "disentanglement": [{"grid": 4, "orders": [0.1, 0.5, 0.9], "pairs": 3, "contexts": 2}],
}


@hookimpl
def bench_metrics() -> Mapping[str, MetricRecipe]:
    return {name: MetricRecipe(each, first_line(each), EXAMPLES.get(name, ())) for name, each in METRICS.items()}
