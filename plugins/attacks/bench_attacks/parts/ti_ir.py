"""Translation invariance and interaction reduction."""

from __future__ import annotations

from ..compose import composed
from .ir import SMALL, ir
from .ti import ti

RECIPE = composed("Translation invariance and interaction reduction.", ti, ir, small={"kernel": 5, **SMALL})
