"""Named compositions of parts. The results of a composition depend only on the code of its own parts."""

from __future__ import annotations

from ..compose import composed
from .ir import SMALL, ir
from .mi import mi
from .patchout import patchout
from .pna import pna
from .sgm import sgm
from .ti import ti
from .vr import vr

RECIPES = {
    "sgm_ir": composed("Skip gradients and interaction reduction.", sgm, ir, small=SMALL),
    "ti_ir": composed("Translation invariance and interaction reduction.", ti, ir, small={"kernel": 5, **SMALL}),
    "hybrid_ir": composed(
        # the loss is summed over the copies of vr, as in the authors' code (`reduction = "mean"` for the mean)
        "Momentum, variance reduction, skip gradients and interaction reduction (arXiv:2010.04055, sec. 5).",
        *(mi, vr, sgm, ir),
        small={"copies": 4, **SMALL},
    ),
    "pna_patchout": composed(
        "PNA and PatchOut, with momentum: the complete attack of the paper (Wei et al., 2022).",
        *(pna, patchout, mi),
        small={"patch_grid": 3},
    ),
}
