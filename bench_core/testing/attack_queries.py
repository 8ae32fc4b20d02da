"""Rules for attacks that do without gradients: their queries are counted, and nothing else reaches the network."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor

from ..queries import Queries
from ..types import Access, Budget, Examples
from ..worker.attack_run import AttackRun
from ..worker.instrument import PassCounter
from ..worker.queried import QueriedRun
from .attack_case import AttackCase
from .inputs import describe, donors, streams
from .verdicts import Broken, Rules, Skipped, with_input

RULES = Rules()
LIMIT = 12


@RULES.add()
def queries(case: AttackCase) -> None:
    """An attack that declares `access` asks for no more, and an image costs the same queries alone and in a batch."""
    _, batch, limits = case.inputs(steps=LIMIT)
    access: Access = getattr(case.attack(limits), "access", "gradients")
    if access == "gradients":
        raise Skipped("it needs gradients")
    for given in get_args(Access)[1 : get_args(Access).index(access) + 1]:
        limited = replace(limits, access=given, queries=LIMIT)
        together, images = _counted(case, batch, limited)
        if int(together.spent.max()) == 0:
            raise Broken("it asked nothing", describe(batch, limited, extra=f'access = "{given}"'))
        for i in range(len(batch.ids)):
            alone, image = _counted(case, batch.take(slice(i, i + 1)), limited)
            found = int(alone.spent[0]), int(alone.fooled_at[0])
            expected = int(together.spent[i]), int(together.fooled_at[i])
            if found != expected or not torch.allclose(image[0], images[i], atol=1e-6):
                differing = f"image {i} cost {found[0]} queries alone (fooled at {found[1]}), {expected[0]} in a batch"
                raise Broken(differing, describe(batch, limited, extra=f'access = "{given}"'))


def _counted(case: AttackCase, batch: Examples, limits: Budget) -> tuple[Queries, Tensor]:
    """Return the queries of a run and its images [n, c, h, w]. It runs in float64, to exclude rounding."""
    precise = Examples(batch.images.double(), batch.labels, batch.ids, batch.targets)
    exact = case.network(batch.images.shape[1]).double()
    attack = case.attack(limits)
    with with_input(describe(batch, limits, extra=f'access = "{limits.access}"')), torch.no_grad():
        run = AttackRun(attack, exact, precise, streams(batch), PassCounter(exact), donors(attack, batch))
        queried = QueriedRun(run, limits)
        (images,) = queried.steps()
    assert queried.queries is not None
    return queried.queries, images
