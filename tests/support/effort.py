"""How much the suite tries: everything once a night or before a release, a fixed part of what is alike every time.

`make test` must be done in minutes on two cores, so walks that send every value to every place send some values to
each place, and properties are tried with fewer examples. ``CRM_TEST_EFFORT=1 make test`` sends and tries all of it, a
higher number more examples still.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TypeVar
from zlib import crc32

EFFORT = float(os.environ.get("CRM_TEST_EFFORT", "0.2"))
_TURNS = max(1, round(1 / EFFORT))
T = TypeVar("T")


def examples(number: int) -> int:
    """How many examples a property is tried with, where `number` are thorough."""
    return max(5, round(number * EFFORT))


def some(items: Iterable[T], place: object) -> Iterator[T]:
    """Of items that are tried in many places, those whose turn it is in this one; in all places, each item has its
    turn."""
    first = crc32(str(place).encode())
    return (item for number, item in enumerate(items) if (number + first) % _TURNS == 0)


def seeds(few: int) -> range:
    """Seeds of something costly: so many, five times as many where everything is tried."""
    return range(1, 1 + (few if EFFORT < 1 else 5 * few))


def chosen(place: object) -> bool:
    """Whether this is one of the places where something costly is tried: one in six."""
    return EFFORT >= 1 or crc32(str(place).encode()) % 6 == 0
