"""The defaults of ensembles: logits are averaged, as a model and as a source of several members."""

from __future__ import annotations

import inspect

import torch

from bench_core.suite.load import load_suite
from bench_models.composites import build_ensemble

from .scene import examples, network


def test_a_model_averages_logits_by_default() -> None:
    members, images = [network(seed=seed) for seed in range(3)], examples().images
    expected = torch.stack([member(images) for member in members]).mean(0)
    torch.testing.assert_close(build_ensemble(members)(images), expected, rtol=1e-12, atol=0)
    assert inspect.signature(build_ensemble).parameters["combine"].default == "logits"


def test_a_source_of_several_members_averages_logits_by_default(write_suite) -> None:
    assert load_suite(write_suite()).ensemble == "logits"
