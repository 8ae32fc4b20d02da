"""One step of PGD and of IR on a batch, by bench, by torchattacks, and by the official algorithm of IR."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from bench_attacks.plugin import RECIPES
from bench_core.types import Budget, Examples
from bench_core.worker.precision import InBfloat16
from bench_core.worker.streams import ImageStreams

from ..attack_speed import official_interaction_step
from .networks import network, shape_of
from .timing import Setting, seconds_of

EPS, STEP_SIZE = 16 / 255, 2 / 255
PRECISIONS = ("float32", "tf32", "bfloat16")
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
Step = Callable[[], object]


def examples(count: int, shape: tuple[int, int, int], device: str) -> Examples:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, *shape, generator=generator).to(device)
    return Examples(images, (torch.arange(count) % 10).to(device), tuple(f"{place:012x}" for place in range(count)))


class Precision:
    """A context in which float32 is computed with TF32, or is not."""

    def __init__(self, name: str) -> None:
        self.allowed = name == "tf32"

    def __enter__(self) -> None:
        self.before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.allowed

    def __exit__(self, *_: object) -> None:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = self.before


def in_precision(model: nn.Module, precision: str) -> nn.Module:
    return InBfloat16(model).eval() if precision == "bfloat16" else model


def gradient_step(model: nn.Module, given: Examples) -> Step:
    """Return a bare step of PGD: the gradient, its sign, the projection."""
    low, high = (given.images - EPS).clamp(0, 1), (given.images + EPS).clamp(0, 1)

    def run() -> Tensor:
        images = given.images.clone().requires_grad_(True)
        loss = torch.nn.functional.cross_entropy(model(images), given.labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, images)
        return (images.detach() + STEP_SIZE * gradient.sign()).clamp(low, high)

    return run


def attack_step(model: nn.Module, given: Examples, name: str = "pgd", **options: object) -> Step:
    """Return one step of an attack of bench."""
    built = RECIPES[name].build(Budget("linf", EPS, STEP_SIZE, 1), **options)
    return lambda: [None for _ in built(model, given, ImageStreams(0, given.ids))]


def ir_step(model: nn.Module, given: Examples, setting: Setting) -> Step:
    grid = 4 if setting.tiny else 14 if given.images.shape[-1] == 28 else 16
    return attack_step(model, given, "ir", grid=grid, samples=2 if setting.tiny else 32, cells=grid * grid // 8)


def captured(step: Step, setting: Setting) -> Step:
    """Return a step as a CUDA graph; the step itself on another device."""
    if not setting.device.startswith("cuda"):
        return step
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def variant(name: str, kind: str, batch: int, setting: Setting) -> float:
    """Return the images a second of a bare gradient step with CUDA graphs, or with `torch.compile`."""
    model = network(name, setting)
    given = examples(batch, shape_of(name, setting), setting.device)
    if kind == "compiled":
        backend = "eager" if setting.tiny else "inductor"  # a stand-in needs no compiler
        return batch / seconds_of(gradient_step(torch.compile(model, backend=backend), given), setting)  # type: ignore[arg-type]
    step = gradient_step(model, given)
    return batch / seconds_of(captured(step, setting) if kind == "graph" else step, setting)


def overlap(setting: Setting, batch: int) -> dict[str, float]:
    """Return the seconds of copying images and rows, of computing, and of both at once on two streams."""
    name, cuda = "ResNet-34", setting.device.startswith("cuda")
    model, given = network(name, setting), examples(batch, shape_of(name, setting), setting.device)
    source = given.images.cpu()
    source, back = (source.pin_memory(), torch.empty_like(source).pin_memory()) if cuda else (source, source.clone())
    step, side = gradient_step(model, given), torch.cuda.Stream() if cuda else None

    def copy() -> None:
        with torch.cuda.stream(side) if side else nullcontext():
            there = source.to(setting.device, non_blocking=True)
            back.copy_(there, non_blocking=True)

    def both() -> None:
        copy()
        step()

    return {kind: seconds_of(run, setting) for kind, run in (("copy", copy), ("compute", step), ("both", both))}


def others(name: str, batch: int, setting: Setting) -> dict[str, float]:
    """Return images a second of bench, of torchattacks, and of the official algorithm of IR, on the same images.

    The libraries attack the network as torchvision builds it, bench the one that it has optimised.
    """
    import torchattacks

    given = examples(batch, shape_of(name, setting), setting.device)
    plain, ours = network(name, setting, made_lean=False), network(name, setting)
    theirs = torchattacks.PGD(plain, eps=EPS, alpha=STEP_SIZE, steps=1, random_start=False)
    grid = 4 if setting.tiny else 16
    steps: dict[str, Step] = {
        "PGD, bench": attack_step(ours, given),
        "PGD, torchattacks": lambda: theirs(given.images, given.labels),
        "IR, bench": ir_step(ours, given, setting),
        "IR, official": official_interaction_step(plain, given, grid),
    }
    return {label: batch / seconds_of(step, setting) for label, step in steps.items()}
