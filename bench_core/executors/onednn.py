"""Reads what oneDNN prints with ONEDNN_VERBOSE=1: which kernel computes each primitive, and for which instructions.

A line of a convolution (https://uxlfoundation.github.io/oneDNN/dev_guide_verbose.html):

    onednn_verbose,v1,primitive,exec,cpu,convolution,brg_conv_fwd:avx512_core_bf16,forward_training,src:bf16:...,0.043
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Part of the name of an instruction set -> the feature of the processor that computes with bfloat16. The first fits.
FEATURES = {"amx": "AMX"} | dict.fromkeys(("avx512_core_bf16", "avx512_core_fp16", "avx10"), "AVX512-BF16")


@dataclass(frozen=True)
class Execution:
    """A primitive that oneDNN has executed.

    Attributes:
        primitive: What was computed, such as `convolution`.
        kernel: The implementation, such as `brg_conv_fwd:avx512_core_bf16`.
        direction: `forward_inference`, `forward_training`, `backward_data`, ...
        tensors: The types and layouts of the tensors.
        seconds: How long it took.
    """

    primitive: str
    kernel: str
    direction: str
    tensors: str
    seconds: float

    @property
    def instruction_sets(self) -> list[str]:
        """The instruction set of each kernel that takes part: `a:avx512_core+b:avx512_core` names two."""
        return [part.partition(":")[2] for part in self.kernel.split("+")]

    @property
    def feature(self) -> str:
        """The feature of the processor that computes with bfloat16 here; empty if a kernel needs none."""
        found = [
            next((feature for part, feature in FEATURES.items() if part in name), "") for name in self.instruction_sets
        ]
        return found[0] if all(found) else ""


def executions(text: str) -> Iterator[Execution]:
    """Yield the executed primitives in oneDNN's output; other lines are skipped."""
    for line in text.splitlines():
        fields = line.split(",")
        if not line.startswith("onednn_verbose") or "exec" not in fields:
            continue
        rest = fields[fields.index("exec") + 2 :]  # after exec and the engine
        if len(rest) < 5:
            continue
        primitive, kernel, direction, tensors = rest[:4]
        try:
            yield Execution(primitive, kernel, direction, tensors, float(rest[-1]) / 1000)
        except ValueError:
            continue
