"""What can go wrong with a run of a job, in words, and how long to leave it alone."""

from __future__ import annotations

import random
import traceback

from crm_api.kit.problems import Problem
from crm_api.outbox.facts import GiveUp


class LeaseLost(Exception):
    """Another worker has taken the row over; this run must not commit."""


class TookTooLong(Exception):
    """The handler was stopped at its time limit."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"It did not finish within {seconds:g} seconds.")


def backoff(attempts: int, *, base: float = 1.0, cap: float = 6 * 3600) -> float:
    """Seconds until the next try: doubling, capped, with half of it random so that failures do not march in step."""
    span = min(base * 2.0 ** (attempts - 1), cap)
    return span / 2 + random.uniform(0, span / 2)  # noqa: S311 (jitter, not a secret)


def pause(base: float) -> float:
    """Seconds until work is tried again that failed for no reason of its own (the database was away)."""
    return base * random.uniform(1, 3)  # noqa: S311


def describe(error: BaseException) -> str:
    """What went wrong, without data: our own sentences whole, anything else by type and place."""
    if isinstance(error, (GiveUp, TookTooLong)):
        return str(error)
    if isinstance(error, Problem):
        return f"{error.code}: {error.detail}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    code = getattr(error, "sqlstate", None) or getattr(error, "code", None) or ""
    return f"{type(error).__name__}{f' {code}' if isinstance(code, str) and code else ''}{place}"
