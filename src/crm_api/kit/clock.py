"""The one place that reads the clock.

Domain code never calls ``datetime.now()``: it uses the organization's clock (`Session.now`), which a test
organization may move, or `utc_now` for the machine's own time (leases, retries, caches).
"""

from __future__ import annotations

import time
from datetime import UTC as UTC
from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def utc_now() -> datetime:
    """The machine's time, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds on a clock that never goes back; for durations and cache ages."""
    return time.monotonic()


def from_unix(seconds: int) -> datetime:
    """An instant from Unix seconds, as payment providers send them."""
    return datetime.fromtimestamp(seconds, UTC)


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The IANA time zone of that name; `ValueError` when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {name[:64]!r}") from error


def local_date(instant: datetime, zone_name: str) -> date:
    """The calendar date of an instant in an organization's time zone (gift dates, 'days since')."""
    return instant.astimezone(zone(zone_name)).date()


def rfc3339(instant: datetime) -> str:
    """An instant as the API writes it: UTC with ``Z``, microseconds only where there are some."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
