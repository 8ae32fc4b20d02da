"""Each option of each attack changes what goes through the network, or the result."""

import math
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
import torch
from torch import Tensor

from bench_attacks.compose import options_of
from bench_attacks.plugin import RECIPES

from .scene import budget, build, cases, examples, network_for, run

SHAPE = (1, 6, 6)
CASES = cases()
SMALL = {"grid": 3, "cells": 3, "samples": 3, "copies": 4, "kernel": 5}  # as `scene.build` has them
OTHER = {
    "grid": 2,
    "kernel": 7,
    "layer": 0.75,
    "gamma": 0.2,
    "smooths": "objective",
    "utility": 0.1,
    "calibration": "angle",
}
ELSEWHERE = {  # options that need another network, term or budget, and have tests of their own
    *(("sgm", option) for option in ("projections", "normalise")),
    *(("sgm_ir", option) for option in ("projections", "normalise")),
    *(("hybrid_ir", option) for option in ("projections", "normalise")),
    *(("adaea", option) for option in ("sharpness", "agreement")),
    *(("smer", option) for option in ("rate", "shrinkage", "least")),
    ("bpa", "bpa_layer"),
    ("bpa", "pool_temperature"),
    ("ghost", "spread"),
    ("iaa", "softplus_beta"),
    ("iaa", "stage_weights"),
    ("ilpd", "ilpd_layer"),
    ("linbp", "linbp_layer"),
    ("pi", "projection"),
    ("single_step", "clip"),
    ("until_utility", "tolerance"),
    ("vr", "reduction"),
    ("vr", "smooths"),
}
OPTIONS = [
    (name, option.name)
    for name in sorted(RECIPES)
    for option in (option for part in RECIPES[name].parts for option in options_of(part))
    if (name, option.name) not in ELSEWHERE
]


def other(name: str, key: str) -> Any:
    """Return another value of an option than the small one or the default."""
    (option,) = (option for part in RECIPES[name].parts for option in options_of(part) if option.name == key)
    small = {**(RECIPES[name].examples or [{}])[0], **SMALL}
    value, annotation = small.get(key, option.default), option.annotation
    if key in OTHER:  # its neighbour is no value, or has no effect here
        return OTHER[key]
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return next(choice for choice in get_args(annotation) if choice != value)
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else value / 2


def observed(name: str, **options: Any) -> list[Tensor]:
    """Return what the network gets, and the images after each step."""
    limits = budget("l2" if (name, "l2") in CASES else "linf", loss="cross_entropy")  # a sign hides small changes
    attack = build(name, limits, SHAPE, **options)
    model, tensors = network_for(attack), []
    with model.register_forward_pre_hook(lambda _model, inputs: tensors.append(inputs[0].clone())):
        return tensors + run(attack, model, examples(shape=SHAPE))


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_an_option_changes_something(name: str, option: str) -> None:
    default, changed = observed(name), observed(name, **{option: other(name, option)})
    assert math.prod(images.isfinite().all().item() for images in changed)
    assert len(default) != len(changed) or not all(map(torch.equal, default, changed))
