"""Dividing an amount exactly, by the largest remainder. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def divide(total: int, weights: Sequence[int]) -> list[int]:
    """`total` minor units over the weights: as proportional as whole units can be, and never a unit lost or made.

    Everybody gets the whole units of their proportion; what is left goes to the largest remainders, of equal ones to
    the first. So a part never passes its weight while `total` does not pass their sum. `ValueError` where nothing can
    be divided: a negative number, or something to be given to weights of zero.
    """
    whole = sum(weights)
    if total < 0 or any(weight < 0 for weight in weights) or (total and not whole):
        raise ValueError("cannot be divided so")
    if not total:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda place: -(total * weights[place] % whole))
    for place in order[: total - sum(parts)]:
        parts[place] += 1
    return parts


def remaining(parts: Sequence[int], counted: int) -> list[int]:
    """What is left of each part of a gift when `counted` is left of the whole: what was given back or lost is borne in
    proportion."""
    lost = divide(sum(parts) - counted, parts)
    return [part - gone for part, gone in zip(parts, lost, strict=True)]
