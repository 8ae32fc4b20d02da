"""Orders of interactions and Shapley values: the order m is the number of players in the context.

`I_ij^(m) = E_{|S| = m}[Delta v(i, j, S)]` and `phi^(m)(i) = E_{|S| = m}[v(S + i) - v(S)]`, where S does not contain the
players themselves (Ren et al., 2021; arXiv:2103.07364, eqs. 2 and 5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

Rounding = Literal["nearest", "down"]


def context_size(order: float, largest: int, rounding: Rounding = "nearest") -> int:
    """Return the number of players in a context of an order.

    A share counts as the decimal number that was written: 0.29 of 100 is 29, although `0.29 * 100 < 29`.

    Args:
        order: A number of players (int) or a share of `largest` (float).
        largest: The largest possible context.
        rounding: How a share is rounded to a number of players; halves are rounded up to the `nearest`.

    Returns:
        A number of players.
    """
    if isinstance(order, int):
        return order
    added = Fraction(1, 2) if rounding == "nearest" else 0
    return math.floor(Fraction(order).limit_denominator(1_000_000) * largest + added)


def context_sizes(orders: Sequence[float], largest: int, rounding: Rounding = "nearest") -> list[int]:
    """Return the context sizes of orders. Raises ValueError with the message of `orders_fault`."""
    fault = orders_fault(orders, largest, rounding)
    if fault:
        raise ValueError(fault)
    return [context_size(order, largest, rounding) for order in orders]


def orders_fault(
    orders: Sequence[float], largest: int, rounding: Rounding = "nearest", option: str = "orders"
) -> str | None:
    """Check that orders are possible and all different.

    Args:
        orders: Numbers of players (int) or shares of `largest` (float).
        largest: The largest possible context.
        rounding: How shares are rounded.
        option: Name of the option that holds the orders.

    Returns:
        A message that begins with the option and a colon, or None.
    """
    sizes = [context_size(order, largest, rounding) for order in orders]
    for order, size in zip(orders, sizes, strict=True):
        if not 0 <= size <= largest:
            return f"{option}: found {order} (try shares from 0.0 to 1.0, or numbers of players from 0 to {largest})"
    if not orders:
        return f"{option}: found none (try [0.1, 0.5, 0.9])"
    for index, size in enumerate(sizes):
        if size in sizes[:index]:
            earlier = orders[sizes.index(size)]
            return f"{option}: {earlier} and {orders[index]} are both {size} of {largest} players (remove one)"
    return None


def distinct_contexts(players: int, members: int, order: int) -> int:
    """Count the contexts of `order` players that a team of `members` players can have."""
    return math.comb(players - members, order)
