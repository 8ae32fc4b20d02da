"""HybridIR (arXiv:2010.04055, sec. 5)."""

from __future__ import annotations

from ..compose import composed
from .ir import SMALL, ir
from .mi import mi
from .sgm import sgm
from .vr import vr

RECIPE = composed(
    # the loss is summed over the copies of vr, as in the authors' code (`reduction = "mean"` for the mean)
    "Momentum, variance reduction, skip gradients and interaction reduction (arXiv:2010.04055, sec. 5).",
    *(mi, vr, sgm, ir),
    small={"copies": 4, **SMALL},
)
