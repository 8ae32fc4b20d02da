"""The measurements as a page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

TITLES = {
    "peak": "Peak of the GPU, TFLOP/s",
    "gradient": "A step of PGD, images a second",
    "ir": "A step of IR with 32 samples, images a second",
    "variants": "CUDA graphs, torch.compile and layouts, images a second",
    "libraries": "Against torchattacks and the official algorithm of IR, images a second",
    "host": "Planning, checking, storing and scoring, seconds",
    "transfers": "Copies beside compute, seconds",
    "published": "The published tables 1 to 4 of the transfer paper, hours",
}
HEAD = "# On a GPU\n\n`python -m benchmarks gpu` measures what follows, and `--page docs/gpu.md` writes this page."
NOT_MEASURED = "**Not measured on a GPU.** No GPU was available when this page was written."
HOW = """\
To measure a GPU, run the command in a checkout, with the extras `timm` and `torchattacks` installed. It needs no
images, no weights (the networks have random ones) and no internet access. A call starts no measurement after nine
minutes (`--minutes`). Every measurement is saved in `results/gpu.json`, so repeat the command until it says that the
page is complete. `python -m benchmarks gpu peak gradient` measures only these two parts; `--help` lists all options."""


def page(results: Mapping[str, Any] | None) -> str:
    """Return the page; without results, or with those of a CPU, it says that nothing was measured on a GPU."""
    device = (results or {}).get("device", "")
    blocks = [HEAD]
    if not device.startswith("cuda"):
        blocks.append(NOT_MEASURED)
    if results is None:
        about = "\n".join(f"- `{name}`: {title}" for name, title in TITLES.items())
        return "\n\n".join([*blocks, HOW, "Its parts:", about]) + "\n"
    blocks.append(f"{results['machine']}." + (" Stand-ins in place of the networks." if results["tiny"] else ""))
    for name, title in TITLES.items():
        if results["parts"].get(name):
            blocks += [f"## {title}", table(name, results["parts"][name])]
    return "\n\n".join(blocks) + "\n"


def table(part: str, measured: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the measurements of a part; one that failed has its reason in place of numbers."""
    columns = list(dict.fromkeys(column for found in measured.values() for column in found if column != "failed"))
    unit = 1e12 if part == "peak" else 1
    rows = [
        [name, *(shown(found.get(column), unit) for column in columns), found.get("failed", "")]
        for name, found in measured.items()
    ]
    return tabulate(rows, ["", *columns, "note"], tablefmt="github", disable_numparse=True)


def shown(value: Any, unit: float) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    return f"{value / unit:.4g}"
