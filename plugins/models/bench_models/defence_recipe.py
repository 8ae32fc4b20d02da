"""What the recipes of all defences share: their identity, and how often an adaptive attacker draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench_core.clouds import is_cloud
from bench_core.errors import Fault, UsageError
from bench_core.types import Json, ModelRecipe, WeightsFile

if TYPE_CHECKING:
    from bench_core.types import Model

SAMPLES = 10  # draws of an adaptive attacker in every forward, by default
BASE: Mapping[str, Any] = {"recipe": "embedded", "name": "ResNet-S"}  # in the examples of `bench check`


def defence(
    build: Callable[..., Model],
    summary: str,
    examples: Sequence[Json],
    known: Callable[..., Json] = lambda **_options: {},
    files: Callable[..., Sequence[WeightsFile]] | None = None,
) -> ModelRecipe:
    """Return the recipe of a defence: a model made of another one, the option `base`.

    Args:
        build: Builds the defended network from `base` and the defence's options.
        summary: One line for `bench plugins`.
        examples: Options for `bench check`, without `base`. A defence without a gradient is an example only as an
            adaptive attacker sees it.
        known: Returns from the options what else the outputs depend on, such as the version of a library. Raises
            UsageError for wrong options.
        files: Lists the files that the user provides.
    """

    def identity(base: Json, **options: Any) -> Json:
        attacker_samples(options.get("adaptive", False), options.get("samples"))
        return {"base": base, "defence": build.__module__.rpartition(".")[2], **options, **known(**options)}

    return ModelRecipe(
        build,
        identity,
        summary,
        made_of=("base",),
        files=files,
        examples=[{"base": BASE, **options} for options in examples],
        check=check_pictures,
    )


def check_pictures(shape: tuple[int, int, int]) -> str | None:
    """Return why images of shape (c, h, w) cannot be defended, or None."""
    return "found point clouds, but defences transform pictures (try the network itself)" if is_cloud(shape) else None


def attacker_samples(adaptive: bool, samples: int | None) -> int:
    """Return how many draws are averaged. Raises UsageError for `samples` of what is not an adaptive attacker."""
    if samples is not None and not adaptive:
        message = f"found {samples}, but only an adaptive attacker averages over draws (try adaptive = true)"
        raise UsageError(Fault("", "samples", message))
    return (SAMPLES if samples is None else samples) if adaptive else 1
