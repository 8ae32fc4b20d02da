"""Point clouds: farthest points and regions against brute force, surfaces against areas, the network against loops."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench_core.clouds import farthest_points, regions
from bench_core.digests import digest
from bench_core.errors import UsageError
from bench_models.datasets.pixel_ids import pixel_ids
from bench_models.pointclouds.modelnet import ModelNet, read_off
from bench_models.pointclouds.network import PointNet2, SetAbstraction
from bench_models.pointclouds.shapes import SOLIDS, Shapes, make_shape, rotation
from bench_models.pointclouds.surfaces import as_cloud, revolve, sample_surface


def some_clouds(count: int = 4, points: int = 40) -> Tensor:
    return torch.rand(count, 3, points, 1, generator=torch.Generator().manual_seed(0))


def area(triangles: np.ndarray) -> float:
    sides = triangles[:, 1:] - triangles[:, :1]
    return float(np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1).sum() / 2)


# Farthest points and regions


def test_each_point_is_the_farthest_from_those_before_it() -> None:
    clouds = some_clouds()
    for cloud, chosen in zip(clouds.squeeze(-1).mT, farthest_points(clouds.squeeze(-1).mT, 12), strict=True):
        assert chosen[0] == (cloud - 0.5).norm(dim=1).argmax()
        for k in range(1, 12):
            nearest = [min((point - cloud[c]).norm().item() for c in chosen[:k]) for point in cloud]
            assert nearest[chosen[k]] == max(nearest)


def test_a_region_holds_the_points_nearest_to_its_centre() -> None:
    clouds = some_clouds()
    actual = regions(clouds, 7)
    for index, cloud in enumerate(clouds.squeeze(-1).mT):
        centres = cloud[farthest_points(cloud[None], 7)[0]]
        expected = [min(range(7), key=lambda r: (point - centres[r]).norm().item()) for point in cloud]
        assert actual[index].tolist() == expected
        assert set(expected) == set(range(7))
        assert torch.equal(regions(clouds[index : index + 1], 7)[0], actual[index])


# Surfaces


@pytest.mark.parametrize(
    ("profile", "sides", "expected"),
    [
        ([(0, -1), (1, -1), (1, 1), (0, 1)], 4, 2 * 2 + 4 * 2 * np.sqrt(2)),
        ([(0, 0), (1, 0), (0, np.sqrt(2))], 3, 4 * np.sqrt(3) * 3 / 4),  # a regular tetrahedron of side sqrt(3)
        ([(1, -1), (1, 1)], 2000, 4 * np.pi),
        ([(0, 0), (1, 0), (0, 1)], 2000, np.pi * (1 + np.sqrt(2))),
    ],
)
def test_a_solid_of_revolution_has_the_exact_area(profile: list, sides: int, expected: float) -> None:
    assert area(revolve(profile, sides)) == pytest.approx(expected, rel=1e-4)


def test_round_solids_have_the_exact_areas_approximately() -> None:
    rng = np.random.default_rng(0)
    assert area(SOLIDS["sphere"](rng)) == pytest.approx(4 * np.pi, rel=0.01)
    tube_radius = np.random.default_rng(1).uniform(0.2, 0.45)
    assert area(SOLIDS["torus"](np.random.default_rng(1))) == pytest.approx(4 * np.pi**2 * tube_radius, rel=0.01)


def test_points_are_sampled_by_area_and_lie_in_their_triangles() -> None:
    small, large = [(0, 0, 0), (1, 0, 0), (0, 1, 0)], [(0, 0, 5), (3, 0, 5), (0, 1, 5)]
    points = sample_surface(np.array([small, large], dtype=float), 4000, np.random.default_rng(0))
    on_large = points[:, 2] > 1
    assert on_large.mean() == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 4000))
    x, y = points[~on_large, 0], points[~on_large, 1]
    assert min(x.min(), y.min()) >= 0
    assert (x + y).max() <= 1
    assert x.mean() == pytest.approx(1 / 3, abs=0.03)  # the centre of gravity
    with pytest.raises(ValueError, match="no area"):
        sample_surface(np.zeros((2, 3, 3)), 5, np.random.default_rng(0))


def test_a_rotation_keeps_lengths_and_orientation() -> None:
    matrix = rotation(np.random.default_rng(3))
    assert np.allclose(matrix @ matrix.T, np.eye(3))
    assert np.linalg.det(matrix) == pytest.approx(1)
    mean = np.mean([rotation(np.random.default_rng(k)) for k in range(2000)], axis=0)
    assert np.abs(mean).max() < 0.06  # uniform: no direction is preferred


def test_a_cloud_fills_the_ball_in_the_cube() -> None:
    cloud = as_cloud(np.random.default_rng(0).standard_normal((50, 3)) * 7 + 3)
    assert cloud.shape == (3, 50, 1)
    assert np.allclose(cloud.mean(1), 0.5, atol=1e-4)
    assert np.linalg.norm(cloud - 0.5, axis=0).max() == pytest.approx(0.5, abs=1e-4)
    assert ((cloud * 2**16) % 1 == 0).all()


# The dataset of shapes


def test_a_shape_is_the_same_whatever_the_count() -> None:
    few, many = Shapes(12, 32), Shapes(30, 32)
    assert few.ids == many.ids[:12]
    assert np.array_equal(few.load(range(12)), many.load(range(12)))
    assert len(set(many.ids)) == 30
    assert not set(few.ids) & set(Shapes(12, 32, seed=1).ids)
    assert many.labels == [index % len(SOLIDS) for index in range(30)]
    assert few.load([3]).shape == (1, *few.shape)


def test_the_default_shapes_are_those_of_the_published_results() -> None:
    """Every machine generates them anew: another version of NumPy or another processor must not change them."""
    assert digest(list(Shapes().ids)) == "4bb238ff919e89fa1177636a94c7347b15a96e7867dcc5ff316a48b7506012ff"


@pytest.mark.parametrize("kind", SOLIDS)
def test_every_solid_makes_clouds_in_the_cube(kind: str) -> None:
    clouds = np.stack([make_shape(kind, 64, np.random.default_rng(k)) for k in range(10)])
    assert clouds.min() >= 0
    assert clouds.max() <= 1
    assert np.ptp(clouds, axis=0).min() > 0


# The network


def test_set_abstraction_equals_loops() -> None:
    torch.manual_seed(0)
    layer = SetAbstraction(5, 6, 0.3, (3 + 2, 8, 4)).eval()
    points, features = some_clouds(2).squeeze(-1).mT, torch.rand(2, 40, 2)
    centres, actual = layer(points, features)
    for index in range(2):
        for s, point in enumerate(farthest_points(points, 5)[index]):
            centre = points[index, point]
            assert torch.equal(centres[index, s], centre)
            ordered = sorted(range(40), key=lambda p: (points[index, p] - centre).norm().item())
            near = [p for p in ordered[:6] if (points[index, p] - centre).norm() <= 0.3]
            rows = torch.cat([(points[index, near] - centre) / 0.3, features[index, near]], 1)
            expected = layer.layers(rows.T[None, :, :, None]).amax((0, 2, 3))
            assert torch.allclose(actual[index, s], expected, atol=1e-5)


def test_the_order_of_the_points_and_the_batch_do_not_matter() -> None:
    torch.manual_seed(0)
    network, clouds = PointNet2(5).eval(), some_clouds(4, 80)
    logits = network(clouds)
    assert logits.shape == (4, 5)
    order = torch.randperm(80, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(network(clouds[:, :, order]), logits, atol=1e-5)
    assert torch.allclose(network(clouds[2:3]), logits[2:3], atol=1e-5)


def test_the_gradient_is_the_slope() -> None:
    torch.manual_seed(0)
    network, cloud = PointNet2(5).double().eval(), some_clouds(1, 80).double().requires_grad_(True)
    (gradient,) = torch.autograd.grad(network(cloud)[0, 1], cloud)
    direction = torch.randn_like(cloud)
    step = 1e-6 * direction
    with torch.no_grad():
        slope = (network(cloud + step) - network(cloud - step))[0, 1] / 2e-6
    assert slope.item() == pytest.approx((gradient * direction).sum().item(), rel=1e-4)


# ModelNet's files

SQUARE = "OFF\n5 2 0\n0 0 0\n2 0 0\n2 2 0\n0 2 0\n0 0 1\n4 0 1 2 3\n3 0 1 4\n"


def test_a_face_of_four_corners_is_two_triangles() -> None:
    for text in (SQUARE, SQUARE.replace("OFF\n", "OFF")):
        triangles = read_off(text)
        assert triangles.shape == (3, 3, 3)
        assert area(triangles) == pytest.approx(4 + 1)


@pytest.mark.parametrize(
    "text", ["", "PLY\n", "OFF\n5 2 0\n0 0 0\n", SQUARE.replace("4 0 1 2 3", "4 0 1 2 9"), "OFF a"]
)
def test_a_mesh_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    write_modelnet(tmp_path)
    broken = tmp_path / "bed" / "test" / "bed_0.off"
    broken.write_text(text)
    with pytest.raises(UsageError, match=r"bed_0\.off: cannot read the mesh"):
        ModelNet(str(tmp_path), points=8).load([0])


def write_modelnet(root: Path) -> None:
    for scale, name in enumerate(("bed", "chair"), 1):
        for split, count in (("train", 4), ("test", 2)):
            (root / name / split).mkdir(parents=True)
            for index in range(count):
                text = SQUARE.replace("0 0 1\n", f"0 {index} {scale}\n")
                (root / name / split / f"{name}_{index}.off").write_text(text)


def test_modelnet_is_read_from_its_folders(tmp_path: Path) -> None:
    write_modelnet(tmp_path)
    data = ModelNet(str(tmp_path), points=32)
    assert data.classes == ("bed", "chair")
    assert data.labels == [0, 0, 1, 1]
    assert data.shape == (3, 32, 1)
    clouds = data.load([0, 3])
    assert clouds.shape == (2, 3, 32, 1)
    assert np.array_equal(clouds[1], ModelNet(str(tmp_path), points=32, per_class=2).load([3])[0])
    assert (
        len({*data.ids, *ModelNet(str(tmp_path), points=16).ids, *ModelNet(str(tmp_path), points=32, seed=1).ids}) == 12
    )
    assert len(ModelNet(str(tmp_path), "train", per_class=1).labels) == 2
    assert not np.array_equal(ModelNet(str(tmp_path), points=32, seed=1).load([0]), clouds[:1])


def test_an_id_of_modelnet_is_the_digest_of_the_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the digest of the options: if the code changes the clouds, the ids change."""
    write_modelnet(tmp_path)
    data = ModelNet(str(tmp_path), points=32)
    assert list(data.ids) == pixel_ids(data.load, 4)
    monkeypatch.setattr("bench_models.pointclouds.modelnet.as_cloud", lambda points: as_cloud(points) / 2)
    assert not set(data.ids) & set(ModelNet(str(tmp_path), points=32).ids)


def test_an_id_of_modelnet_reads_only_its_own_mesh(tmp_path: Path) -> None:
    write_modelnet(tmp_path)
    data = ModelNet(str(tmp_path), points=32)
    for file in data.files[1:]:
        file.unlink()
    assert data.ids[0] == data.ids[-4] == data.ids[:1][0]
    with pytest.raises(UsageError, match=r"bed_1\.off: cannot read the mesh"):
        data.ids[1]


def test_triangles_are_read_like_any_faces() -> None:
    head = "0 0 0\n1 0 0\n1 1 0\n0 1 1\n"
    triangles = read_off(f"OFF\n4 2 0\n{head}3 0 1 2\n3 0 2 3\n")
    assert np.array_equal(triangles, read_off(f"OFF\n4 1 0\n{head}4 0 1 2 3\n"))


def test_a_cloud_of_shapes_has_its_digest_as_id() -> None:
    data = Shapes(5, 16)
    assert data.ids == [hashlib.sha256(cloud.astype("<f4").tobytes()).hexdigest() for cloud in data.load(range(5))]


def test_missing_meshes_are_reported_with_their_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_DATA", raising=False)
    with pytest.raises(UsageError, match="no folder of meshes is given"):
        ModelNet()
    with pytest.raises(UsageError, match=f"no meshes {tmp_path}/<class>/test/"):
        ModelNet(str(tmp_path))
