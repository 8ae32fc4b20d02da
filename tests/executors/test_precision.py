"""`--precision auto` chooses by the kernels that torch uses, and the run's record has the choice with its reason."""

import json
import sys
from pathlib import Path

import pytest
import torch

from bench_core import run
from bench_core.cli import main
from bench_core.errors import UsageError
from bench_core.executors import precision
from bench_core.executors.onednn import executions
from bench_core.executors.precision import choose, find_precision, probe
from bench_core.registry import Registry
from bench_core.runs.load import load_result
from bench_core.runs.record import read_record

LINE = "onednn_verbose,v1,primitive,exec,cpu,convolution,{},{},src:bf16::blocked:acdb::f0 wei:bf16:a:::f0,,,mb64,0.25"


def printed(forward: str, backward: str) -> str:
    """Return what oneDNN prints of a gradient: its version, a reorder, a nested primitive and two convolutions."""
    return "\n".join(
        [
            "onednn_verbose,v1,info,cpu,isa:Intel AVX-512 with Intel DL Boost and bfloat16 support",
            "onednn_verbose,v1,primitive,exec,cpu,reorder,jit:uni,undef,src:bf16::blocked:acdb::f0,,,32x32x3x3,0.004",
            LINE.format("brg_conv_fwd:avx512_core", "forward_training").replace("exec", "create_nested:cache_miss"),
            LINE.format(forward, "forward_training"),
            LINE.format(backward, "backward_data"),
        ]
    )


@pytest.mark.parametrize(
    ("forward", "backward", "chosen", "reason"),
    [
        ("brg_conv_fwd:avx512_core_bf16", "brg_conv_bwd:avx512_core_bf16+brg_conv_fwd:avx512_core_bf16", "bfloat16",
         "the processor has AVX512-BF16"),
        ("brg_conv_fwd:avx10_1_512_amx", "brgconv_strided:avx512_core_amx", "bfloat16", "the processor has AMX"),
        ("brg_conv_fwd:avx10_1_512_amx", "brgconv_strided:avx10_1_512", "bfloat16",
         "the processor has AMX and AVX512-BF16"),
        ("jit_bf16:avx512_core", "jit_bf16:avx512_core", "float32",
         "torch would compute bfloat16 with jit_bf16:avx512_core"),
        ("brg_conv_fwd:avx512_core_bf16", "ref:any", "float32", "torch would compute bfloat16 with ref:any"),
        ("brg_conv_fwd:avx512_core_bf16", "brg_conv_bwd:avx512_core_bf16+jit_bf16:avx512_core", "float32",
         "torch would compute bfloat16 with brg_conv_bwd:avx512_core_bf16+jit_bf16:avx512_core"),
    ],
)  # fmt: skip
def test_fast_kernels_both_ways_decide(forward: str, backward: str, chosen: str, reason: str) -> None:
    found = choose("cpu", printed(forward, backward))
    assert (found.precision, found.reason) == (chosen, reason)


@pytest.mark.parametrize(
    "text", ["", "a plugin's banner\nonednn_verbose,v1,primitive,exec,cpu,convolution", "onednn_verbose,exec"]
)
def test_without_kernels_of_onednn_float32_is_chosen(text: str) -> None:
    assert choose("cpu", text).precision == "float32"


@pytest.mark.parametrize(
    ("text", "chosen", "reason"),
    [
        ("capability 9 0\n", "bfloat16", "the GPU has compute capability 9.0"),
        (
            "capability 7 5\n",
            "float32",
            "the GPU has compute capability 7.5, and bfloat16 needs 8.0",
        ),
        ("", "float32", "the capability of the GPU is unknown"),
        ("capability of cuda\n", "float32", "the capability of the GPU is unknown"),
    ],
)
def test_a_gpu_is_judged_by_its_compute_capability(text: str, chosen: str, reason: str) -> None:
    found = choose("cuda:1", text)
    assert (found.precision, found.reason) == (chosen, reason)


def test_a_named_number_type_is_taken_without_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "probe", lambda *_: pytest.fail("probed"))
    assert find_precision("bfloat16", "cpu").precision == "bfloat16"
    assert find_precision("float32", "cuda", remote=True).reason == ""
    assert find_precision("auto", "mps").precision == "float32"


def test_auto_is_refused_where_workers_may_have_other_processors() -> None:
    with pytest.raises(UsageError, match=r'--precision: found "auto", but the workers .* \(try float32, bfloat16\)$'):
        find_precision("auto", "cpu", remote=True)


def test_the_probe_prints_the_kernels_that_torch_uses_here() -> None:
    """Where torch has oneDNN, its lines say the same as torch's own support for bfloat16."""
    found = [item for item in executions(probe("cpu", 1)) if item.primitive == "convolution"]
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("oneDNN has no bfloat16 on this machine")
    assert {item.direction.partition("_")[0] for item in found} == {"forward", "backward"}
    assert all("bf16" in item.tensors and item.seconds >= 0 for item in found)


def test_a_probe_that_fails_prints_nothing() -> None:
    assert probe("cuda:99", 1) == ""


def test_bytes_that_are_no_text_do_no_harm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\nimport sys\nsys.stdout.buffer.write(b'\\xff\\n')\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert choose("cpu", probe("cpu", 1)).precision == "float32"


@pytest.mark.parametrize("kernel", ["avx512_core_bf16", "avx512_core"])
def test_the_record_names_what_was_chosen(
    kernel: str, registry: Registry, write_suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "probe", lambda *_: printed(f"brg_conv_fwd:{kernel}", f"brg_conv_bwd:{kernel}"))
    options = {"registry": registry, "executor": "inline", "device": "cpu"}
    result = run(write_suite(), out=tmp_path / "auto", precision="auto", **options)
    chosen = {"avx512_core_bf16": "bfloat16", "avx512_core": "float32"}[kernel]
    record = read_record(result.folder)
    assert record.environment["dtype"] == chosen
    assert record.environment["precision"].startswith(f"{chosen} (auto: ")
    note = f"the attacks' gradients: {record.environment['precision']}"
    assert [note] == record.notes == [*result.notes] == [*load_result(result.folder, registry).notes]
    assert ("--precision bfloat16" in record.reproduce) == (chosen == "bfloat16")
    shown = f"the attacks' gradients were computed in {chosen} (--precision)"
    for found in (result, load_result(result.folder, registry)):
        assert (shown in found.tables[0].notes) == (chosen != "float32")
    named = run(write_suite(), out=tmp_path / "named", precision=chosen, **options)
    rows = [(tmp_path / name).rglob("rows.safetensors") for name in ("auto", "named")]
    assert [path.read_bytes() for path in rows[0]] == [path.read_bytes() for path in rows[1]]
    assert "precision" not in read_record(named.folder).environment


def test_bench_show_prints_the_choice(registry: Registry, write_suite, tmp_path: Path, capsys) -> None:
    folder = run(write_suite(), out=tmp_path, registry=registry, executor="inline", precision="bfloat16").folder
    with pytest.raises(SystemExit) as ended:
        main(["show", str(folder)])
    assert ended.value.code == 0
    assert "bench: the attacks' gradients: bfloat16\n" in capsys.readouterr().err
    file = folder / "run.json"
    facts = json.loads(file.read_text())
    del facts["notes"]  # as in a record of an earlier bench
    file.write_text(json.dumps(facts))
    assert read_record(folder).notes == []
