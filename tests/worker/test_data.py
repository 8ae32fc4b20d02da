"""What datasets and the outputs of networks must satisfy; labels and targets reach everything that depends on them."""

import numpy as np
import pytest
import torch
from torch import nn

from bench_core.errors import UsageError
from bench_core.hookspecs import hookimpl
from bench_core.planning.jobs import Batch
from bench_core.planning.planner import clean_jobs, selected_jobs
from bench_core.planning.selection import first_images
from bench_core.planning.specs import DatasetSpec
from bench_core.registry import Origin
from bench_core.run_suite import resolve_suite, run
from bench_core.suite.load import load_suite
from bench_core.types import AttackRecipe, DataRecipe, ModelRecipe
from bench_core.worker.loading import Loader

from ..toys import CLASSES, ToyImages, toy_network


class Altered(ToyImages):
    """The toy images, altered in one way."""

    def __init__(self, how: str = "nothing") -> None:
        super().__init__()
        match how:
            case "outside":
                self.pixels = self.pixels * 255
            case "rounded":
                self.pixels = self.pixels.copy()
                self.pixels[0, 0, 0, :2] = -1e-8, 1 + 1e-6
            case "nan":
                self.pixels = self.pixels * np.nan
            case "double":
                self.pixels = self.pixels.astype(np.float64)
            case "other labels":
                self.labels = [(label + 1) % CLASSES for label in self.labels]
            case "no class":
                self.labels = [label - 1 for label in self.labels]
            case "too many classes":
                self.labels = [label + 9 for label in self.labels]
            case "targets":
                self.targets = [(label + 2) % CLASSES for label in self.labels]
            case "one target is the label":
                self.targets = [(label + (place != 6)) % CLASSES for place, label in enumerate(self.labels)]
            case "a target is too large":
                self.targets = [
                    (label + 1) % CLASSES + CLASSES * (place == 6) for place, label in enumerate(self.labels)
                ]
            case "a target is negative":
                self.targets = [
                    (label + 1) % CLASSES - CLASSES * (place == 6) for place, label in enumerate(self.labels)
                ]
            case "targets are too few":
                self.targets = [(label + 1) % CLASSES for label in self.labels][:-1]


class Strange(nn.Module):
    """A network whose outputs are no logits."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.inner = how, toy_network(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.inner(images)
        return logits * torch.nan if self.how == "nan" else logits[:, :, None]


class Offering:
    """Offers both, and an attack that records the labels and targets that it is given."""

    def __init__(self) -> None:
        self.seen: list[tuple[list[int], list[int] | None]] = []

    @hookimpl
    def bench_datasets(self):
        return {"altered": DataRecipe(Altered, "altered")}

    @hookimpl
    def bench_models(self):
        return {"strange": ModelRecipe(Strange, lambda how: {"how": how}, "strange")}

    @hookimpl
    def bench_attacks(self):
        def build(budget):
            def attack(model, examples, rng):
                targets = None if examples.targets is None else examples.targets.tolist()
                self.seen.append((examples.labels.tolist(), targets))
                yield examples.images.clone()

            return attack

        return {"watching": AttackRecipe(build, "watches")}


@pytest.fixture
def offering(registry) -> Offering:
    plugin = Offering()
    registry.register(plugin, Origin("offering", "tests", "1", "offering-source"))
    return plugin


def on(how: str) -> tuple[str, str]:
    return ('kind = "toy_images"', f'kind = "altered"\nhow = "{how}"')


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("outside", r"data: the images are from [\d.]+ to 25\d[\d.]*, not in \[0, 1\]"),
        ("nan", "not in"),
        ("double", "float64"),
        ("no class", "found the class -1"),
        ("too many classes", r"models\.A: the network has 3 classes, the data have the class 1\d"),
    ],
)
def test_implausible_images_stop_a_run(how: str, message: str, offering, registry, write_suite, tmp_path) -> None:
    with pytest.raises(UsageError, match=message):
        run(write_suite(on(how)), out=tmp_path, registry=registry, executor="inline")
    assert not offering.seen


def test_images_outside_by_a_rounding_are_clipped(offering, registry) -> None:
    data = Altered("rounded")
    batch = Batch(DatasetSpec("altered", {"how": "rounded"}), (0, 1), tuple(data.ids[:2]), tuple(data.labels[:2]), None)
    images = Loader(registry).examples(batch, "cpu").images
    assert (images[0].amin(), images[0].amax()) == (0, 1)


@pytest.mark.parametrize(("how", "message"), [("nan", "NaN or infinite outputs"), ("shape", r"shape \(20, 3, 1\)")])
def test_outputs_that_are_no_logits_stop_a_run(how, message, offering, registry, write_suite, tmp_path) -> None:
    suite = write_suite(('"A" = { recipe = "toy", seed = 1 }', f'"A" = {{ recipe = "strange", how = "{how}" }}'))
    with pytest.raises(UsageError, match=rf"models\.A: found .*{message}"):
        run(suite, out=tmp_path, registry=registry, executor="inline")


def test_other_labels_of_the_same_images_are_other_results(offering, registry, write_suite) -> None:
    def addresses(how: str) -> set[str]:
        resolved = resolve_suite(load_suite(write_suite(on(how))), registry)
        return {job.address for job in [*clean_jobs(resolved), *selected_jobs(resolved, first_images(resolved))]}

    assert addresses("nothing") == addresses("nothing")
    assert not addresses("nothing") & addresses("other labels")
    assert addresses("nothing") == addresses("targets"), "no untargeted attack uses them"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("one target is the label", "data: image 7 of the dataset, counted from 1: its own class as the target class"),
        ("a target is negative", "data: image 7 of the dataset, counted from 1: a negative target class"),
        ("targets are too few", "data: found 19 target classes for 20 images"),
        ("a target is too large", r"data: image 7 of the dataset, counted from 1, has the target class \d, but A has"),
    ],
)
@pytest.mark.parametrize("stored", [False, True])
def test_targets_that_no_attack_can_aim_at_stop_a_run(
    how: str, message: str, stored: bool, offering, registry, write_suite, tmp_path
) -> None:
    """Before any attack, also where the predictions are in the store; without targeted attacks they do no harm."""
    changes = on(how), ('{ recipe = "pgd" }', '{ recipe = "watching" }')
    if stored:
        run(write_suite(*changes), out=tmp_path, registry=registry, executor="inline")
        offering.seen.clear()
    suite = write_suite(*changes, ('title = "toy"', 'title = "toy"\ntargeted = true'))
    with pytest.raises(UsageError, match=message.replace("A has", r"(source )?[AB+]+ has")):
        run(suite, out=tmp_path, registry=registry, executor="inline")
    assert len(offering.seen) <= 2, "the batch before the one of the wrong target, of each source"


@pytest.mark.parametrize("targeted", [True, False])
def test_a_datasets_targets_are_what_a_targeted_attack_aims_at(
    targeted, offering, registry, write_suite, tmp_path
) -> None:
    changes = on("targets"), ('{ recipe = "pgd" }', '{ recipe = "watching" }')
    suite = write_suite(*changes, ('title = "toy"', f'title = "toy"\ntargeted = {str(targeted).lower()}'))
    run(suite, out=tmp_path, registry=registry, executor="inline")
    assert len(offering.seen) == 6
    for labels, targets in offering.seen:
        assert targets == ([(label + 2) % CLASSES for label in labels] if targeted else None)
