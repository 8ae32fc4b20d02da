"""PNA, PatchOut and TGR: against gradients that are computed by hand, one image at a time, block by block."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
import torchvision
from torch import Tensor, nn

from bench_attacks.compose import join
from bench_attacks.kinds import Surrogate
from bench_attacks.parts.pna import PayNoAttention
from bench_attacks.parts.tgr import TokenRegularised
from bench_attacks.plugin import RECIPES
from bench_core.testing.transformer import transformer
from bench_core.worker.guard import guarded
from bench_core.worker.instrument import PassCounter
from bench_models.embedded.patches import vit

from ..scene import budget, build, examples, run, run_state, streams
from .by_hand import One, follows, slope

Rule = Callable[[Tensor], Tensor]


class Rules(NamedTuple):
    """What happens to the gradients in a block: of the maps, of the scores before them, and of the rest."""

    maps: Rule
    scores: Rule
    qkv: Rule
    mlp: Rule


class Layers(NamedTuple):
    """A block of any library, as functions."""

    module: nn.Module
    packed: Callable[[Tensor], Tensor]  # tokens [t, w] -> queries, keys and values [t, 3 w]
    heads: int
    proj: nn.Module
    perceptron: Callable[[Tensor], Tensor]


def layers_of(block: nn.Module) -> Layers:
    if hasattr(block, "self_attention"):
        inner: Any = block.self_attention
        linear = nn.functional.linear
        packed = lambda tokens: linear(block.ln_1(tokens), inner.in_proj_weight, inner.in_proj_bias)  # noqa: E731
        return Layers(block, packed, inner.num_heads, inner.out_proj, lambda tokens: block.mlp(block.ln_2(tokens)))
    attention: Any = block.attn
    heads = getattr(attention, "num_heads", getattr(attention, "heads", 2))
    packed = lambda tokens: attention.qkv(block.norm1(tokens))  # noqa: E731
    return Layers(block, packed, heads, attention.proj, lambda tokens: block.mlp(block.norm2(tokens)))


def pulled(function: Callable[[Tensor], Tensor], at: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient in the argument, given that in the value."""
    at = at.detach().requires_grad_(True)
    return torch.autograd.grad(function(at), at, gradient)[0]


def pulled_through(layers: Layers, tokens: Tensor, gradient: Tensor, rules: Rules) -> Tensor:
    """Return the gradient in the tokens [t, w] of a block, given that in its output, by the equations."""
    packed = layers.packed(tokens)
    queries, keys, values = (part.unflatten(1, (layers.heads, -1)).transpose(0, 1) for part in packed.chunk(3, 1))
    size = queries.shape[-1] ** 0.5
    maps = torch.stack([(q @ k.T / size).softmax(1) for q, k in zip(queries, keys, strict=True)])
    mixed = torch.cat([m @ v for m, v in zip(maps, values, strict=True)], 1)
    middle = tokens + layers.proj(mixed)
    gradient = gradient + pulled(layers.perceptron, middle, rules.mlp(gradient))
    by_head = pulled(layers.proj, mixed, gradient).chunk(layers.heads, 1)
    of_maps = rules.maps(torch.stack([g @ v.T for g, v in zip(by_head, values, strict=True)]))
    of_scores = rules.scores(maps * (of_maps - (of_maps * maps).sum(2, keepdim=True)))
    of_packed = torch.cat(
        [torch.cat([s @ k / size for s, k in zip(of_scores, keys, strict=True)], 1),
         torch.cat([s.T @ q / size for s, q in zip(of_scores, queries, strict=True)], 1),
         torch.cat([m.T @ g for m, g in zip(maps, by_head, strict=True)], 1)],
        1,
    )  # fmt: skip
    return gradient + pulled(layers.packed, tokens, rules.qkv(of_packed))


def gradient_by_hand(model: nn.Module, image: Tensor, loss: Callable[[Tensor], Tensor], rules: Rules) -> Tensor:
    """Return the gradient of a loss of the logits [1, classes] in an image, with the rules in every block."""
    found = [layers_of(module) for module in model.modules() if any(module is b for b in owners(model))]
    seen: list[tuple[Tensor, Tensor]] = []
    hooks = [layers.module.register_forward_hook(lambda _m, i, o: seen.append((i[0], o))) for layers in found]
    image = image.detach().requires_grad_(True)
    value = loss(model(image[None]))
    for hook in hooks:
        hook.remove()
    gradient = torch.autograd.grad(value, seen[-1][1], retain_graph=True)[0][0]
    for layers, (tokens, _) in zip(reversed(found), reversed(seen), strict=True):
        gradient = pulled_through(layers, tokens[0].detach(), gradient, rules)
    return torch.autograd.grad(seen[0][0], image, gradient[None])[0]


def owners(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if "mlp" in dict(module.named_children())]


def same(gradient: Tensor) -> Tensor:
    return gradient


def tokens_cut(gain: float) -> Rule:
    """In each channel, zero for the tokens of the largest and of the smallest entry; a gain for the rest."""

    def rule(gradient: Tensor) -> Tensor:
        cut = gain * gradient
        for channel in range(gradient.shape[1]):
            column = gradient[:, channel].tolist()
            cut[column.index(max(column)), channel] = cut[column.index(min(column)), channel] = 0
        return cut

    return rule


def crosses_cut(gain: float) -> Rule:
    """In each head, zero in row and column of the largest and of the smallest entry; a gain for the rest."""

    def rule(gradient: Tensor) -> Tensor:
        cut = gain * gradient
        for head, entries in enumerate(gradient):
            for extreme in (entries.max(), entries.min()):
                row, column = (entries == extreme).nonzero()[0].tolist()
                cut[head, row, :] = 0
                cut[head, :, column] = 0
        return cut

    return rule


PLAIN = Rules(same, same, same, same)
PNA = Rules(torch.zeros_like, same, same, same)
TGR = Rules(crosses_cut(0.3), same, tokens_cut(0.6), tokens_cut(0.4))
SCORES = TGR._replace(maps=same, scores=crosses_cut(0.3))
SURROGATES: list[tuple[Surrogate, Rules]] = [
    (PayNoAttention(), PNA), (TokenRegularised(0.3, 0.6, 0.4), TGR), (TokenRegularised(0.3, 0.6, 0.4, True), SCORES),
]  # fmt: skip


def of_timm() -> nn.Module:
    timm = pytest.importorskip("timm.models.vision_transformer")
    model: nn.Module = timm.VisionTransformer(
        img_size=12, patch_size=4, embed_dim=16, depth=3, num_heads=2, num_classes=4, init_values=None
    )
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.2)  # timm begins near zero, where attention does little
    assert model.blocks[0].attn.fused_attn  # type: ignore[union-attr,index]
    return model


def of_torchvision() -> nn.Module:
    model = torchvision.models.VisionTransformer(12, 4, num_layers=3, num_heads=2, hidden_dim=16, mlp_dim=32)
    nn.init.normal_(model.heads.head.weight)  # type: ignore[arg-type,union-attr]
    return model


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "timm": (of_timm, (3, 12, 12)), "torchvision": (of_torchvision, (3, 12, 12)), "embedded": (vit, (1, 28, 28)),
    "kit": (transformer, (1, 6, 6)),
}  # fmt: skip


@pytest.mark.parametrize("library", NETWORKS)
@pytest.mark.parametrize(("surrogate", "rules"), SURROGATES, ids=["pna", "tgr", "tgr-scores"])
def test_gradients_in_every_librarys_blocks(library: str, surrogate: Surrogate, rules: Rules) -> None:
    make, shape = NETWORKS[library]
    torch.manual_seed(0)
    model = make().double().eval().requires_grad_(False)
    images = torch.rand(3, *shape, dtype=torch.float64)
    weights = torch.randn(model(images).shape, dtype=torch.float64)
    pairs = list(zip(images, weights, strict=True))
    plain, expected = (
        torch.stack([gradient_by_hand(model, image, lambda z, w=w: (z * w).sum(), chosen) for image, w in pairs])
        for chosen in (PLAIN, rules)
    )
    at = images.clone().requires_grad_(True)
    (usual,) = torch.autograd.grad((model(at) * weights).sum(), at)
    torch.testing.assert_close(usual, plain, rtol=1e-8, atol=1e-11)
    with guarded(model), surrogate.apply(model, run_state(examples(3))) as other:
        logits = other(at)
        (found,) = torch.autograd.grad((logits * weights).sum(), at)
    torch.testing.assert_close(logits, model(images), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-11)
    assert (found - usual).norm() > 0.01 * usual.norm()
    assert torch.equal(torch.autograd.grad((model(at) * weights).sum(), at)[0], usual)


ATTENTIVE = {channels: transformer(channels).double() for channels in (1, 3)}


@pytest.mark.parametrize("channels", [1, 3])
def test_pna(channels: int) -> None:
    model = ATTENTIVE[channels]

    def transcription(one: One) -> Iterator[Tensor]:
        while True:
            yield gradient_by_hand(model, one.image, lambda logits: one.loss(logits)[0], PNA)

    follows("pna", transcription, model, shape=(channels, 6, 7))


@pytest.mark.parametrize("scores", [False, True])
def test_tgr(scores: bool) -> None:
    model, rules = ATTENTIVE[1], SCORES if scores else TGR

    def transcription(one: One) -> Iterator[Tensor]:
        momentum = torch.zeros_like(one.clean)
        while True:
            gradient = gradient_by_hand(model, one.image, lambda logits: one.loss(logits)[0], rules)
            momentum = momentum + gradient / gradient.abs().sum()
            yield momentum

    gains = {"maps_gain": 0.3, "qkv_gain": 0.6, "mlp_gain": 0.4}
    follows(["tgr", "mi"], transcription, model, scores=scores, **gains)


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 7, 5)])
def test_patchout(shape: tuple[int, int, int]) -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        while True:
            drawn = streams(one.given).subsets("patches", one.step, 1, 9, 4)[0, 0].view(3, 3)
            assert drawn.sum() == 4
            mask = torch.zeros(shape, dtype=torch.float64)
            for row in range(shape[1]):
                for column in range(shape[2]):
                    mask[:, row, column] = drawn[3 * row // shape[1], 3 * column // shape[2]].double()

            def value(at: Tensor, mask: Tensor = mask) -> Tensor:
                delta = at - one.clean
                return one.loss(one.model((one.clean + mask * delta)[None]))[0] + 0.5 * delta.norm()

            yield slope(value, one.image)

    follows("patchout", transcription, shape=shape, patch_grid=3, patch_share=0.44, distance=0.5)


OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("tgr", {"maps_gain": 0.0}), ("tgr", {"qkv_gain": 0.1}), ("tgr", {"mlp_gain": 0.0}), ("tgr", {"scores": True}),
    ("pna_patchout", {"patch_grid": 2}), ("pna_patchout", {"patch_share": 0.2}), ("pna_patchout", {"distance": 20.0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
def test_each_option_changes_the_images(name: str, options: dict[str, Any]) -> None:
    given = examples()
    usual, other = (run(build(name, budget("l2"), **chosen), ATTENTIVE[1], given)[-1] for chosen in ({}, options))
    assert (usual - other).abs().max() > 1e-6


@pytest.mark.parametrize("parts", [["pna", "mi"], ["tgr", "patchout", "ti"], ["vmi", "tgr", "si"], ["pna", "vr", "ir"]])
def test_alone_the_same_at_the_declared_cost(parts: list[str]) -> None:
    recipe = join([RECIPES[part] for part in parts])
    small = {
        "patch_grid": 3, "neighbours": 2, "scales": 2, "copies": 2, "kernel": 3, "grid": 3, "samples": 2, "cells": 3,
    }  # fmt: skip
    known = recipe.build.__signature__.parameters  # type: ignore[attr-defined]
    attack = recipe.build(budget("l2"), **{name: value for name, value in small.items() if name in known})
    given, model, passes = examples(), ATTENTIVE[1], PassCounter(ATTENTIVE[1])
    with passes.counting():
        together = run(attack, model, given)[-1]
    assert (passes.forwards / 4, passes.backwards / 4) == pytest.approx(attack.cost.total(3))  # type: ignore[union-attr]
    for i in range(4):
        alone = run(attack, model, given.take(slice(i, i + 1)))[-1]
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-9)
