"""Which of several forms of an answer a client would rather have, by its `Accept` header. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def chosen(accept: str | None, offers: Sequence[str]) -> str | None:
    """The offered media type that the header ranks highest, of equal ones the first; nothing where it takes none."""
    best: float = 0.0
    found: str | None = None
    for offer in offers:
        rank = _rank(accept or "*/*", offer)
        if rank > best:
            best, found = rank, offer
    return found


def _rank(accept: str, offer: str) -> float:
    """The weight that the header's most specific range gives to a media type."""
    weight, closest = 0.0, -1
    for part in accept.lower().split(","):
        kind, *parameters = [one.strip() for one in part.split(";")]
        specific = (offer, f"{offer.partition('/')[0]}/*", "*/*")
        if kind in specific and (closeness := 2 - specific.index(kind)) > closest:
            weight, closest = _weight(parameters), closeness
    return weight


def _weight(parameters: Sequence[str]) -> float:
    for one in parameters:
        name, _, value = one.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
