"""Devices are found without torch. The device and the number type change attacks only by rounding."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bench_core import run
from bench_core.errors import UsageError
from bench_core.executors import devices
from bench_core.registry import Registry

from ..toys import toy_network


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Return a function that simulates a machine with a GPU of some vendor, or with none."""

    def pretend(vendor: str | None) -> None:
        monkeypatch.setattr(devices, "NVIDIA", ("/",) if vendor == "nvidia" else ())
        monkeypatch.setattr(devices, "GPUS", tmp_path / "gpus")
        monkeypatch.setattr(devices.shutil, "which", lambda _name: None)
        system = ("Darwin", "arm64") if vendor == "apple" else ("Linux", "x86_64")
        monkeypatch.setattr(devices.platform, "system", lambda: system[0])
        monkeypatch.setattr(devices.platform, "machine", lambda: system[1])

    return pretend


@pytest.mark.parametrize(
    ("vendor", "wanted", "found"),
    [
        (None, "auto", "cpu"), ("apple", "auto", "cpu"), ("nvidia", "auto", "cuda"), ("nvidia", "cpu", "cpu"),
        ("nvidia", "cuda:3", "cuda:3"), ("apple", "mps", "mps"),
    ],
)  # fmt: skip
def test_a_device_is_found(machine, vendor: str | None, wanted: str, found: str) -> None:
    machine(vendor)
    assert devices.find_device(wanted) == found


@pytest.mark.parametrize(
    ("vendor", "wanted", "why"),
    [
        (None, "cuda", "no NVIDIA driver"), ("apple", "cuda:1", "no NVIDIA driver"), ("nvidia", "mps", "no Apple GPU"),
        ("nvidia", "gpu", "try auto"), ("nvidia", "cuda:x", "try auto"),
    ],
)  # fmt: skip
def test_a_missing_device_is_a_mistake_of_the_user(machine, vendor: str | None, wanted: str, why: str) -> None:
    machine(vendor)
    with pytest.raises(UsageError, match=why):
        devices.find_device(wanted)


def test_a_gpu_number_beyond_the_last_is_a_mistake_of_the_user(machine, tmp_path: Path) -> None:
    machine("nvidia")
    for place in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "gpus" / place).mkdir(parents=True)
    assert devices.find_device("cuda:1") == "cuda:1"
    with pytest.raises(UsageError, match=r'--device: found "cuda:9", but the last GPU here is cuda:1$'):
        devices.find_device("cuda:9")
    assert devices.find_device("cuda:9", remote=True) == "cuda:9"


def test_a_device_of_remote_workers_may_be_missing_here(machine) -> None:
    machine(None)
    assert devices.find_device("cuda", remote=True) == "cuda"


OBSERVED = ("[metrics]", '[metrics]\npictures = { recipe = "pictures" }')


def test_bfloat16_attacks_differ_and_are_evaluated_in_float32(registry: Registry, write_suite, tmp_path) -> None:
    suite = write_suite(OBSERVED, ('norm = "linf"', 'norm = "l2"'))
    short, full = (
        run(suite, out=tmp_path, registry=registry, executor="inline", precision=precision, device="cpu")
        for precision in ("bfloat16", "float32")
    )
    images = {
        name: result.arrays("pictures", source="A", attack="PGD")["adversarial"]
        for name, result in (("bfloat16", short), ("float32", full))
    }
    assert not np.array_equal(images["bfloat16"], images["float32"])
    assert np.allclose(images["bfloat16"], images["float32"], atol=0.05)
    logits = toy_network(2)(torch.from_numpy(images["bfloat16"]))
    fooled = short.arrays("transfer", source="A", attack="PGD", target="B")["fooled"][:, -1]
    assert np.array_equal(fooled, (logits.argmax(1).numpy() != truth(short)))


def truth(result) -> np.ndarray:
    """Return the labels of the attacked toy images."""
    return np.array(result.selected) % 3


@pytest.mark.needs_gpu
@pytest.mark.parametrize("parts", [[], ["vr"], ["mi", "ti"], ["ir"]])
def test_a_gpu_equals_the_cpu_up_to_rounding(registry: Registry, write_suite, tmp_path, parts) -> None:
    options = ", grid = 2, cells = 2" if "ir" in parts else ""
    chosen = f"{{ parts = {['pgd', *parts]}{options} }}"
    suite = write_suite(OBSERVED, ('{ recipe = "pgd" }', chosen), ('norm = "linf"', 'norm = "l2"'))
    on = {
        device: run(suite, out=tmp_path, registry=registry, executor="inline", device=device).arrays(
            "pictures", source="A", attack="PGD"
        )["adversarial"]
        for device in ("cpu", "cuda")
    }
    assert np.allclose(on["cpu"], on["cuda"], atol=1e-4)
