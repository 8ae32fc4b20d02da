"""The rules for attacks. Each runs the attack in one situation, under the contract checks of a worker."""

from __future__ import annotations

from . import attack_effects, attack_inputs, attack_runs, interaction
from .verdicts import Rules

RULES = Rules({**attack_inputs.RULES, **attack_runs.RULES, **attack_effects.RULES, **interaction.RULES})
