"""Find the attention of vision transformers by the structure of their blocks, and change it while they run.

Recognised are blocks that have a perceptron `mlp` and an attention of all tokens with all: timm's, with `qkv`,
`attn_drop` and `proj`, as in its ViTs and DeiTs; and torch's `nn.MultiheadAttention`, as in torchvision's ViTs. Windows
(Swin), relative positions with biases of their own (BEiT, EVA) and attention of the class token alone (CaiT) are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from bench_core.types import Rejection

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bench_core.types import Model
else:
    from bench_core.lazy import torch

Change = Callable[["Tensor"], "Tensor"]
OTHER_FORMS = ("window_size", "q_bias", "relative_position_bias_table")  # attributes of other forms of attention
NONE = (
    "the source {name} has no attention that is recognised: no block of timm's or torchvision's ViTs (try such a "
    "source, budgets whose `sources` and `attacks` keep the two apart, or a network whose blocks keep the names `qkv`, "
    "`attn_drop`, `proj` and `mlp` of timm's)"
)
OTHER = (
    "the source {name} has another form of attention in {where}, that of windows, with biases or of the class token "
    "alone (try a ViT or DeiT, which have attention of all tokens with all)"
)


class Block(NamedTuple):
    """The attention and the perceptron of a block."""

    attention: nn.Module
    mlp: nn.Module


def blocks(model: nn.Module) -> list[Block]:
    """Return the recognised blocks of a network."""
    found = []
    for module in model.modules():
        children = dict(module.named_children())
        attention = [child for child in children.values() if is_attention(child)]
        if "mlp" in children and len(attention) == 1:
            found.append(Block(attention[0], children["mlp"]))
    return found


def is_attention(module: nn.Module) -> bool:
    """Return whether a module is an attention of all tokens with all whose parts are known."""
    if isinstance(module, torch.nn.MultiheadAttention):
        return module.batch_first and module._qkv_same_embed_dim and module.bias_k is None and not module.add_zero_attn
    children = dict(module.named_children())
    linear = all(isinstance(children.get(name), torch.nn.Linear) for name in ("qkv", "proj"))
    return linear and "attn_drop" in children and not any(hasattr(module, name) for name in OTHER_FORMS)


def check(model: Model) -> Rejection | None:
    """Return why a network's attention cannot be changed, or None if it can."""
    name, known = type(model).__name__, blocks(model)
    recognised = {id(block.attention) for block in known}
    for where, module in model.named_modules():
        forms = isinstance(module, torch.nn.MultiheadAttention) or "attn_drop" in dict(module.named_children())
        if forms and id(module) not in recognised:
            return Rejection("attention", OTHER.format(name=name, where=where or "its root"))
    return None if known else Rejection("attention", NONE.format(name=name))


@contextmanager
def changed(model: Model, maps: Change, qkv: Change | None = None, mlp: Change | None = None) -> Iterator[Model]:
    """Change inner tensors of every block while the context is open.

    Args:
        model: The network.
        maps: Changes the attention after the softmax [n, heads, tokens, tokens].
        qkv: Changes queries, keys and values [n, tokens, 3 * width].
        mlp: Changes the output of the perceptron [n, tokens, width].

    Raises:
        ValueError: `check` rejects the network.
    """
    rejection = check(model)
    if rejection is not None:
        raise ValueError(str(rejection))
    with ExitStack() as stack:
        for block in blocks(model):
            attention = block.attention
            if isinstance(attention, torch.nn.MultiheadAttention):
                forward = partial(packed_attention, attention, maps, qkv or unchanged)
                stack.enter_context(attribute(attention, "forward", forward))
            else:
                if hasattr(attention, "fused_attn"):  # torch's fused attention has no maps
                    stack.enter_context(attribute(attention, "fused_attn", False))
                stack.enter_context(outputs_of(attention.get_submodule("attn_drop"), maps))
                stack.enter_context(outputs_of(attention.get_submodule("qkv"), qkv or unchanged))
            stack.enter_context(outputs_of(block.mlp, mlp or unchanged))
        yield model


def unchanged(tensor: Tensor) -> Tensor:
    return tensor


@contextmanager
def outputs_of(module: nn.Module, change: Change) -> Iterator[None]:
    """Change the outputs of a module while the context is open."""
    with module.register_forward_hook(lambda _module, _inputs, output: change(output)):
        yield


@contextmanager
def attribute(module: nn.Module, name: str, value: Any) -> Iterator[None]:
    """Set an attribute of a module while the context is open."""
    before = vars(module).get(name, module)  # the module itself stands for none
    setattr(module, name, value)
    try:
        yield
    finally:
        if before is module:
            delattr(module, name)
        else:
            setattr(module, name, before)


def packed_attention(
    module: nn.MultiheadAttention, maps: Change, qkv: Change, query: Tensor, key: Tensor, value: Tensor, **options: Any
) -> tuple[Tensor, Tensor | None]:
    """Compute what torch's module computes, with the maps. Raises ValueError for what no ViT does."""
    if (
        not (query is key is value)
        or options.get("attn_mask") is not None
        or options.get("key_padding_mask") is not None
    ):
        raise ValueError("attention: found a mask, or keys that are not the queries (try a ViT, which has neither)")
    count, length, width = query.shape
    packed = qkv(torch.nn.functional.linear(query, module.in_proj_weight, module.in_proj_bias))
    queries, keys, values = packed.view(count, length, 3, module.num_heads, -1).permute(2, 0, 3, 1, 4)
    weights = maps((queries @ keys.transpose(-2, -1) / module.head_dim**0.5).softmax(-1))
    mixed: Tensor = module.out_proj((weights @ values).transpose(1, 2).reshape(count, length, width))
    return mixed, weights.mean(1) if options.get("need_weights", True) else None


def with_gradient(rule: Change) -> Change:
    """Return a change that leaves a tensor as it is, and applies a rule to the gradient in it."""

    def change(tensor: Tensor) -> Tensor:
        if not tensor.requires_grad:
            return tensor
        same = tensor.view_as(tensor)
        same.register_hook(rule)
        return same

    return change


def with_earlier_gradient(rule: Change) -> Change:
    """Return a change that applies a rule to the gradient in what the last operation before a tensor was given."""

    def change(tensor: Tensor) -> Tensor:
        if tensor.grad_fn is not None:
            tensor.grad_fn.register_hook(lambda inputs, _outputs: (rule(inputs[0]), *inputs[1:]))
        return tensor

    return change
