"""What the models of giving are fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the gifts say of each donor, one place per donor in every list."""

    contacts: Sequence[UUID]
    x: Sequence[float]
    """Repeat days with a gift, `tx` days from the first to the last of them, `span` days observed since the first."""
    tx: Sequence[float]
    span: Sequence[float]
    rated: Sequence[float]
    """Repeat days with a rate, and the `mean` of their amounts in minor units."""
    mean: Sequence[float]
    years_x: Sequence[float]
    """Fiscal years with a repeat gift, the last of them counted from the first year, and years observed that are
    over."""
    years_t: Sequence[float]
    years_n: Sequence[float]
