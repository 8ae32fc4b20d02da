"""Each attack of the catalogue with three other parts: norms, goals and channels, or a refusal before the run."""

import inspect
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from bench_attacks.compose import join
from bench_attacks.plugin import RECIPES
from bench_core.types import Attack
from bench_models.ensemble import Ensemble

from ..scene import SMALL, budget, examples, network, network_for, run

CATALOGUE = [
    *("ni", "pi", "emi", "gi", "ie", "vmi", "vni", "gnp", "gra", "pgn", "mef", "rap", "mig", "taig_s", "taig_r"),
    *("mumodig", "anda", "si", "dem", "admix", "maskblock", "ssm", "sia", "bsr", "usmm", "decowa", "mfi", "ops"),
    *("fia", "fmaa", "naa", "rpa", "bfa", "ila", "ilpd", "cfm", "linbp", "bpa", "iaa", "ghost"),
    *("pna", "patchout", "pna_patchout", "tgr", "svre", "adaea", "cwa", "smer", "logit", "logit_margin"),
]
OTHERS = ["si", "di", "ti", "sgm", "mi", "ghost", "vr"]  # of different kinds, the first that fit
OF_ENSEMBLES = ("svre", "adaea", "cwa", "smer")
OPTIONS: Mapping[str, Any] = {
    **{name: value for recipe in RECIPES.values() for small in recipe.examples for name, value in small.items()},
    **SMALL,
    "resize": 0.9,  # images of one size, which inner features and networks that are changed for each image need
}


def with_three_others(name: str) -> list[str]:
    """Return an attack and three of `OTHERS` that can be combined with it and that its networks have."""
    transformers = name in ("pna", "pna_patchout", "tgr")
    parts = [name]
    for other in OTHERS:
        if other == name or (other == "sgm" and transformers):
            continue
        try:
            join([RECIPES[part] for part in [*parts, other]])
        except ValueError:
            continue
        parts.append(other)
        if len(parts) == 4:
            return parts
    raise AssertionError(f"only {parts} can be combined")


def build(name: str, norm: str, targeted: bool) -> Attack:
    recipe = join([RECIPES[part] for part in with_three_others(name)])
    known = inspect.signature(recipe.build).parameters
    options = {option: value for option, value in OPTIONS.items() if option in known}
    return recipe.build(budget(norm, targeted=targeted, steps=2), **options)


def source(name: str, attack: Attack, channels: int) -> nn.Module:
    if name in OF_ENSEMBLES:
        return Ensemble([network(channels, seed) for seed in range(3)], "logits")
    return network_for(attack, channels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", CATALOGUE)
def test_it_stays_in_the_ball_and_moves(name: str, norm: str, targeted: bool, channels: int) -> None:
    attack = build(name, norm, targeted)
    given = examples(2, (channels, 6, 6), targeted)
    refused = getattr(attack, "check", lambda _shape: None)((channels, 6, 6))
    if name == "pi" and norm == "l2":
        assert "(try norm" in str(refused)
        return
    assert not refused
    model = source(name, attack, channels)
    assert not getattr(attack, "check_source", lambda _model: None)(model)
    trajectory = run(attack, model, given)
    assert len(trajectory) == 2
    order = torch.inf if norm == "linf" else 2
    for images in trajectory:
        sizes = torch.linalg.vector_norm((images - given.images).flatten(1), ord=order, dim=1)
        assert sizes.max() <= budget(norm).eps + 1e-9
        assert images.min() >= 0
        assert images.max() <= 1
    assert not torch.equal(trajectory[-1], given.images)


def test_every_attack_of_the_catalogue_is_here() -> None:
    """What is left out: plain attacks, the parts of others, compositions, searches, and attacks by queries."""
    left_out = {
        "pgd", "fgsm", "single_step", "noise", "gaussian", "raw", "relaxed", "recover", "until_success",
        "until_utility", "mi", "di", "ti", "vr", "sgm", "ir", "interaction_only", "hybrid_ir", "sgm_ir", "ti_ir",
        "ddn", "fmn", "sigma_zero", "carlini_wagner", "deepfool", "square", "simba", "gfcs",
    }  # fmt: skip
    assert set(CATALOGUE) == set(RECIPES) - left_out
