"""What the host records of every attack."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from ..norms import perturbation_size
from ..queries import Queries
from ..types import Norm
from .attack_run import AttackRun
from .diagnostics import AttackDiagnostics

NORMS: tuple[Norm, ...] = get_args(Norm)


def record_of(
    run: AttackRun, diagnostics: AttackDiagnostics, images: Tensor, queries: Queries | None = None
) -> dict[str, Tensor]:
    """Return the rows that the host records of every attack.

    `bypassed`: layers of the source ran outside of its calls.
    `uncounted`: the image was changed without a counted pass, and the attack does not declare that it needs none.
    """
    count, delta = len(images), images - run.examples.images
    declared = getattr(run.attack, "cost", None)
    free = declared is not None and not any(declared.total(diagnostics.budget.steps))
    passes = run.passes.forwards or free
    all_or_nothing = getattr(run.attack, "all_or_nothing", False)
    return {
        "uncounted": (delta != 0).flatten(1).any(1) & (not passes),
        **run.returned,
        **({"bypassed": torch.ones(count, dtype=torch.bool)} if run.passes.bypassed else {}),
        **({"all_or_nothing": torch.ones(count, dtype=torch.bool)} if all_or_nothing else {}),
        **diagnostics.rows(images),
        **sizes_of(delta),
        **run.spent(),
        **({} if queries is None else {"queries": queries.spent}),
    }


def sizes_of(delta: Tensor) -> dict[str, Tensor]:
    """Return the sizes [n] of perturbations [n, c, h, w] in every norm."""
    return {norm: perturbation_size(delta, norm) for norm in NORMS}
