"""The rules for attacks. Each runs the attack in one situation, under the contract checks of a worker."""

from __future__ import annotations

from . import attack_effects, attack_inputs, attack_queries, attack_runs, interaction
from .verdicts import Rules

ROOMS = (attack_inputs, attack_runs, attack_effects, attack_queries, interaction)
RULES = Rules({name: rule for room in ROOMS for name, rule in room.RULES.items()})
