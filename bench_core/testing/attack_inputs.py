"""Rules for attacks: the images and networks that an attack must cope with, under the contract checks of a worker."""

from __future__ import annotations

import torch

from .attack_case import AttackCase
from .inputs import describe
from .verdicts import Broken, Rules

RULES = Rules()


@RULES.add()
def contract(case: AttackCase) -> None:
    """Every step stays in the ball and in [0, 1], keeps shape, dtype and order, and leaves model and process unchanged.

    With and without a random start. The network, its mode, hooks and gradients, torch's flags and the global random
    states must be the same after the run as before, and the input images must not change in place.
    """
    for start, count in ((False, 3), (True, 6)):  # six steps reach the border of the ball
        model, batch, limits = case.inputs(random_start=start, steps=count)
        case.run(model, batch, limits)


@RULES.add()
def border_images(case: AttackCase) -> None:
    """Black, white and black-and-white images stay in [0, 1] and are perturbed like others."""
    model, batch, limits = case.inputs(random_start=True)
    batch.images[2] = batch.images[2].round()
    batch.images[3] = 1 - batch.images[2]
    case.run(model, batch, limits, extra="black, white, and black-and-white images")


@RULES.add()
def no_room(case: AttackCase) -> None:
    """With eps 0 the images do not change."""
    model, batch, limits = case.inputs(eps=0.0, step_size=0.0, random_start=True)
    reached = case.run(model, batch, limits)[-1]
    if not torch.equal(reached, batch.images):
        raise Broken("the images changed", describe(batch, limits))


@RULES.add(declarable=True)
def one_image(case: AttackCase) -> None:
    """A batch may have a single image."""
    case.run(*case.inputs(count=1))


@RULES.add(declarable=True)
def odd_sides(case: AttackCase) -> None:
    """Images may be rectangular and have odd sides."""
    case.run(*case.inputs(odd=True))


@RULES.add(declarable=True)
def one_channel(case: AttackCase) -> None:
    """Images may have one channel."""
    case.run(*case.inputs(channels=1))


@RULES.add(declarable=True)
def three_channels(case: AttackCase) -> None:
    """Images may have three channels."""
    case.run(*case.inputs(channels=3))


@RULES.add(declarable=True)
def inplace_network(case: AttackCase) -> None:
    """The network may overwrite its features in place and use a module twice."""
    case.run(*case.inputs(of={"inplace": True}), extra="a network with in-place ReLUs, each used twice")


@RULES.add(declarable=True)
def channels_last(case: AttackCase) -> None:
    """The network may use the channels-last memory format, in which its features are not contiguous."""
    case.run(*case.inputs(channels=3, of={"channels_last": True}), extra="a network in the channels-last format")


@RULES.add(declarable=True)
def module_names(case: AttackCase) -> None:
    """The names of the network's modules do not change the result."""
    model, batch, limits = case.inputs()
    expected = case.run(model, batch, limits)[-1]
    found = case.run(
        case.network(batch.images.shape[1], {"shift": 3}), batch, limits, extra="modules with other names"
    )[-1]
    if not torch.equal(expected, found):
        raise Broken("the result changed with the names of the modules", describe(batch, limits))
