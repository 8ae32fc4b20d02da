"""Measure what a GPU does with bench: `python -m benchmarks gpu`.

A call starts no measurement after nine minutes (`--minutes`). Every measurement is saved as soon as it is made, so the
same command goes on where the last one stopped. It needs no internet access. With `--device cpu --tiny`, every line
runs on a CPU with small stand-ins.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from bench_core.errors import raised
from bench_core.executors.hardware import processor

from .page import page
from .parts import PARTS
from .timing import Setting

MINUTES = 9.0


def read(path: Path, setting: Setting) -> dict[str, Any]:
    """Return the measurements of a file, or none. Raises SystemExit if they are of another device."""
    here = {"device": setting.device, "tiny": setting.tiny, "machine": machine(setting.device)}
    if not path.is_file():
        return {**here, "parts": {name: {} for name in PARTS}}
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if {name: results[name] for name in here} != here:
        raise SystemExit(f"{path}: measured on {results['machine']} (try another --out)")
    return results


def machine(device: str) -> str:
    """Return the name of the card, or of the processor, and the versions."""
    named = torch.cuda.get_device_name(device) if device.startswith("cuda") else processor(device)
    cuda = f", CUDA {torch.version.cuda}" if device.startswith("cuda") else ""
    return f"{named}, Python {platform.python_version()}, torch {torch.__version__}{cuda}"


def measure(results: dict[str, Any], setting: Setting, parts: Sequence[str], out: Path, minutes: float) -> bool:
    """Make the measurements that are missing, and save each. Return whether all are there."""
    end = time.monotonic() + 60 * minutes
    for part in parts:
        for name, measurement in PARTS[part](setting, results["parts"]):
            if name in results["parts"][part]:
                continue
            if time.monotonic() >= end:
                return False
            try:
                found = measurement()
            except Exception as error:  # such as a batch of one that does not fit, or a compiler that is missing
                found = {"failed": raised(error)}
            results["parts"][part][name] = found
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            print(f"{part}: {name}: {json.dumps(found)}", flush=True)
    return True


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"the parts to measure: {', '.join(PARTS)} (all)")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu with --tiny (default: cuda)")
    parser.add_argument("--tiny", action="store_true", help="small stand-ins for the networks")
    parser.add_argument("--turns", type=int, default=5, help="how often each time is measured; the median counts (5)")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="start no measurement later than this (9)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results/gpu.json"),
        help="where measurements are saved (results/gpu.json)",
    )
    parser.add_argument("--page", type=Path, help="where to write the page (default: beside --out)")
    given = parser.parse_args(arguments)
    unknown = [part for part in given.parts if part not in PARTS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)} (known: {', '.join(PARTS)})")
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("--device: there is no NVIDIA GPU here (try --device cpu --tiny)")
    setting = Setting(given.device, given.tiny, given.turns)
    results = read(given.out, setting)
    complete = measure(results, setting, given.parts or list(PARTS), given.out, given.minutes)
    where = given.page or given.out.with_suffix(".md")
    where.write_text(page(results), encoding="utf-8")
    print(f"{where}: " + ("complete" if complete else "not complete: the same command goes on"))
