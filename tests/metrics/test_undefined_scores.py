"""Scores that are undefined are NaN, without a warning of NumPy, which would not tell a user what is wrong."""

import warnings

import pytest

from bench_core.registry import Registry
from bench_core.testing.metrics import STEPS, Inputs, MetricCase
from bench_core.testing.verdicts import Skipped

OPTIONS = {"fooling_distance": {"norm": "l2"}, "certified": {"sigma": 0.25}}
CHEAP = {"pairs": 2, "contexts": 2, "cells": 2, "n": 10, "n0": 4}


@pytest.mark.parametrize("count", [1, 3])
def test_no_metric_warns_of_unchanged_images(count: int, installed: Registry) -> None:
    warned, scored = [], []
    for (kind, name), offer in installed.offers.items():
        if kind != "metrics":
            continue
        cheap = {option.name: CHEAP[option.name] for option in offer.options if option.name in CHEAP}
        case = MetricCase(offer, cheap | OPTIONS.get(name, {}))
        if case.refuses():
            continue
        inputs = case.inputs(count)
        try:
            rows = case.observe(Inputs(inputs.source, inputs.target, inputs.clean, [inputs.clean.images] * STEPS))
        except Skipped:
            continue
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            scored += [name for _ in case.metric().summarise(rows)]
        warned += [(name, str(one.message)) for one in found]
    assert not warned
    assert {"transfer", "order_interaction", "disentanglement", "certified"} <= set(scored)
