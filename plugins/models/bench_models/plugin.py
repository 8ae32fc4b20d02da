"""The recipes of this package: every kind of model and dataset, with the module that builds it.

A new model is a module with `build(**options)` and `identity(**options)` (see `bench_core.types.ModelRecipe`) and an
entry below; a new dataset is a class with `ids`, `labels`, `shape` and `load` (`bench_core.types.Images`). Torch is
imported when a network is built, not when it is described. `libraries/timm.py` and `libraries/robustbench.py` are
separate plugins, because these libraries may be missing. A defence is a file in `defences/`, found by itself.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from bench_core.hookspecs import hookimpl
from bench_core.types import DataRecipe, ModelRecipe

from . import composites, defences, python_file
from .datasets.cifar import cifar10, cifar100
from .datasets.imagefolder import ImageFolder
from .datasets.imagelist import ImageList
from .datasets.npz import NpzImages
from .embedded import recipe as embedded
from .imagenet_lite import recipe as imagenet_lite
from .imagenet_lite.samples import Samples
from .libraries import checkpoint, torchvision
from .pointclouds import recipe as pointclouds
from .pointclouds.modelnet import ModelNet
from .pointclouds.shapes import Shapes

EMBEDDED_NETWORKS = embedded.names()
POINT_CLOUD_NETWORKS = pointclouds.zoo().names()
RESNET = {"recipe": "embedded", "name": "ResNet-S"}
NOISE_RESNET = {"recipe": "embedded", "name": "ResNet-S-noise"}
COMBINATIONS = ("logits", "probabilities", "losses")


@hookimpl
def bench_models() -> Mapping[str, ModelRecipe]:
    return {
        "embedded": ModelRecipe(
            embedded.build,
            embedded.identity,
            f"Small networks on 28 x 28 images: {', '.join(EMBEDDED_NETWORKS)}.",
            examples=[{"name": name} for name in EMBEDDED_NETWORKS],
            card=embedded.claims,
        ),
        "pointcloud": ModelRecipe(
            pointclouds.build,
            pointclouds.identity,
            f"Networks on point clouds: {', '.join(POINT_CLOUD_NETWORKS)}; or networks from a folder.",
            examples=[{"name": name} for name in POINT_CLOUD_NETWORKS],
        ),
        "torchvision": ModelRecipe(
            torchvision.build,
            torchvision.identity,
            "Torchvision's networks, from its own cache.",
            files=torchvision.files,
            cost=torchvision.cost,
        ),
        "checkpoint": ModelRecipe(
            checkpoint.build,
            checkpoint.identity,
            "An architecture of torchvision, timm or robustbench with weights from a file.",
            files=checkpoint.files,
        ),
        "python": ModelRecipe(
            python_file.build,
            python_file.identity,
            "A network of yours, from a function in a Python file, with weights from a file.",
            files=python_file.files,
        ),
        "efficientnet-lite": ModelRecipe(
            imagenet_lite.build,
            imagenet_lite.identity,
            "EfficientNet-Lite 0 to 2 on ImageNet, from installed packages (extra imagenet-lite).",
            cost=imagenet_lite.cost,
        ),
        **composite_recipes(),
        **defence_recipes(),
    }


def composite_recipes() -> Mapping[str, ModelRecipe]:
    """Return the recipes of models that are made of others."""
    return {
        "ensemble": ModelRecipe(
            composites.build_ensemble,
            composites.ensemble_identity,
            "Several networks attacked as one.",
            made_of=("members",),
            examples=[{"members": [RESNET, NOISE_RESNET], "combine": combine} for combine in COMBINATIONS],
        ),
        "with_surrogate": ModelRecipe(
            composites.build_with_surrogate,
            composites.surrogate_identity,
            "A network beside which an attacker has another one in full (attack gfcs).",
            made_of=("base", "surrogate"),
            examples=[{"base": RESNET, "surrogate": NOISE_RESNET}],
        ),
        "smoothed": ModelRecipe(
            composites.build_smoothed,
            composites.smoothed_identity,
            "A network under Gaussian noise: randomized smoothing.",
            made_of=("base",),
            examples=[{"base": NOISE_RESNET, "sigma": 0.25, "n": 4}],
        ),
    }


def defence_recipes() -> Mapping[str, ModelRecipe]:
    """Return the `RECIPE` of each file in defences/, as `defended:FILE`."""
    names = [module.name for module in pkgutil.iter_modules(defences.__path__)]
    return {f"defended:{name}": importlib.import_module(f"{defences.__name__}.{name}").RECIPE for name in names}


@hookimpl
def bench_datasets() -> Mapping[str, DataRecipe]:
    return {
        "embedded": DataRecipe(embedded.FashionMnist1000, "1,000 held-out Fashion-MNIST images."),
        "shapes": DataRecipe(Shapes, "Point clouds of ten classes of solids, generated."),
        "modelnet": DataRecipe(ModelNet, "Point clouds of ModelNet's meshes, root/<class>/<split>/*.off."),
        "imagefolder": DataRecipe(ImageFolder, "One folder of images per class, such as ImageNet's validation set."),
        "imagelist": DataRecipe(ImageList, "Images with a CSV list of their labels, such as the NeurIPS 2017 set."),
        "npz": DataRecipe(NpzImages, "Images and labels of a NumPy file."),
        "foolbox:imagenet": DataRecipe(
            Samples, "20 photographs of ImageNet that foolbox brings (extra imagenet-lite)."
        ),
        "torchvision:CIFAR10": DataRecipe(cifar10, "CIFAR-10's test images, as torchvision keeps them."),
        "torchvision:CIFAR100": DataRecipe(cifar100, "CIFAR-100's test images, as torchvision keeps them."),
    }
