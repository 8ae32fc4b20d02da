"""What this package offers to bench. Networks are imported when one is built, not to describe it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from bench_core.hookspecs import hookimpl
from bench_core.types import DataRecipe, ModelRecipe

from . import smoothing
from .datasets import cifar
from .datasets.imagefolder import ImageFolder
from .datasets.imagelist import ImageList
from .datasets.npz import NpzImages
from .embedded import recipe as embedded
from .libraries import checkpoint
from .libraries import torchvision as torchvision_models
from .pointclouds import recipe as pointclouds
from .pointclouds.modelnet import ModelNet
from .pointclouds.shapes import Shapes

if TYPE_CHECKING:
    from bench_core.types import Model


STANDARD, NOISE = ({"recipe": "embedded", "name": name} for name in ("ResNet-S", "ResNet-S-noise"))


def build_ensemble(members: Sequence[Any], combine: Literal["logits", "probabilities", "losses"]) -> Model:
    from .ensemble import Ensemble

    return Ensemble(members, combine)


def ensemble_identity(members: Sequence[Any], combine: str) -> Mapping[str, Any]:
    return {"members": list(members), "combine": combine}


@hookimpl
def bench_models() -> Mapping[str, ModelRecipe]:
    return {
        "embedded": ModelRecipe(
            embedded.build,
            embedded.identity,
            f"Small networks on 28 x 28 images: {', '.join(embedded.names())}.",
            examples=[{"name": name} for name in embedded.names()],
            card=embedded.claims,
        ),
        "torchvision": ModelRecipe(
            torchvision_models.build,
            torchvision_models.identity,
            "Torchvision's networks, from its own cache.",
            files=torchvision_models.files,
        ),
        "checkpoint": ModelRecipe(
            checkpoint.build,
            checkpoint.identity,
            "An architecture of torchvision, timm or robustbench with weights of one's own.",
            files=checkpoint.files,
        ),
        "ensemble": ModelRecipe(
            build_ensemble,
            ensemble_identity,
            "Several networks attacked as one.",
            ("members",),
            examples=[{"members": [STANDARD, NOISE], "combine": way} for way in ("logits", "probabilities", "losses")],
        ),
        "pointcloud": ModelRecipe(
            pointclouds.build,
            pointclouds.identity,
            f"Networks on point clouds: {', '.join(pointclouds.zoo().names())}; or a folder of one's own.",
            examples=[{"name": name} for name in pointclouds.zoo().names()],
        ),
        "smoothed": ModelRecipe(
            smoothing.build,
            smoothing.identity,
            "A network under Gaussian noise: randomized smoothing.",
            ("base",),
            examples=[{"base": NOISE, "sigma": 0.25, "n": 4}],
        ),
    }


@hookimpl
def bench_datasets() -> Mapping[str, DataRecipe]:
    return {
        "embedded": DataRecipe(embedded.FashionMnist1000, "1,000 held-out Fashion-MNIST images."),
        "shapes": DataRecipe(Shapes, "Point clouds of ten classes of solids, made on the spot."),
        "modelnet": DataRecipe(ModelNet, "Point clouds of ModelNet's meshes, root/<class>/<split>/*.off."),
        "imagefolder": DataRecipe(ImageFolder, "One folder of images a class, such as ImageNet's validation set."),
        "imagelist": DataRecipe(ImageList, "Images with a CSV list of their labels, as the NeurIPS 2017 set's."),
        "npz": DataRecipe(NpzImages, "Images and labels of a NumPy file."),
        **cifar.RECIPES,
    }
