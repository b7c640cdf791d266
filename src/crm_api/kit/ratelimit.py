"""Rate limits per key, kept in the process: a limit protects the service and costs no trip anywhere."""

from __future__ import annotations

from typing import NamedTuple

from crm_api.kit import clock


class Verdict(NamedTuple):
    """Whether a request may pass, and what the headers say."""

    allowed: bool
    remaining: int
    reset_seconds: int


class RateLimiter:
    """The generic cell rate algorithm: `burst` at once, then `per_second`. Two numbers of state per key."""

    def __init__(self, *, per_second: float, burst: int, max_keys: int = 10_000) -> None:
        self.per_second = per_second
        self.burst = burst
        self._max_keys = max_keys
        self._full_at: dict[str, float] = {}
        self.policy = f'"default";q={burst};w={max(round(burst / per_second), 1)}'

    def hit(self, key: str) -> Verdict:
        """Count one request of the key."""
        now = clock.monotonic()
        if len(self._full_at) > self._max_keys:
            self._full_at = {name: at for name, at in self._full_at.items() if at > now}
        full_at = max(self._full_at.get(key, now), now)
        used = (full_at - now) * self.per_second
        if used + 1 > self.burst:
            wait = (used + 1 - self.burst) / self.per_second
            return Verdict(False, 0, max(int(wait + 0.999), 1))
        self._full_at[key] = full_at + 1 / self.per_second
        return Verdict(True, int(self.burst - used - 1), int(used / self.per_second + 0.999))
