"""Builds untrained networks of the libraries by name, and finds the networks whose parameters are those of a file."""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bench_core.errors import Fault, UsageError, did_you_mean

from . import torchvision as torchvision_models
from .indexes import robustbench_networks, torchvision_networks

if TYPE_CHECKING:
    from torch import Tensor, nn

LIBRARIES = ("torchvision", "timm", "robustbench")
UNNAMED = {"wide_resnet50_4": ("resnet50", {"width_per_group": 256})}  # built by torchvision, which has no name for it
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MOST_CANDIDATES = 30  # networks that are built, without memory, to find the one that a file belongs to


def split_architecture(architecture: str) -> tuple[str, str]:
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


def construct(architecture: str, outputs: int, side: int | None = None) -> tuple[nn.Module, Mapping[str, Any] | None]:
    """Build an untrained network, and find how its library preprocesses images.

    Args:
        architecture: `LIBRARY:NAME`.
        outputs: Number of logits.
        side: Height and width of the images in pixels, by default the library's.

    Returns:
        The network, and the arguments of `Preprocessed`, or None where the network does its own preprocessing.
    """
    library, name = split_architecture(architecture)
    if library == "torchvision":
        base, widths = UNNAMED.get(name, (name, {}))
        default_side = 299 if name == "inception_v3" else 224
        network = torchvision_models.construct(base, side or default_side, num_classes=outputs, **widths)
        return network, {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, "side": default_side, "interpolation": "bilinear"}
    if library == "timm":
        import timm

        if not timm.is_model(name):
            message = f'timm has no "{name}" {did_you_mean(name, timm.list_models())}'
            raise UsageError(Fault("", "architecture", message))
        from .preprocessing import preset_of

        network = timm.create_model(name, num_classes=outputs)
        return network, preset_of(network)
    from .robustbench_import import robustbench

    dataset, threat, entry = name.split("/")
    robustbench()
    from robustbench.model_zoo.enums import BenchmarkDataset, ThreatModel
    from robustbench.model_zoo.models import model_dicts

    return model_dicts[BenchmarkDataset(dataset)][ThreatModel(threat)][entry]["model"](), None


def likely_architecture(architecture: str, outputs: int, entries: Mapping[str, Tensor]) -> str | None:
    """Return the architecture, of the same library and family, whose parameters are the entries; None if none fits.

    Args:
        architecture: The architecture that the entries do not fit, `LIBRARY:NAME`.
        outputs: Number of logits.
        entries: Parameters and buffers by name.
    """
    import torch

    from .entries import fits

    library, name = split_architecture(architecture)
    for candidate in _relatives(library, name):
        try:
            with torch.device("meta"):
                network, _ = construct(f"{library}:{candidate}", outputs)
        except Exception:  # some networks cannot be built without memory
            continue
        if fits(entries, network.state_dict()):
            return f"{library}:{candidate}"
    return None


def _relatives(library: str, name: str) -> list[str]:
    """Return other networks of a library's family of networks, such as the ResNets, those of similar names first."""
    known: Iterable[str] = ()
    if library == "torchvision":
        known = [*torchvision_networks(), *UNNAMED]
    if library == "timm":
        import timm

        known = timm.list_models()
    family = _family(name)
    related = [other for other in known if other != name and _family(other) & family]
    order = {other: difflib.SequenceMatcher(None, name, other).ratio() for other in related}
    return sorted(related, key=lambda other: -order[other])[:MOST_CANDIDATES]


def _family(name: str) -> set[str]:
    """Return the words of a network's name; a ResNeXt has the parameters of a ResNet."""
    return {word.replace("resnext", "resnet") for word in re.findall("[a-z]{3,}", name)}
