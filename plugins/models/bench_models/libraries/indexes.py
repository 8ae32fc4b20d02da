"""Lists the networks of the installed libraries from cached indexes, so that a plan imports neither them nor torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench_core.errors import Fault, UsageError
from bench_core.library_index import library_index

RobustBenchNetworks = Mapping[str, Mapping[str, Mapping[str, list[str]]]]  # dataset -> threat -> name -> identifiers


@dataclass(frozen=True)
class Published:
    """Where the weights of a network are.

    Attributes:
        url: Address of a file that torch's own downloader caches; empty where `repository` is given.
        size: Size in bytes, to three digits of a megabyte, where known.
        repository: Repository of the Hugging Face hub.
        cost: Multiply-adds for one image in billions, where known.
    """

    url: str = ""
    size: int | None = None
    repository: str = ""
    cost: float | None = None


def torchvision_networks() -> dict[str, dict[str, Published]]:
    """Return the published weights of each classification network, by the names of their enum."""
    return {
        name: {enum: Published(url, size, cost=cost) for enum, (url, size, cost) in weights.items()}
        for name, weights in _networks("torchvision").items()
    }


def timm_networks() -> dict[str, Published]:
    """Return where the weights of each pretrained network are, by its name with its tag."""
    return {
        name: Published(repository=repository) if repository else Published(url)
        for name, (repository, url) in _networks("timm").items()
        if repository or url
    }


def robustbench_networks() -> RobustBenchNetworks:
    """Return the files of RobustBench's networks (see `robustbench_index.index`)."""
    return _networks("robustbench")


def _networks(library: str) -> dict[str, Any]:
    """Return a library's index. Raises UsageError where the library cannot be imported."""
    try:
        networks: dict[str, Any] = library_index(library, f"bench_models.libraries.{library}_index")["networks"]
    except ImportError as error:
        raise UsageError(Fault(library, "", str(error))) from None
    return networks
