"""Kinds together: members, views, donors, warm-ups and surrogates in one attack, each image alone and in a batch."""

import pytest
import torch

from bench_attacks.compose import join
from bench_attacks.plugin import RECIPES
from bench_core.worker.instrument import PassCounter
from bench_models.ensemble import Ensemble

from ..scene import budget, examples, network, run

MEMBERS = [network(seed=seed) for seed in range(3)]
OPTIONS = {
    "inner": 4, "mixed": 2, "admix_scales": 2, "scales": 2, "neighbours": 2, "copies": 2, "kernel": 3, "warm_up": 2,
    "grid": 3, "samples": 2, "cells": 3, "sia_copies": 2, "bsr_copies": 2, "canvases": 2, "usmm_mixed": 1,
    "usmm_scales": 2, "warpings": 2, "mask_grid": 2, "spectra": 2, "ops_neighbours": 1,
    "operators": 2, "mfi_mixed": 1, "mfi_scales": 2,
}  # fmt: skip
COMPOSITIONS = [
    ["svre", "admix", "di", "ti"], ["vmi", "si", "di", "ti", "sgm"], ["gra", "vr", "ir"], ["gi", "admix", "si"],
    ["svre", "ir"], ["ni", "vr", "si"], ["vmi", "sia", "di", "ti", "sgm"], ["mi", "bsr", "dem", "usmm"],
    ["decowa", "si", "ti"], ["vmi", "ops", "ti"], ["mi", "maskblock", "ssm", "ir"], ["mi", "mfi", "di"],
]  # fmt: skip


@pytest.mark.parametrize("combine", ["logits", "losses"])
@pytest.mark.parametrize("parts", COMPOSITIONS, ids="+".join)
def test_an_image_alone_is_the_same_and_costs_what_is_declared(parts: list[str], combine: str) -> None:
    recipe = join([RECIPES[part] for part in parts])
    known = recipe.build.__signature__.parameters  # type: ignore[attr-defined]
    attack = recipe.build(budget("l2"), **{name: value for name, value in OPTIONS.items() if name in known})
    given, model, passes = examples(), Ensemble(MEMBERS, combine), PassCounter(*MEMBERS)
    with passes.counting():
        together = run(attack, model, given)[-1]
    declared = attack.cost_for(3).total(3)  # type: ignore[attr-defined]
    assert (passes.forwards / 12, passes.backwards / 12) == pytest.approx(declared)
    for i in range(4):
        alone = run(attack, model, given.take(slice(i, i + 1)))[-1]
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-9)
