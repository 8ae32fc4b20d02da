"""A network of torchvision, timm or robustbench with weights from the user's file.

It reads, for example, the adversarially trained ImageNet networks of Salman et al. (2020; `architecture =
"torchvision:resnet18"`, `prefix = "module.model."`) and Inception networks converted from TensorFlow
(`architecture = "timm:inception_v3"`, `label_offset = 1`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt

from bench_core.errors import Fault, UsageError, stop_at_faults
from bench_core.types import WeightsFile

from . import torchvision as torchvision_models
from .architectures import construct, likely_architecture, split_architecture
from .caches import digests_of, existing_paths

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Model

PREPROCESSING = ("side", "mean", "std", "interpolation")  # options that a network with its own preprocessing ignores


def identity(architecture: str, file: str, sha256: str = "", **options: Any) -> Mapping[str, Any]:
    """Return the digest of the file and how it is read. Raises UsageError for another digest or a wrong option."""
    from .normalisation import option_faults

    library, _ = split_architecture(architecture)
    digests = digests_of(files(file=file, sha256=sha256))
    if sha256 and digests != ["missing"] and digests != [sha256.lower()]:
        raise UsageError(Fault("", "sha256", f"{file} has the digest {digests[0]}, not {sha256}"))
    stop_at_faults(option_faults(options.get("mean"), options.get("std")))
    ignored = [name for name in PREPROCESSING if options.get(name) is not None] if library == "robustbench" else []
    if ignored:
        raise UsageError(Fault("", ignored[0], f"{architecture} does its own preprocessing (remove {ignored[0]})"))
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
    from .entries import load_entries
    from .normalisation import check_normalisation
    from .preprocessing import Preprocessed, WithoutFirst
    from .verified import lean_on_probe
    from .weights import read_checkpoint, state_dict_of

    (path,) = existing_paths(files(file))
    given: dict[str, Any] = {"side": side, "mean": mean, "std": std, "interpolation": interpolation}
    identity(architecture, file, sha256, **given)
    outputs = classes + label_offset
    network, preset = construct(architecture, outputs, side)
    state = torchvision_models.with_current_names(state_dict_of(read_checkpoint(path), path, key))
    constants = normalisation_constants(state, prefix, network.state_dict()) if preset else {}
    weights = {name: value for name, value in state.items() if name not in constants}

    def hint(entries: Mapping[str, Tensor]) -> str:
        likely = likely_architecture(architecture, outputs, entries)
        return f'(try architecture = "{likely}")' if likely else "(another architecture?)"

    load_entries(network, weights, path, prefix, hint, "(classes? label_offset = 1?)")
    of_robustbench = 224 if ":imagenet/" in architecture else 32
    network = lean_on_probe(network, side or (preset["side"] if preset else of_robustbench))
    classifier = WithoutFirst(network, label_offset) if label_offset else network
    if preset is None:
        return classifier
    check_normalisation(constants, preset, given, path)
    return Preprocessed(
        classifier, **{name: default if given[name] is None else given[name] for name, default in preset.items()}
    )


def normalisation_constants(
    state: Mapping[str, Tensor], prefix: str, needed: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the entries of a file that normalise images and that are no entries of the network.

    Args:
        state: Entries of the file.
        prefix: Beginning of the names of the network's entries.
        needed: The network's entries.
    """
    from .normalisation import is_normalisation

    return {
        name: value
        for name, value in state.items()
        if is_normalisation(name, value) and not (name.startswith(prefix) and name.removeprefix(prefix) in needed)
    }
