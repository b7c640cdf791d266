"""Against card testing: how many checkouts a key, an address and an e-mail may ask for, and how many refused payments a
connection takes before it rests.

Counted in the database, so that it holds whatever process is asked, and under a lock, so that a burst of requests at
one moment is counted too. Times are the machine's: a movable test clock changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from uuid import UUID

from sqlalchemy import text

from crm_api.kit import clock
from crm_api.kit.crypto import Vault
from crm_api.kit.db import WriteSession, prepare
from crm_api.kit.problems import TooManyRequests
from crm_api.payments.checkouts.policy import Policy

_MINUTE, _HOUR, _TEN = timedelta(minutes=1), timedelta(hours=1), timedelta(minutes=10)


def _full(column: str, name: str) -> str:
    """When the oldest of the newest so many was asked for; null where there are fewer in the window."""
    return (
        f"(SELECT asked_at FROM checkouts WHERE organization_id = :organization_id AND {column} = :{name} "
        f"AND asked_at > :{name}_since ORDER BY asked_at DESC "
        f"OFFSET CAST(:{name}_most AS integer) - 1 LIMIT 1) AS {name}"
    )


_LOCK = prepare(text("SELECT pg_advisory_xact_lock(hashtextextended(:scope, 0))"))
_FULL = prepare(
    text(
        f"""
        SELECT {_full("actor_id", "actor")}, {_full("address_mark", "address")}, {_full("email_mark", "email")},
            (SELECT e.recorded_at FROM gifts g JOIN payment_entries e ON e.organization_id = :organization_id
                AND e.gift_id = g.id AND e.kind = 'failed' AND e.recorded_at > :failed_since
            WHERE g.organization_id = :organization_id AND g.status = 'failed' AND g.received_at > :begun_since
                AND g.connection_id = :connection_id
            ORDER BY e.recorded_at DESC OFFSET CAST(:failed_most AS integer) - 1 LIMIT 1) AS failed
        """
    )
)


@dataclass(frozen=True, slots=True)
class Marks:
    """Who asks, as digests that say nothing to anybody without the key."""

    address: str | None
    email: str | None


def marks_of(vault: Vault, organization_id: UUID, address: str | None, email: str | None) -> Marks:
    """Digests of an address and an e-mail."""

    def mark(label: str, said: str | None) -> str | None:
        return vault.sign(organization_id, f"checkout {label}", said.encode())[:16].hex() if said else None

    return Marks(mark("address", address), mark("email", email.strip().casefold() if email else None))


async def check(session: WriteSession, policy: Policy, connection_id: UUID, marks: Marks, *, publishable: bool) -> None:
    """429 with the time to wait where a limit is used up. A secret key is a server's: it asks for many donors, so
    neither it nor its address is counted."""
    await session.fetch(_LOCK, scope=f"{session.organization_id}:checkouts:{connection_id}")
    now, limits = clock.utc_now(), policy.limits  # once whoever was before us has been counted
    row = await session.fetch_row(
        _FULL,
        actor=session.actor.id,
        actor_since=now - _MINUTE,
        actor_most=limits.per_key_per_minute,
        address=marks.address,
        address_since=now - _HOUR,
        address_most=limits.per_address_per_hour,
        email=marks.email,
        email_since=now - _HOUR,
        email_most=limits.per_email_per_hour,
        connection_id=connection_id,
        failed_since=now - _TEN,
        failed_most=limits.failures_per_ten_minutes,
        begun_since=session.now - timedelta(minutes=policy.page_minutes) - _TEN,
    )
    assert row is not None
    windows = {"email": _HOUR, "failed": _TEN}
    if publishable:
        windows |= {"actor": _MINUTE, "address": _HOUR}
    free_at = [row[name] + window for name, window in windows.items() if row[name] is not None]
    if free_at:
        raise _too_many(max(free_at), now)


def _too_many(free_at: datetime, now: datetime) -> TooManyRequests:
    seconds = max(ceil((free_at - now).total_seconds()), 1)
    problem = TooManyRequests(f"Too many payments were begun or refused lately. Wait {seconds} s, then try again.")
    problem.headers["Retry-After"] = str(seconds)
    return problem
