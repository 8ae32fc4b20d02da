"""RobustBench's networks, from files in its own layout; building one downloads nothing. Needs the extra `robustbench`.

The layout is `FOLDER/DATASET/THREAT/NAME.pt`, and `NAME.pt_m0.pt`, `..._m1.pt` for an ensemble.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import pickle
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench_core.errors import Fault, UsageError, did_you_mean
from bench_core.hookspecs import hookimpl
from bench_core.types import ModelRecipe, WeightsFile

from .caches import digests_of, existing_paths
from .indexes import robustbench_networks

if TYPE_CHECKING:
    from bench_core.types import Model

# The distribution, not the module: pyautoattack brings a module of that name, which is not this one.
if not any(importlib.metadata.distributions(name="robustbench")):
    raise ImportError('robustbench is not installed (try pip install "adversarial-bench[robustbench]")')

Dataset = Literal["cifar10", "cifar100", "imagenet"]
Threat = Literal["Linf", "L2", "corruptions"]
SIDES: Mapping[Dataset, int] = {"cifar10": 32, "cifar100": 32, "imagenet": 224}


def identity(
    name: str, dataset: Dataset = "cifar10", threat: Threat = "Linf", folder: str = "models"
) -> Mapping[str, Any]:
    """Return the digests of the weights, without importing torch. Raises UsageError for an unknown entry."""
    return {
        "network": [dataset, threat, name],
        "weights": digests_of(files(name, dataset, threat, folder)),
        "robustbench": importlib.metadata.version("robustbench"),
    }


def files(
    name: str, dataset: Dataset = "cifar10", threat: Threat = "Linf", folder: str = "models"
) -> Sequence[WeightsFile]:
    """Return the files of an entry of the leaderboard, one for each member of an ensemble.

    Args:
        name: Entry, for example `Wong2020Fast`.
        dataset: Dataset that the network was trained on.
        threat: Threat model.
        folder: Folder in which RobustBench keeps its files.

    Raises:
        UsageError: The entry is unknown, or RobustBench has no file of it.
    """
    known = robustbench_networks()[dataset]
    if threat not in known:
        raise UsageError(Fault("", "threat", f'{dataset} has none for "{threat}" {did_you_mean(threat, known)}'))
    if name not in known[threat]:
        raise UsageError(Fault("", "name", f'unknown network "{name}" {did_you_mean(name, known[threat])}'))
    identifiers = known[threat][name]
    if not identifiers:
        elsewhere = "torchvision's, timm's, or loaded elsewhere by RobustBench itself"
        raise UsageError(Fault("", "name", f"{name} has no file of RobustBench's: its weights are {elsewhere}"))
    path = str(Path(folder) / dataset / threat / f"{name}.pt")
    paths = [f"{path}_m{i}.pt" for i in range(len(identifiers))] if len(identifiers) > 1 else [path]
    return [
        WeightsFile(path, f"https://drive.google.com/uc?id={identifier}", download=partial(_download, identifier, path))
        for path, identifier in zip(paths, identifiers, strict=True)
    ]


def _download(identifier: str, path: str) -> None:
    import gdown

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    gdown.download(id=identifier, output=path)


def build(name: str, dataset: Dataset = "cifar10", threat: Threat = "Linf", folder: str = "models") -> Model:
    """Load an entry of the leaderboard by RobustBench's own code, with its own preprocessing.

    A pickle that needs more than tensors is refused, as loading it would run its author's code.

    Args:
        name: Entry, for example `Wong2020Fast`.
        dataset: Dataset that the network was trained on.
        threat: Threat model.
        folder: Folder in which RobustBench keeps its files.

    Returns:
        Images [n, 3, h, w] in [0, 1] to logits [n, classes].

    Raises:
        UsageError: The entry is unknown, or a file is missing, damaged or refused.
    """
    from torch.serialization import safe_globals

    from .every_entry import every_entry_loaded
    from .robustbench_import import robustbench
    from .verified import lean_on_probe
    from .weights import safe_types, weights_error

    paths = existing_paths(files(name, dataset, threat, folder))
    library = robustbench()
    with safe_globals(safe_types()), every_entry_loaded(paths[0]):
        try:
            model: Model = library.load_model(name, folder, dataset, threat)
        except (pickle.UnpicklingError, EOFError, KeyError, RuntimeError) as error:
            raise weights_error(paths[0], error) from None
    return lean_on_probe(model, SIDES[dataset])


@hookimpl
def bench_models() -> Mapping[str, ModelRecipe]:
    return {"robustbench": ModelRecipe(build, identity, "RobustBench's networks, from its own folder.", files=files)}
