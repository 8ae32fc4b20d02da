"""PNA and PatchOut together (Wei et al., 2022).

The equations are in `pna.py` and `patchout.py`.
"""

from __future__ import annotations

from ..compose import composed
from .mi import mi
from .patchout import patchout
from .pna import pna

RECIPE = composed(
    "PNA and PatchOut, with momentum: the complete attack of the paper (Wei et al., 2022).",
    *(pna, patchout, mi),
    small={"patch_grid": 3},
)
