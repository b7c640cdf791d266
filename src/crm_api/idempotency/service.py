"""Idempotency keys: the key and its effect commit together.

The same key with the same request gives the stored answer; with another request 422; while its twin is still running
409. A failed request stores nothing, so it can be sent again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text

from crm_api.idempotency.models import idempotency_keys
from crm_api.kit import clock
from crm_api.kit.db import Row, WriteSession, prepare
from crm_api.kit.problems import BadRequest, Conflict, Invalid

KEPT = timedelta(days=7)
_CLAIM = prepare(
    text(
        """
        SELECT pg_try_advisory_xact_lock(hashtextextended(:lock, 0)) AS free, k.fingerprint, k.status, k.headers, k.body
        FROM (SELECT 1) one LEFT JOIN idempotency_keys k
          ON k.organization_id = :organization_id AND k.principal = :principal AND k.key = :key
        """
    )
)
_PRUNE = prepare(text("DELETE FROM idempotency_keys WHERE organization_id = :organization_id AND created_at < :before"))
_GET = prepare(
    text(
        "SELECT fingerprint, status, headers, body FROM idempotency_keys "
        "WHERE organization_id = :organization_id AND principal = :principal AND key = :key"
    )
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A key taken by the running request."""

    principal: str
    key: str
    fingerprint: str


def fingerprint(method: str, path: str, query: str, body: bytes) -> str:
    """What makes two requests the same."""
    digest = hashlib.sha256(f"{method} {path}?{query}\n".encode())
    digest.update(body)
    return digest.hexdigest()


def check_key(key: str) -> None:
    """The form of a key: 1 to 255 printable ASCII characters."""
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise BadRequest(
            "Idempotency-Key must be 1 to 255 printable ASCII characters, for instance a UUID.",
            code="idempotency_key_malformed",
        )


async def claim(session: WriteSession, claimed: Claim) -> Row | None:
    """Take the key for this transaction; the stored answer when the request was already carried out."""
    lock = f"{session.organization_id}:{claimed.principal}:{claimed.key}"
    row = await session.fetch_row(_CLAIM, lock=lock, principal=claimed.principal, key=claimed.key)
    if row is None or not row["free"]:
        raise Conflict(
            "A request with this Idempotency-Key is still running. Wait, then send it again.",
            code="idempotency_in_progress",
        )
    # The snapshot of the claim may be older than the twin's commit, while its lock is already free: look once more.
    stored: Row | None = row if row["fingerprint"] is not None else None
    if stored is None:
        stored = await session.fetch_row(_GET, principal=claimed.principal, key=claimed.key)
    if stored is None:
        return None
    if stored["fingerprint"] != claimed.fingerprint:
        raise Invalid(
            "This Idempotency-Key was used for another request. Use a new key for a new request.",
            code="idempotency_key_reused",
        )
    return stored


def store(session: WriteSession, claimed: Claim, *, status: int, headers: dict[str, str], body: bytes) -> None:
    """Keep the answer, in the transaction of its effect."""
    session.later(
        idempotency_keys,
        principal=claimed.principal,
        key=claimed.key,
        fingerprint=claimed.fingerprint,
        status=status,
        headers=headers,
        body=body.decode(),
        created_at=clock.utc_now(),
    )


async def prune(session: WriteSession) -> int:
    """Remove answers older than a week."""
    return await session.execute(_PRUNE, before=clock.utc_now() - KEPT)
