"""A network of torchvision, timm or robustbench with weights from the user's file.

It reads, for example, the adversarially trained ImageNet networks of Salman et al. (2020; `architecture =
"torchvision:resnet18"`, `prefix = "module.model."`) and Inception networks converted from TensorFlow
(`architecture = "timm:inception_v3"`, `label_offset = 1`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt

from bench_core.errors import Fault, UsageError, did_you_mean
from bench_core.types import WeightsFile

from . import torchvision as torchvision_models
from .caches import digests_of, existing_paths
from .indexes import robustbench_networks, torchvision_networks

if TYPE_CHECKING:
    from torch import nn

    from bench_core.types import Model

LIBRARIES = ("torchvision", "timm", "robustbench")
UNNAMED = {"wide_resnet50_4": ("resnet50", {"width_per_group": 256})}  # built by torchvision, which has no name for it
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def identity(architecture: str, file: str, sha256: str = "", **options: Any) -> Mapping[str, Any]:
    """Return the digest of the file and how it is read. Raises UsageError where the digest is not `sha256`."""
    _library(architecture)
    digests = digests_of(files(file=file, sha256=sha256))
    if sha256 and digests != ["missing"] and digests != [sha256.lower()]:
        raise UsageError(Fault("", "sha256", f"{file} has the digest {digests[0]}, not {sha256}"))
    return {"architecture": architecture, "weights": digests, **options}


def files(file: str, sha256: str = "", **_options: Any) -> Sequence[WeightsFile]:
    """Return the file that is needed; only the user knows where to get it."""
    return [WeightsFile(str(Path(file).expanduser()), sha256=sha256)]


def build(
    architecture: str,
    file: str,
    sha256: str = "",
    key: str = "",
    prefix: str = "",
    classes: Annotated[int, Gt(0)] = 1000,
    label_offset: Annotated[int, Ge(0)] = 0,
    side: Annotated[int, Gt(0)] | None = None,
    mean: list[float] | None = None,
    std: list[float] | None = None,
    interpolation: Literal["bilinear", "bicubic"] | None = None,
) -> Model:
    """Load a network from a file of weights.

    Args:
        architecture: `LIBRARY:NAME`. A network of robustbench (`robustbench:cifar10/Linf/NAME`) has its own
            preprocessing, and none is added.
        file: Path of the weights.
        sha256: Expected digest of the file, if any.
        key: Dotted path of the state dict in the file; by default it is found under the usual names.
        prefix: Beginning of the entries that are loaded, which is removed from their names.
        classes: Number of classes.
        label_offset: Number of first outputs that are no classes, and are cut off.
        side: Height and width in pixels to which images are resized, by default the library's.
        mean: Mean of each channel for normalisation, by default the library's.
        std: Standard deviation of each channel for normalisation, by default the library's.
        interpolation: How images are resized, by default the library's.

    Returns:
        Images [n, 3, h, w] in [0, 1] to logits [n, classes].

    Raises:
        UsageError: The file is missing, has another digest, is refused, or does not fit.
    """
    from ..lean.make import lean
    from .weights import load_entries, read_checkpoint, state_dict_of

    (path,) = existing_paths(files(file))
    identity(architecture, file, sha256)
    network, preset = construct(architecture, classes + label_offset, side)
    state = torchvision_models.with_current_names(state_dict_of(read_checkpoint(path), path, key))
    load_entries(network, state, path, prefix, "classes? label_offset = 1?")
    from .preprocessing import Preprocessed, WithoutFirst

    classifier = WithoutFirst(lean(network), label_offset) if label_offset else lean(network)
    if preset is None:
        return classifier
    given: dict[str, Any] = {"side": side, "mean": mean, "std": std, "interpolation": interpolation}
    return Preprocessed(classifier, **{name: given[name] or default for name, default in preset.items()})


def construct(architecture: str, outputs: int, side: int | None = None) -> tuple[nn.Module, Mapping[str, Any] | None]:
    """Build an untrained network, and find how its library preprocesses images.

    Args:
        architecture: `LIBRARY:NAME`.
        outputs: Number of logits.
        side: Height and width of the images in pixels, by default the library's.

    Returns:
        The network, and the arguments of `Preprocessed`, or None where the network does its own preprocessing.
    """
    library, name = _library(architecture)
    if library == "torchvision":
        base, widths = UNNAMED.get(name, (name, {}))
        default_side = 299 if name == "inception_v3" else 224
        network = torchvision_models.construct(base, side or default_side, num_classes=outputs, **widths)
        return network, {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, "side": default_side, "interpolation": "bilinear"}
    if library == "timm":
        import timm

        if not timm.is_model(name):
            raise UsageError(
                Fault("", "architecture", f'timm has no "{name}" {did_you_mean(name, timm.list_models())}')
            )
        from .preprocessing import preset_of

        network = timm.create_model(name, num_classes=outputs)
        return network, preset_of(network)
    from .robustbench_import import robustbench

    dataset, threat, entry = name.split("/")
    robustbench()
    from robustbench.model_zoo.enums import BenchmarkDataset, ThreatModel
    from robustbench.model_zoo.models import model_dicts

    return model_dicts[BenchmarkDataset(dataset)][ThreatModel(threat)][entry]["model"](), None


def _library(architecture: str) -> tuple[str, str]:
    """Split `LIBRARY:NAME`. Raises UsageError for an unknown library; also for an unknown network, except of timm."""
    library, _, name = architecture.partition(":")
    if library not in LIBRARIES or not name:
        hint = '(try "torchvision:resnet50", "timm:inception_v3", "robustbench:cifar10/Linf/Wong2020Fast")'
        raise UsageError(Fault("", "architecture", f'found "{architecture}" {hint}'))
    if importlib.util.find_spec(library) is None:
        hint = f'pip install "adversarial-bench[{library}]"'
        raise UsageError(Fault("", "architecture", f"{library} is not installed (try {hint})"))
    if library == "torchvision":
        known = {*torchvision_networks(), *UNNAMED}
        if name not in known:
            raise UsageError(Fault("", "architecture", f'torchvision has no "{name}" {did_you_mean(name, known)}'))
    if library == "robustbench":
        from . import robustbench as robustbench_models

        dataset, _, rest = name.partition("/")
        threat, _, entry = rest.partition("/")
        datasets = robustbench_networks()
        if dataset not in datasets:
            hint = did_you_mean(dataset, datasets)
            raise UsageError(Fault("", "architecture", f'robustbench has no dataset "{dataset}" {hint}'))
        robustbench_models.files(entry, dataset, threat)  # type: ignore[arg-type]
    return library, name
