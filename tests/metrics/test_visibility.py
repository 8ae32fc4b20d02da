"""How visible a perturbation is: SSIM, PSNR, CIEDE2000 and distances, against scikit-image and published numbers."""

import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import Tensor

from bench_core.errors import ContractError
from bench_core.types import Examples
from bench_metrics.ciede2000 import ColourDifference, ciede2000
from bench_metrics.distances import Distances
from bench_metrics.lpips import SMALLEST, WEIGHTS, PerceptualSimilarity, network
from bench_metrics.psnr import PeakSignalToNoise
from bench_metrics.shared.colour import lab
from bench_metrics.ssim import StructuralSimilarity

skimage_color = pytest.importorskip("skimage.color")
skimage_metrics = pytest.importorskip("skimage.metrics")

# Table 1 of Sharma, Wu and Dalal (2005): two colours in CIELAB and their difference
PUBLISHED = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
    ((50, 2.8361, -74.0200), (50, 0, -82.7485), 3.4412),
    ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (50, 3.1736, 0.5854), 1.0000),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


def pairs(channels: int, side: int = 13, count: int = 4) -> tuple[Examples, Tensor]:
    """Images with black, white and grey areas, and images near to them; the last one is unchanged."""
    generator = torch.Generator().manual_seed(channels)
    clean = torch.rand(count, channels, side, side + 2, generator=generator)
    clean[:, :, :3], clean[:, :, 3:5], clean[:, :, 5:6] = 0, 1, 0.5
    changed = (clean + 0.1 * torch.randn(clean.shape, generator=generator)).clamp(0, 1)
    changed[-1] = clean[-1]
    return Examples(clean, torch.zeros(count, dtype=torch.long), tuple("abcd")), changed


def hwc(image: Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).double().numpy()


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_that_of_scikit_image(channels: int) -> None:
    clean, changed = pairs(channels)
    found = StructuralSimilarity().observe(clean, changed)["mean"]
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    expected = [
        skimage_metrics.structural_similarity(hwc(a), hwc(b), channel_axis=2, **settings)
        for a, b in zip(clean.images, changed, strict=True)
    ]
    assert found.tolist() == pytest.approx(expected, abs=1e-9)
    assert found[-1] == pytest.approx(1)
    assert found[0] < 0.97


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_is_that_of_scikit_image_and_leaves_out_unchanged_images(channels: int) -> None:
    clean, changed = pairs(channels)
    ratio = PeakSignalToNoise().observe(clean, changed)["ratio"]
    expected = [
        skimage_metrics.peak_signal_noise_ratio(hwc(a), hwc(b), data_range=1.0)
        for a, b in zip(clean.images[:-1], changed[:-1], strict=True)
    ]
    assert ratio[:-1].tolist() == pytest.approx(expected, abs=1e-9)
    scores = {score.name: score for score in PeakSignalToNoise().summarise({"ratio": ratio.numpy()})}
    assert scores["mean"].value == pytest.approx(np.mean(expected))
    assert (scores["mean"].n, scores["unchanged"].value) == (3, 0.25)


@pytest.mark.parametrize("channels", [1, 3])
def test_ciede2000_is_that_of_scikit_image(channels: int) -> None:
    clean, changed = pairs(channels)
    found = ColourDifference().observe(clean, changed)
    for row, (a, b) in enumerate(zip(clean.images, changed, strict=True)):
        first, second = (skimage_color.rgb2lab(np.broadcast_to(hwc(x), (*x.shape[1:], 3))) for x in (a, b))
        expected = skimage_color.deltaE_ciede2000(first, second)
        assert float(found["mean"][row]) == pytest.approx(expected.mean(), abs=1e-4)  # its threshold of L* is rounded
        assert float(found["largest"][row]) == pytest.approx(expected.max(), abs=1e-3)


def test_colours_are_those_of_scikit_image() -> None:
    images = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    for image, found in zip(images, lab(images), strict=True):
        assert np.allclose(found.permute(1, 2, 0).numpy(), skimage_color.rgb2lab(hwc(image)), atol=1e-6)


@pytest.mark.parametrize(("first", "second", "difference"), PUBLISHED)
def test_ciede2000_of_the_published_pairs(first: tuple, second: tuple, difference: float) -> None:
    a, b = (torch.tensor(colour, dtype=torch.float64).view(1, 3, 1) for colour in (first, second))
    assert round(float(ciede2000(a, b)), 4) == difference
    assert round(float(ciede2000(b, a)), 4) == difference


@pytest.mark.parametrize("channels", [1, 3])
def test_distances_by_hand(channels: int) -> None:
    clean = Examples(torch.full((2, channels, 2, 2), 0.5), torch.zeros(2, dtype=torch.long), ("a", "b"))
    changed = clean.images.clone()
    changed[0, 0, 0, 0] += 0.3
    changed[0, -1, 0, 1] -= 0.4
    changed[0, 0, 1, 1] += 1e-7  # the rounding of float32, no change
    found = Distances().observe(clean, changed)
    assert found["linf"].tolist() == pytest.approx([0.4, 0])
    assert found["l2"].tolist() == pytest.approx([0.5, 0], abs=1e-6)
    assert found["l0"].tolist() == [2, 0]
    scores = {score.name: score for score in Distances().summarise({key: row.numpy() for key, row in found.items()})}
    assert scores["l0"].value == 1
    assert scores["l0"].per_image is not None
    assert scores["l2"].low <= scores["l2"].value <= scores["l2"].high


@pytest.mark.parametrize("metric", [StructuralSimilarity(), PeakSignalToNoise(), ColourDifference()])
def test_what_is_no_picture_is_rejected(metric: StructuralSimilarity) -> None:
    assert metric.check((3, 32, 32)) is None
    assert metric.check((1, 28, 28)) is None
    assert "2 channels" in str(metric.check((2, 32, 32)))
    assert "point clouds" in str(metric.check((3, 1024, 1)))


def test_ssim_needs_room_for_its_window() -> None:
    assert "10 x 28" in str(StructuralSimilarity().check((1, 10, 28)))
    assert StructuralSimilarity().check((1, 11, 11)) is None


def test_lpips_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert 'try pip install "adversarial-bench[lpips]"' in str(PerceptualSimilarity().check((3, 64, 64)))


def test_lpips_without_weights_is_refused_before_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    assert f"alexnet-owt-7be5be79.pth into {folder}" in str(PerceptualSimilarity().check((3, 64, 64)))
    folder.mkdir(parents=True)
    (folder / "alexnet-owt-7be5be79.pth").touch()
    assert PerceptualSimilarity().check((3, 64, 64)) is None


def test_lpips_compares_rgb_images_in_minus_one_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in of the package."""

    class Lpips(torch.nn.Module):
        def __init__(self, net: str, verbose: bool) -> None:
            super().__init__()
            assert net == "vgg"

        def forward(self, first: Tensor, second: Tensor) -> Tensor:
            assert first.shape[1] == second.shape[1] == 3
            assert first.amin() == -1
            assert first.amax() == 1
            return (first - second).abs().mean((1, 2, 3), keepdim=True)

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=Lpips, __spec__=SimpleNamespace()))
    network.cache_clear()
    clean, changed = pairs(1, side=32)
    found = PerceptualSimilarity("vgg").observe(clean, changed)["mean"]
    network.cache_clear()
    assert torch.allclose(found, 2 * (clean.images - changed).abs().mean((1, 2, 3)))


def test_lpips_without_the_weights_of_its_network_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(**_options: object) -> None:
        raise URLError("no connection")

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=offline, __spec__=SimpleNamespace()))
    network.cache_clear()
    named = r"\(no connection\) \(try to put torchvision's alexnet-owt-7be5be79\.pth into"
    with pytest.raises(ContractError, match=named):
        PerceptualSimilarity().observe(*pairs(3, side=32))


@pytest.mark.parametrize(
    ("net", "name", "layers"), [("alex", "alexnet", 12), ("vgg", "vgg16", 30), ("squeeze", "squeezenet1_1", 13)]
)
def test_the_networks_of_lpips_have_these_weights_and_accept_the_smallest_images(net, name, layers: int) -> None:
    """The package takes the first layers of torchvision's networks, with torchvision's default weights."""
    models = pytest.importorskip("torchvision.models")
    assert models.get_model_weights(name).DEFAULT.url.endswith(f"/{WEIGHTS[net]}")
    with torch.no_grad():
        assert models.get_model(name).features[:layers](torch.zeros(1, 3, SMALLEST, SMALLEST)).numel()
