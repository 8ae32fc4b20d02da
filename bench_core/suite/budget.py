"""`[budgets]`: the threat models of a suite."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt
from pydantic import Field, model_validator

from ..errors import in_grey_levels
from ..types import Access, Norm
from .fields import Label, Number, Strict, number

MOST_STEPS = 100_000  # of a suite: the costs of attacks are added step by step, so that with more a plan takes minutes


class BudgetEntry(Strict):
    """`[budgets.LABEL]`: a threat model, the same for every attack.

    Attributes:
        norm: The norm of the ball that the perturbation must stay in.
        eps: The radius of the ball, in units of the image range [0, 1]: of a pixel for `linf`, of the image's L2 norm
            for `l2`, of its L1 norm for `l1`. For `l0`, the number of pixels that may change, in all channels. A list
            stands for a sweep of eps.
        step_size: The length of one step, in the same units, or in terms of eps, such as `"eps/8"`. For `l0`, the mean
            change of a pixel, before all but so few pixels are changed back.
        steps: The number of steps.
        passes: The most forwards and backwards together for one image, through all networks of the source. An attack
            gets as many steps as these allow by the cost that it declares, at most `steps`. Fewer steps are longer in
            proportion, so that all attacks can go equally far. A suite whose attack cannot take one step is rejected.
            The host counts, and stops an attack that needs more than it declares at its last pass
            ([suites.md](suites.md#equal-passes)).
        access: What an attack may ask the network for: `"gradients"`, or only `"scores"` (the logits), or only
            `"labels"` (the predicted class). An attack that needs more is rejected.
        queries: The most queries for one image, where the access is scores or labels. The host counts them, and refuses
            the next one. `steps` is then their number and `step_size` the eps, unless they are set.
        sweep: Lists of values of `eps`, `step_size` or `steps`. It stands for one budget for each combination of
            values, and each swept key becomes a label of the scores ([suites.md](suites.md#security-curves)).
        sources: The sources that the budget is used for; an ensemble is named by its members, joined by `+`. All by
            default.
        attacks: The attacks that the budget is used for. All by default.
    """

    norm: Norm
    eps: Annotated[Number, Ge(0)]
    step_size: Annotated[Number, Ge(0)]
    steps: Annotated[int, Gt(0)]
    passes: Annotated[int, Gt(0)] | None = None
    access: Access = "gradients"
    queries: Annotated[int, Gt(0)] | None = None
    # in a loaded suite, one value for each key: each budget of a sweep is a budget of its own
    sweep: dict[Literal["eps", "step_size", "steps"], Annotated[list[int | float | str], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    sources: list[Label] | None = None
    attacks: list[Label] | None = None

    @model_validator(mode="before")
    @classmethod
    def with_defaults(cls, entry: Any) -> Any:
        """Add a step for each query, and compute a step size that is given in terms of eps."""
        if not isinstance(entry, dict):
            return entry
        if "queries" in entry:
            entry = {"steps": entry["queries"], "step_size": 1 if entry.get("norm") == "l0" else "eps", **entry}
        if "step_size" not in entry:
            return entry
        return {**entry, "step_size": in_terms_of_eps(entry["step_size"], entry.get("eps"))}

    @model_validator(mode="after")
    def swept_once(self) -> BudgetEntry:
        for key, values in self.sweep.items():
            eps = self.sweep.get("eps", [self.eps])[0]
            if len(values) == 1 and number(in_terms_of_eps(values[0], eps)) != getattr(self, key):
                raise ValueError(f"found {key} and also a sweep of it, expected one of the two")
        return self

    @property
    def swept(self) -> dict[str, str]:
        """The swept keys with their values as text: labels that distinguish the budgets of a sweep."""
        return {key: str(values[0]) for key, values in self.sweep.items()}

    @model_validator(mode="after")
    def queries_where_limited(self) -> BudgetEntry:
        if self.access == "gradients" and self.queries is not None:
            raise ValueError(f'found queries = {self.queries} with gradients, which need none (try access = "scores")')
        if self.access != "gradients" and self.queries is None:
            raise ValueError(f'found access = "{self.access}" without a limit (try queries = 1000)')
        if self.access != "gradients" and self.passes is not None:
            raise ValueError("found passes and also queries, expected one of the two")
        return self

    @model_validator(mode="after")
    def in_image_range(self) -> BudgetEntry:
        for name, value, norms in (("eps", self.eps, ("linf",)), ("step_size", self.step_size, ("linf", "l0"))):
            if self.norm in norms and value > 1:
                raise ValueError(in_grey_levels(name, value))
        if self.norm == "l0" and self.eps != int(self.eps):
            raise ValueError(f"found eps {self.eps:g}, but in l0 it is a number of pixels (try 10)")
        return self


def in_terms_of_eps(value: Any, eps: Any) -> Any:
    """Return a text with `eps` replaced by its value, or by 1 if that is no length; anything else unchanged."""
    try:
        found = number(eps)
        known = isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < math.inf
    except ValueError:
        known = False  # which is reported as a fault of eps, and not as one of the step size too
    return re.sub(r"\beps\b", f"({eps})" if known else "1", value) if isinstance(value, str) else value
