"""The bridge of adversarial-library: the library's own images under a budget, on the real library.

`pip install --no-deps adv-lib` installs it; the tests are skipped without it.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

pytest.importorskip("adv_lib", exc_type=ImportError)

from bench_attacks.bridges import adv_lib as bridge
from bench_attacks.bridges.adv_lib_attacks import ATTACKS, ORDERS, load
from bench_attacks.bridges.adv_lib_index import spelt
from bench_attacks.minimal_norm import fools
from bench_core.errors import UsageError
from bench_core.norms import perturbation_size
from bench_core.registry import Origin, Registry
from bench_core.testing import applicable, judge, offers, subjects
from bench_core.worker.contracts import check_images

from .scene import budget, examples, network, run

SHAPE = (1, 8, 8)
STEPS = 12
FAR = {"linf": 1.0, "l2": 8.0, "l1": 64.0, "l0": 64}
CASES = [(name, norm) for name, attack in ATTACKS.items() for norm in attack.norms]


def attack(name: str, norm: str, eps: float | None = None, **options: Any) -> bridge.AdvLibAttack:
    limits = budget(norm, eps=FAR[norm] if eps is None else eps, steps=STEPS)
    return bridge.bench_attacks()[f"adv_lib:{name}"].build(limits, **options)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_the_images_are_in_the_ball_and_fool_or_are_clean(name: str, norm: str) -> None:
    model, given = network().float(), examples(4, SHAPE)
    given = type(given)(given.images.float(), given.labels, given.ids)
    made = attack(name, norm)
    assert made.check(SHAPE) is None
    images = run(made, model, given)[-1]
    check_images(given.images, images, made.budget)
    changed = (images != given.images).flatten(1).any(1)
    if "all_or_nothing" not in made.deviations:
        assert (fools(model(images), given) | ~changed).all()
    if changed.any():
        near = perturbation_size(images - given.images, norm)[changed].min().item() / 2
        half = attack(name, norm, eps=float(int(near)) if norm == "l0" else near)
        check_images(given.images, run(half, model, given)[-1], half.budget)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "l0"])
def test_it_is_the_call_of_the_library(norm: str) -> None:
    model, given = network(), examples(4, SHAPE)
    theirs = load("fmn")(model, given.images, given.labels, norm=ORDERS[norm], steps=STEPS, γ_init=0.1)
    assert torch.equal(run(attack("fmn", norm, gamma_init=0.1), model, given)[-1], theirs)


def test_greek_letters_are_spelt_out() -> None:
    assert [spelt(name) for name in ("γ_init", "η_0", "σ", "lr")] == ["gamma_init", "eta_0", "sigma", "lr"]


def test_a_norm_or_a_target_that_an_attack_cannot_have_is_refused() -> None:
    refused = attack("ddn", "l1").check(SHAPE)
    assert str(refused) == "recipe: ddn of adversarial-library minimises l2, the budget is in l1"
    made = bridge.AdvLibAttack("df", budget("l2", targeted=True), {}, bridge.INDEX["df"])
    assert str(made.check(SHAPE)) == "recipe: df cannot be targeted"


def test_without_the_library_one_line_says_how_to_install_it() -> None:
    code = "import sys; sys.modules['adv_lib'] = None; import bench_attacks.bridges.adv_lib"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "not installed" in done.stderr.splitlines()[-1] or "adv_lib" in done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def bridged() -> Registry:
    found = Registry()
    found.register(bridge, Origin("adv_lib", "tests", "1", "adv-lib-source"))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_it_keeps_every_rule_that_it_does_not_declare(name: str, bridged: Registry) -> None:
    checks = [(one, rule) for one in subjects(bridged, offers(bridged, f"adv_lib:{name}")) for rule in applicable(one)]
    verdicts = [judge(subject, rule) for subject, rule in checks]
    assert not [str(verdict) for verdict in verdicts if verdict.status == "broken"]
    assert len([verdict for verdict in verdicts if verdict.status not in ("declared", "unasked")]) > 5


def test_an_unknown_option_is_named(bridged: Registry) -> None:
    with pytest.raises(UsageError, match="unknown attack"):
        bridged.find("attacks", "adv_lib:fnm", "suite.toml", "attacks.A.recipe")
