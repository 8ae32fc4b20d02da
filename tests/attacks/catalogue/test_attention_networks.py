"""Which networks have attention that PNA and TGR can change, and what is left of the change afterwards."""

from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from bench_attacks.attention import blocks, changed, check
from bench_attacks.parts.patchout import KeptPatches
from bench_attacks.parts.pna import PayNoAttention
from bench_core.testing.transformer import transformer
from bench_core.worker.guard import guarded
from bench_models.ensemble import Ensemble

from ..scene import budget, build, examples, network, run_state
from .test_attention_attacks import NETWORKS, of_torchvision


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("vit_tiny_patch16_224", 12),
        ("deit_tiny_distilled_patch16_224", 12),
        ("pit_ti_224", 12),
        ("vit_base_patch16_clip_224", 12),
    ],
)
def test_timms_transformers_are_found(name: str, count: int) -> None:
    model = pytest.importorskip("timm").create_model(name)
    assert len(blocks(model)) == count
    assert check(model) is None


def test_torchvisions_and_ensembles_are_found() -> None:
    with torch.device("meta"):
        model = torchvision.models.vit_b_32(weights=None)
    assert len(blocks(nn.Sequential(nn.Identity(), model))) == 12
    mixed = Ensemble([network(), transformer()], "logits")
    assert check(mixed) is None
    assert len(blocks(mixed)) == 2


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("swin_tiny_patch4_window7_224", {"depths": (1, 1)}), ("cait_xxs24_224", {"depth": 1}),
        ("beit_base_patch16_224", {"depth": 1}), ("visformer_tiny", {}), ("eva02_tiny_patch14_224", {"depth": 1}),
    ],
)  # fmt: skip
def test_other_attention_is_refused(name: str, options: dict[str, Any]) -> None:
    model = pytest.importorskip("timm").create_model(name, **options)
    for part in ("pna", "tgr"):
        rejection = build(part, budget()).check_source(model)  # type: ignore[attr-defined]
        assert "another form of attention in" in str(rejection)
        assert "(try" in str(rejection)


def test_networks_without_attention_are_refused() -> None:
    with torch.device("meta"):
        swin = torchvision.models.swin_t(weights=None)
    for model in (network(), swin, torchvision.models.resnet18(weights=None)):
        rejection = build("tgr", budget()).check_source(model)  # type: ignore[attr-defined]
        assert "no attention that is recognised" in str(rejection)
        with (
            pytest.raises(ValueError, match=r"\(try such a source"),
            PayNoAttention().apply(model, run_state(examples(2))),
        ):
            pass


def test_images_smaller_than_the_grid_are_refused() -> None:
    assert KeptPatches(6, 1).check((1, 6, 7)) is None
    assert "(try 5)" in str(KeptPatches(6, 1).check((1, 7, 5)))


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_networks_are_restored_after_an_error(library: str) -> None:
    model = NETWORKS[library][0]().eval().requires_grad_(False)
    before = [dict(vars(block.attention)) for block in blocks(model)]
    with guarded(model), pytest.raises(RuntimeError, match="on purpose"), changed(model, torch.detach):
        raise RuntimeError("on purpose")
    after = [vars(block.attention) for block in blocks(model)]
    assert [sorted(state) for state in before] == [sorted(state) for state in after]
    assert all(state.get("fused_attn", True) for state in after)


def test_masks_are_refused() -> None:
    model = of_torchvision()
    attention: Any = blocks(model)[0].attention
    tokens = torch.rand(1, 10, 16)
    with changed(model, torch.detach):
        for masks in ({"attn_mask": torch.zeros(10, 10)}, {"key_padding_mask": torch.zeros(1, 10)}):
            with pytest.raises(ValueError, match="found a mask"):
                attention(tokens, tokens, tokens, **masks)
