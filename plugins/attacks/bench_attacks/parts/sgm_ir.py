"""Skip gradients and interaction reduction. The results depend only on the code of the parts."""

from __future__ import annotations

from ..compose import composed
from .ir import SMALL, ir
from .sgm import sgm

RECIPE = composed("Skip gradients and interaction reduction.", sgm, ir, small=SMALL)
