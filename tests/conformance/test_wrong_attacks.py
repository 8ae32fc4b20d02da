"""One deliberately wrong attack for each published or likely mistake; each is caught by the rule that it breaks."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from bench_core.types import AttackRecipe, Cost, Examples, Model

from .ascent import Ascent, last, length, recipe, usual
from .offering import verdicts


def test_the_right_one_breaks_nothing() -> None:
    found = verdicts("attacks", recipe())
    not_holding = [str(verdict) for verdict in found if verdict.status != "holds"]
    assert {verdict.rule for verdict in found if verdict.status == "unasked"} == {
        "all_or_nothing",
        "lowers_interaction",
        "queries",
    }, not_holding
    assert {verdict.status for verdict in found} == {"holds", "unasked"}, not_holding


# The gradients that are wrong


def descends(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    return -usual(attack, model, images, examples)


def one_mask_of_the_first(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    return usual(attack, model, images, examples) * (examples.images[:1] > 0.5)


def all_pairs(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    images = images.detach().requires_grad_(True)
    square = model(images).log_softmax(1)[:, examples.labels]  # [n, n]; the diagonal is what was intended
    return -torch.autograd.grad((square * torch.arange(1, len(images) + 1)).sum(), images)[0]


def batch_deviation(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    gradient = usual(attack, model, images, examples)
    return gradient - gradient.mean()


def batch_length(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    """A gradient over the norm of the whole batch, before something else is added to it."""
    gradient = usual(attack, model, images, examples)
    return gradient / gradient.norm() + 1e-3


def momentum(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    """Momentum that outlives the run."""
    gradient = usual(attack, model, images, examples)
    attack.memory["m"] = attack.memory.get("m", torch.zeros_like(gradient)) + gradient / length(gradient)
    return attack.memory["m"]


def unguarded_momentum(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    """`grad / norm` without a guard against zero; the memory is new with every run."""
    gradient = usual(attack, model, images, examples)
    if torch.equal(images, examples.images):
        attack.memory.clear()
    attack.memory["m"] = attack.memory.get("m", torch.zeros_like(gradient)) + gradient / gradient.abs().sum(
        (1, 2, 3), keepdim=True
    )
    return attack.memory["m"]


def flattens_features(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    """A sensitivity of each feature with `view`, which needs contiguous memory."""
    model[0](images).view(len(images), -1).abs().amax(1)
    return usual(attack, model, images, examples)


def frozen_momentum(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    """A momentum of `grad / norm` that is NaN after a gradient of zero, and read as zero from then on."""
    gradient = usual(attack, model, images, examples)
    scaled = gradient / gradient.abs().sum((1, 2, 3), keepdim=True)
    attack.memory["m"] = attack.memory.get("m", torch.zeros_like(gradient)) + scaled
    return attack.memory["m"].nan_to_num(0)


def chosen_by_name(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    hooks = [
        module.register_forward_hook(lambda _m, _i, out: out.register_hook(lambda g: 0.2 * g) and None)
        for name, module in model.named_modules()
        if "2.branch" in name
    ]
    try:
        return usual(attack, model, images, examples)
    finally:
        for hook in hooks:
            hook.remove()


def full_backward_hooks(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    hooks = [
        module.register_full_backward_hook(lambda _m, gradient, _o: (gradient[0] * 0.5,))
        for module in model.modules()
        if isinstance(module, nn.ReLU)
    ]
    try:
        return usual(attack, model, images, examples)
    finally:
        for hook in hooks:
            hook.remove()


def hooks_until_the_end(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    if len(model._forward_hooks) < 2:
        next(model.children()).register_forward_hook(lambda *_: None)
    return usual(attack, model, images, examples)


def one_by_one(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    each = (slice(i, i + 1) for i in range(len(images)))
    return torch.cat([usual(attack, model, images[rows], examples.take(rows)) for rows in each])


def empty_again_and_again(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    model(examples.images), model(examples.images)
    return usual(attack, model, images, examples)


def past_the_counter(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    """Looks at the images without a call of the network, beside the call for the gradient."""
    model.forward(images)
    return usual(attack, model, images, examples)


def through_a_layer(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    model[0](images)
    return usual(attack, model, images, examples)


def ignores_targets(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    return usual(attack, model, images, Examples(examples.images, examples.labels, examples.ids))


def three_channels_only(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    return usual(attack, model, images, examples) * torch.ones(1, 3, 1, 1)


def square_only(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    return usual(attack, model, images, examples).transpose(-1, -2)


def draws_globally(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    return usual(attack, model, images, examples) + 1e-3 * torch.randn_like(images)


def draws_from_the_clock(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    clock = torch.Generator().manual_seed(time.perf_counter_ns())
    return torch.randn(images.shape, generator=clock)


def swallows(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    try:
        return usual(attack, model, images, examples)
    except RuntimeError:
        return torch.zeros_like(images)


# What else may be wrong


def divides_by_delta(delta: Tensor, eps: float, norm: str) -> Tensor:
    if norm == "linf":
        return delta.clamp(-eps, eps)
    return delta * (eps / delta.flatten(1).norm(dim=1)).clamp(max=1).view(-1, 1, 1, 1)


def no_projection(delta: Tensor, eps: float, norm: str) -> Tensor:
    return delta


def truncated(images: Tensor, clean: Tensor) -> Tensor:
    """Images saved as bytes without rounding."""
    return (images * 255).floor() / 255


def trains(model: Model, _examples: Examples) -> None:
    model.train()


def scribbles(_model: Model, examples: Examples) -> None:
    examples.images.add_(0.001).clamp_(0, 1)


def rolls_dice(_model: Model, _examples: Examples) -> None:
    random.random()


MISTAKES: Mapping[str, tuple[str, str, AttackRecipe]] = {
    "the sign is reversed": ("ascent", "fell", recipe(gradient=descends)),
    "masks of the first image": ("batch_independence", "when attacked alone", recipe(gradient=one_mask_of_the_first)),
    "an N x N matrix of logits": ("batch_independence", "when attacked alone", recipe(gradient=all_pairs)),
    "statistics of the batch": ("batch_independence", "when attacked alone", recipe(gradient=batch_deviation)),
    "a norm of the batch": ("batch_independence", "when attacked alone", recipe(gradient=batch_length)),
    "the clean image first": ("first_step", "the clean images", recipe(early=True)),
    "no random start": ("random_start", "changes nothing", recipe(starts=False)),
    "a state that stays": ("determinism", "keeps a state", recipe(gradient=momentum)),
    "a seed of its own": ("determinism", "seed does not decide", recipe(gradient=draws_from_the_clock)),
    "zero over zero": ("zero_gradient", "", recipe(gradient=unguarded_momentum)),
    "a memory of NaN": ("zero_gradient", "frozen", recipe(gradient=frozen_momentum)),
    "a memory of NaN, and one yield": ("zero_gradient", "frozen", recipe(gradient=frozen_momentum, yields=last)),
    "modules chosen by name": ("module_names", "names of the modules", recipe(gradient=chosen_by_name)),
    "features taken for contiguous": ("channels_last", "view", recipe(gradient=flattens_features)),
    "hooks that fail in place": ("inplace_network", "raised RuntimeError", recipe(gradient=full_backward_hooks)),
    "hooks never removed": ("early_close", "hooks", recipe(gradient=hooks_until_the_end)),
    "one image at a time": ("batching", "8 images take", recipe(gradient=one_by_one)),
    "the same question again": ("batching", "had been evaluated", recipe(gradient=empty_again_and_again)),
    "a forward that is no call": ("counted_passes", "try model(images)", recipe(gradient=past_the_counter)),
    "a layer alone": ("counted_passes", "24 images passed", recipe(gradient=through_a_layer)),
    "targets forgotten": ("targeted", "untargeted attack", recipe(gradient=ignores_targets)),
    "three channels taken for granted": ("one_channel", "shape", recipe(gradient=three_channels_only)),
    "square images taken for granted": ("odd_sides", "raised RuntimeError", recipe(gradient=square_only)),
    "a swallowed failure": ("failing_network", "swallowed", recipe(gradient=swallows)),
    "global random numbers": ("contract", "global random state", recipe(gradient=draws_globally)),
    "Python's random numbers": ("contract", "Python's global random", recipe(around=rolls_dice)),
    "a projection through zero": ("no_room", "NaN", recipe(project=divides_by_delta)),
    "no projection": ("contract", "ball", recipe(project=no_projection)),
    "truncation to bytes": ("contract", "ball", recipe(after=truncated)),
    "train() to restore the mode": ("contract", "mode", recipe(around=trains)),
    "inputs changed in place": ("contract", "in place", recipe(around=scribbles)),
    "another dtype": ("contract", "dtype", recipe(after=lambda images, _: images.double())),
    "a mixed-up order": ("contract", "ball", recipe(after=lambda images, _: images.flip(0))),
    "half of the batch": ("contract", "shape", recipe(after=lambda images, _: images[:1])),
    "a cost that is not so": ("cost", "declares 9 forwards", recipe(cost=Cost(1, 1, 4))),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_caught_by_name(mistake: str) -> None:
    rule, message, wrong = MISTAKES[mistake]
    found = next((verdict for verdict in verdicts("attacks", wrong, {rule}) if verdict.status == "broken"), None)
    assert found
    assert message in found.message
    assert found.given
    assert f"docs/plugins.md#attacks-{rule.replace('_', '-')}" in str(found)
