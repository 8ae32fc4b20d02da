"""Run the benchmarks and write `docs/performance.md`: `python -m benchmarks [NAME ...]`.

A script that is named runs, and its section is replaced; the other sections stay as they are. Needs an idle machine.
`python -m benchmarks gpu` measures a GPU and writes a page for it; its `--help` says how.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
SCRIPTS = {  # name -> title of its section, and what it measures
    "peak": (
        "The machine's peak",
        "The fastest matrix products and convolutions in float32. Other sections compare with them.",
    ),
    "libraries": (
        "PGD and MI against torchattacks and foolbox",
        'All attack the same images with the same number of steps. "Same network" is the network that bench\n'
        'has optimised; "as trained" is the original one. Processor time, one thread.',
    ),
    "attack_speed": (
        "IR against the official implementation",
        "One step of IR. The official implementation is transcribed from the authors' code and attacks one\n"
        "image at a time. The first table of each network is processor time on one thread, the second is\n"
        "wall-clock time on all cores.",
    ),
    "lean": (
        "Optimising a network for attacks",
        "The gradient of 63 inputs after each optimisation that bench applies when it loads a network. The\n"
        "following tables measure the backward pass through first convolutions alone, and the memory\n"
        "settings of a worker. Processor time, one thread.",
    ),
    "bfloat16": (
        "Speed and outcomes with bfloat16",
        "With `--precision bfloat16`, attacks compute gradients in bfloat16; the results are evaluated in float32.\n"
        "`--precision auto` chooses bfloat16 where torch computes it with kernels for AMX or AVX512-BF16, or on an\n"
        "NVIDIA GPU from compute capability 8.0. A run's record, report and `bench show` name the choice and its\n"
        "reason. The default is float32.\n\n"
        "The first tables show what oneDNN reports of one gradient: the kernels, and the time of each part. Only\n"
        "convolutions gain. ReLUs, pooling, sums and casts do not, and bound what any processor can gain. Then come\n"
        "batch sizes and layouts side by side, steps of attacks, and the paired effect on success.\n\n"
        "Nothing here is measured on a processor with AMX. A gain of 3 was the aim for AMX; whether it is reached is\n"
        "not known. There, the kernels' names end in `amx` if torch uses its tiles, and the last line of each table\n"
        "of parts says how much a processor could gain whose convolutions take no time.",
    ),
    "ir_samples": (
        "How many samples IR needs",
        "Success of IR with fewer sampled sets a step than the paper's 32, drawn independently or disjointly, on\n"
        "the attacks of `transfer_table1`. The rule in the script's docstring, written before the first result,\n"
        "chose 8 disjoint sets for the embedded profile. On these 300 images IR with 32 sets gains 4.6 points over\n"
        "PGD in L-inf and 6.1 in L2, in the mean over sources. With two sets it loses most of them (3.1 and 4.9),\n"
        "with one set all. A first trial had looked only at ResNet-S and ResNet-L in L-inf, where two sets lose\n"
        "least.\n\n"
        "Disjoint sets are better than as many independent ones if there are 4 or 8, by 0.8 and 0.6 points over\n"
        "both norms; with 2 there is no difference. Theory promises little: between two disjoint sets, the part of\n"
        "the sampling error that is a sum over cells correlates by -0.14, the part that is due to pairs of cells\n"
        "by +0.02. 32 disjoint sets, on 100 images in a run of their own, are not distinguished from 32\n"
        "independent ones.",
    ),
    "batch_sizes": (
        "Batch sizes",
        "The gradient of 128 inputs (16 at 224 pixels), split into batches of several sizes. Processor time,\n"
        "one thread.",
    ),
    "compiled": (
        "torch.compile",
        "The gradient of 63 inputs through optimised networks, with and without `torch.compile`. Processor\n"
        "time, one thread.",
    ),
    "orders": (
        "Interactions of each order against the paper's sampling",
        "The paper samples 200 pairs with 100 contexts each. The first table gives how many times fewer\n"
        "forward passes bench needs for the same standard error, the second the speed of the metric\n"
        "relative to plain batches, the third its memory.",
    ),
    "table1": (
        "The first leaderboard, from nothing",
        "`bench run transfer_table1` with an empty store: the time to the first attack, to the first table and to the\n"
        "end. Its passes against two lower bounds: their multiplications at the speed of the fastest convolution,\n"
        "and their convolutions alone as torch computes them. Then IR as the suite has it against the official\n"
        "algorithm as published, one image at a time with 32 samples and 67 forwards, both on the whole machine.\n\n"
        "Three aims were set for two processors. The first table within 90 s: met, at 82 s. The end within\n"
        "about four minutes: missed, at 276 s. The official algorithm, its parameters not frozen, at least 50\n"
        "times as long as bench: missed, at 15 to 31 times. What stands in the way of both is the number of\n"
        "samples. IR with 2 sets a step is 3.1 times as fast as with 8, which would reach the first of these\n"
        "and, or nearly, the second. But it loses 4.9 points of success in L2, of the 6.1 that IR gains over\n"
        'PGD; 8 are the fewest within 1.5 points of 32 in both norms ("How many samples IR needs"). Beside\n'
        "that, little is left to save: convolutions alone, as torch computes them in float32, take 60% of the\n"
        "run's time. bfloat16 makes IR 1.3 to 1.6 times as fast, but finds other perturbations, so it is not\n"
        "the default. With 75 images it should end within four minutes; its intervals are 15% wider.",
    ),
    "suite_costs": (
        "The time of every suite",
        "Processor time of each suite with the embedded networks, from an empty store, and the time of the\n"
        "suite's own number of images on two processors that do nothing else.",
    ),
    "host": (
        "Overhead of planning, checking, storing and scoring",
        "PGD and IR with three targets, run by bench and by a bare loop that does none of these. Processor\ntime. "
        "The last row is bench without its checks of networks and attacks.",
    ),
    "jobs": (
        "What the host adds to a job",
        "PGD with one step on a network that does nothing, run by bench and by a bare loop. Jobs that go through\n"
        "an attack together, as they do on a GPU, share most of what the host does. What is added in the task\n"
        "includes the arithmetic of the checks on images, which a GPU does itself, and is not measured on a GPU.\n"
        "The driver is another process than the one that computes. It stores results while the worker is at its\n"
        "next task, which the worker has before it has finished one. The last column is how long a worker waits\n"
        "between two tasks.\n\n"
        "The aim was that the host adds 1% to a job of 0.2 ms, which is 2 us. It is met for the time that a device\n"
        "waits between two tasks, if 80 jobs go through an attack at once, but not if one or ten do. The driver then\n"
        "takes about as long for a job as the device. In processor time the aim is not met and cannot be: to write\n"
        "the rows of 5 images as JSON, without any check, address or digest, takes more than 10 us.\n\n"
        "Jobs that are computed together are stored as one file, which is flushed once (last line). Alone, the\n"
        "folder and the file of a job take longer than such a job.",
    ),
    "planner": (
        "Planning, and showing a finished suite",
        "The first table compares a plan of 100,000 cells with only computing their addresses, in processor\n"
        "time. The second is the wall-clock time of commands on a finished `transfer_table1`.",
    ),
    "store": (
        "The store",
        "Writing and reading the results of one job, against plain files and NumPy. Wall-clock time.",
    ),
    "start_up": (
        "Start-up",
        "The time of commands that need no tensors, and of the least that a first `bench run` can compute, against\n"
        "importing torch. `--against PATH` compares them with another checkout.",
    ),
    "memory": (
        "Memory",
        "The peak memory of PGD runs with different numbers of steps and images, and of workers with and without\n"
        "`--memory`. What a worker at 224 pixels holds is, beside torch and the networks, the activations of all\n"
        "inputs of one image's gradient: 65 for IR with 32 samples. With `--memory`, those that do not fit are\n"
        "computed again in the backward pass. The seconds include the start of the worker.",
    ),
    "workers": (
        "Scaling over workers",
        "The throughput of the attacks of one source, with workers that are already warm. Wall-clock time.",
    ),
}
INTRODUCTION = """\
`python -m benchmarks` wrote this page. A ratio is the median over several turns, with [quartiles].

All measurements are from a CPU; none is from a GPU. On a GPU, the same code moves networks and images to the device,
uses one GPU (with Ray, one or a fraction of one for each worker), computes gradients under autocast with `--precision
bfloat16`, halves batches that do not fit into memory, and keeps TF32 off. Tests exercise these code paths on a CPU
with stand-ins, and on a GPU where there is one. This page makes no claim about speed on a GPU; `python -m benchmarks
gpu` measures one ([gpu.md](gpu.md))."""


def run(name: str) -> str:
    """Run one script and return its output. Raises SystemExit if it fails."""
    start = time.monotonic()
    print(f"{name} ...", end=" ", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, text=True, stdout=subprocess.PIPE, check=False
    )
    print(f"{time.monotonic() - start:.0f} s", flush=True)
    if done.returncode:
        sys.exit(f"benchmarks: {name} failed (exit code {done.returncode})")
    return done.stdout.strip("\n")


def section(name: str, output: str) -> str:
    """Return the section of a script: its title, what it measures, the command and the output."""
    title, about = SCRIPTS[name]
    lines = f"## {title}\n\n{about}\n\n`python -m benchmarks.{name}`\n\n```text\n{output}\n```".splitlines()
    return "\n".join(line.rstrip() for line in lines)


def sections(page: str) -> dict[str, str]:
    """Return the sections of a page by the names of the scripts that wrote them."""
    found = {}
    for text in re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]:
        command = re.search(r"^`python -m benchmarks\.(\w+)", text, re.MULTILINE)
        if command:
            found[command[1]] = text.strip("\n")
    return found


def page(found: Mapping[str, str]) -> str:
    """Return the page; `found` is the section of each script, by name."""
    return "\n\n".join(["# Performance", INTRODUCTION, *(found[name] for name in SCRIPTS if name in found)]) + "\n"


def main() -> None:
    if sys.argv[1:2] == ["gpu"]:
        from benchmarks.gpu.command import main as measure_gpu

        measure_gpu(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"scripts to run: {', '.join(SCRIPTS)} (default: those that the page lacks)",
    )
    parser.add_argument("--again", action="store_true", help="run all scripts again")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in SCRIPTS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)} (known: {', '.join(SCRIPTS)})")
    found = sections(PAGE.read_text(encoding="utf-8")) if PAGE.is_file() else {}
    for name in SCRIPTS:
        if given.again or name in given.names or (not given.names and name not in found):
            found[name] = section(name, run(name))
            PAGE.write_text(page(found), encoding="utf-8")  # after each, so that a later failure loses nothing
    print(f"{PAGE.relative_to(ROOT)}: {len(found)} of {len(SCRIPTS)} scripts")


if __name__ == "__main__":
    main()
