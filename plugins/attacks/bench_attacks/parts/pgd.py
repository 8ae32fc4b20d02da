"""Projected gradient ascent (Madry et al., 2018; arXiv:1706.06083): `GradientAttack` without any part."""

from __future__ import annotations

from ..compose import composed

RECIPE = composed("Projected gradient ascent of the loss (Madry et al., 2018).")
