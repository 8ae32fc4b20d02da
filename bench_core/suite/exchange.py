"""The tables of a suite about images that leave bench, and about images that were made elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt
from pydantic import Field

from .fields import Label, Strict

ELSEWHERE = "elsewhere"


class KeepEntry(Strict):
    """`[keep]`: adversarial images that a run keeps in its store, so that `bench export` need not attack again.

    Attributes:
        images: The number of images, the first that are attacked. They are kept in whole micro-batches.
        steps: The steps whose images are kept, counted from 1, or `last`.
    """

    images: Annotated[int, Ge(0)] = 0
    steps: Annotated[list[Annotated[int, Gt(0)] | Literal["last"]], Field(min_length=1)] = Field(default=["last"])


class GivenEntry(Strict):
    """`[given.LABEL]`: images that were attacked elsewhere, judged like those of an attack ([images.md](images.md)).

    Attributes:
        root: The folder of PNG files, with or without a list, or the .npz, .npy or .pth file.
        budget: The budget that they must keep to. By default the only one of the suite.
        attack: The name of the attack in tables. By default the label.
        source: The name of the network that they were made on. If it is one of the suite's sources, the targets that
            are white-box are known.
        where: Values of columns of the list. Only the rows with these are taken.
        array: The name of the array of images in a file of arrays.
        project: Whether images outside the budget are moved to the nearest 8-bit images inside, in place of an error.
    """

    root: str
    budget: Label | None = None
    attack: Label | None = None
    source: Label = ELSEWHERE
    where: dict[Label, str] = Field(default_factory=dict)
    array: str | None = None
    project: bool = False
