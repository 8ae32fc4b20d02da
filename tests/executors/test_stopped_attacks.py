"""An attack of a library that is stopped at the limit of its passes gives the same on every executor."""

from pathlib import Path

import numpy as np
import pytest

from bench_core import load_suite, run
from bench_core.result import Result

pytestmark = pytest.mark.slow
SUITE = """
title = "stopped"
profiles = ["embedded"]
[attacks]
"DeepFool" = { recipe = "foolbox:L2DeepFoolAttack" }
"APGD" = { recipe = "torchattacks:APGD", loss = "dlr" }
"DDN" = { recipe = "foolbox:DDNAttack" }
[metrics]
far = { recipe = "fooling_distance", norm = "l2" }
[on.embedded]
sources = ["VGG-adv"]
targets = ["VGG-adv"]
images = { count = 4, models = ["VGG-adv"] }
compute.micro_batch = 2
budgets.l2 = { norm = "l2", eps = 4, step_size = 0.1, steps = 50, passes = 40 }
"""


def rows(result: Result, name: str) -> dict[str, list[float]]:
    return {attack: result.arrays("attack", attack=attack)[name].tolist() for attack in ("DeepFool", "APGD", "DDN")}


@pytest.mark.parametrize("settings", [{"executor": "local", "workers": 2}, {"executor": "ray", "workers": 1}])
def test_every_executor_stops_an_attack_at_the_same_pass(settings: dict[str, object], tmp_path: Path) -> None:
    for library in ("foolbox", "torchattacks", *(["ray"] if settings["executor"] == "ray" else [])):
        pytest.importorskip(library)
    file = tmp_path / "stopped.toml"
    file.write_text(SUITE)
    inline = run(load_suite(str(file)), out=tmp_path / "inline", executor="inline")
    other = run(load_suite(str(file)), out=tmp_path / "other", **settings)  # type: ignore[arg-type]
    assert inline.complete
    assert any(stopped for of in rows(inline, "stopped").values() for stopped in of)
    for name in ("stopped", "forwards", "backwards", "l2", "linf"):
        assert rows(inline, name) == rows(other, name), name
    for attack, forwards in rows(inline, "forwards").items():
        passes = np.array(forwards) + np.array(rows(inline, "backwards")[attack])
        assert (passes <= 40).all()
