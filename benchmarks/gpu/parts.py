"""What is measured, in parts: each yields named measurements, so that a part can stop and go on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from .networks import IMAGENET, NAMES, network, shape_of
from .published import hours
from .steps import (
    LAYOUTS,
    PRECISIONS,
    Precision,
    attack_step,
    examples,
    in_precision,
    ir_step,
    others,
    overlap,
    variant,
)
from .timing import Setting, grow, seconds_of

Measured = dict[str, Any]
Measurement = Callable[[], Measured]
Known = Mapping[str, Mapping[str, Measured]]  # part -> measurement -> what was found
CONVOLUTIONS = ((64, 64, 56), (64, 256, 28), (64, 512, 14))  # images, channels, side


def peak(setting: Setting, _known: Known) -> Iterator[tuple[str, Measurement]]:
    """Yield the fastest matrix product and convolution in each precision."""

    def measure(precision: str) -> Measured:
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        best = {"matrix product": 0.0, "convolution": 0.0}
        with Precision(precision), torch.no_grad():
            for side in (64,) if setting.tiny else (2048, 4096, 8192):
                a, b = (torch.rand(side, side, device=setting.device, dtype=dtype) for _ in range(2))
                rate = 2 * side**3 / seconds_of(partial(torch.mm, a, b), setting)
                best["matrix product"] = max(best["matrix product"], rate)
            for count, channels, side in ((2, 8, 8),) if setting.tiny else CONVOLUTIONS:
                given = torch.rand(count, channels, side, side, device=setting.device, dtype=dtype)
                weight = torch.rand(channels, channels, 3, 3, device=setting.device, dtype=dtype)
                for layout in LAYOUTS.values():
                    images, kernel = given.to(memory_format=layout), weight.to(memory_format=layout)
                    convolve = partial(torch.nn.functional.conv2d, images, kernel, padding=1)
                    rate = 2 * given.numel() * channels * 9 / seconds_of(convolve, setting)
                    best["convolution"] = max(best["convolution"], rate)
        return best

    for precision in PRECISIONS:
        yield precision, partial(measure, precision)


def gradients(setting: Setting, _known: Known, kind: str = "pgd") -> Iterator[tuple[str, Measurement]]:
    """Yield the rate of a step of PGD, or of IR, for each network and precision, at the batch that fills the device."""

    def measure(name: str, precision: str) -> Measured:
        model = in_precision(network(name, setting), precision)
        shape = shape_of(name, setting)

        def step(count: int) -> Callable[[], object]:
            given = examples(count, shape, setting.device)
            return attack_step(model, given) if kind == "pgd" else ir_step(model, given, setting)

        with Precision(precision):
            return asdict(grow(step, setting))

    for name in NAMES:
        for precision in PRECISIONS:
            yield f"{name}, {precision}", partial(measure, name, precision)


def variants(setting: Setting, known: Known) -> Iterator[tuple[str, Measurement]]:
    """Yield the rate of a bare gradient as it is, as a CUDA graph, compiled, and in each layout."""

    def measure(name: str, kind: str) -> Measured:
        found = known.get("gradient", {}).get(f"{name}, float32", {})
        batch = int(found.get("batch", 2 if setting.tiny else 32))
        if kind in LAYOUTS:
            model = network(name, setting, made_lean=False).to(memory_format=LAYOUTS[kind])  # type: ignore[call-overload]
            step = attack_step(model, examples(batch, shape_of(name, setting), setting.device))
            return {"batch": batch, "rate": batch / seconds_of(step, setting)}
        return {"batch": batch, "rate": variant(name, kind, batch, setting)}

    for name in IMAGENET:
        for kind in ("as it is", "graph", "compiled", *LAYOUTS):
            yield f"{name}, {kind}", partial(measure, name, kind)


def libraries(setting: Setting, _known: Known) -> Iterator[tuple[str, Measurement]]:
    """Yield the rates of bench, torchattacks and the official algorithm."""
    batch = 2 if setting.tiny else 16
    for name in IMAGENET:
        yield name, partial(others, name, batch, setting)


def host(setting: Setting, _known: Known) -> Iterator[tuple[str, Measurement]]:
    """Yield what planning, checking, storing and scoring add on this device."""

    def measure() -> Measured:
        from ..host import contestants_on

        with tempfile.TemporaryDirectory() as folder:
            made = contestants_on(Path(folder), setting.device, images=4 if setting.tiny else 100)
            seconds = {name: seconds_of(run, setting) for name, run in made.items()}
        return {**seconds, "ratio": seconds["bench"] / seconds["bare loop"]}

    yield "PGD and IR with three targets", measure


def transfers(setting: Setting, _known: Known) -> Iterator[tuple[str, Measurement]]:
    """Yield the times of copies, of a gradient, and of both at once."""
    for batch in (2,) if setting.tiny else (32, 256):
        yield f"{batch} images", partial(overlap, setting, batch)


def published(_setting: Setting, known: Known) -> Iterator[tuple[str, Measurement]]:
    """Yield the hours that the published tables take at the measured rates."""
    for precision in PRECISIONS:
        yield precision, partial(hours, known, precision)


PARTS: dict[str, Callable[[Setting, Known], Iterator[tuple[str, Measurement]]]] = {
    "peak": peak,
    "gradient": gradients,
    "ir": partial(gradients, kind="ir"),
    "variants": variants,
    "libraries": libraries,
    "host": host,
    "transfers": transfers,
    "published": published,
}
