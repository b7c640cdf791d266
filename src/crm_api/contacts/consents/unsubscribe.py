"""Leaving a list without signing in: a signed link in every marketing letter.

The token holds the organization, the contact, and the purpose and list of the letter, sealed with the server's key
(`Vault.seal_link`): there is no row for it, nobody can make one up or read it. It holds for ever, for a letter may lie
unread for years, and follows the contact through merges. Leaving twice is leaving once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.contacts.consents.gate import FACTS
from crm_api.contacts.consents.policy import policy_of
from crm_api.contacts.consents.rules import TRANSACTIONAL, current, event_of
from crm_api.contacts.consents.service import keep, withdrawal
from crm_api.kit.crypto import Vault
from crm_api.kit.db import ReadSession, Row, Tenant, WriteSession, prepare
from crm_api.kit.problems import NotFound

_LABEL = "unsubscribe"
_CHANNEL = "email"
_SURVIVOR = prepare(
    text(
        f"""
        WITH RECURSIVE way AS (
            SELECT id, merged_into, 1 AS steps FROM contacts WHERE organization_id = :organization_id AND id = :id
            UNION ALL
            SELECT n.id, n.merged_into, w.steps + 1 FROM contacts n JOIN way w ON n.id = w.merged_into
            WHERE n.organization_id = :organization_id AND w.steps < 50
        )
        SELECT c.id, c.language, o.name AS organization_name, {FACTS}
        FROM way JOIN contacts c ON c.id = way.id AND c.organization_id = :organization_id
        JOIN organizations o ON o.id = c.organization_id
        WHERE way.merged_into IS NULL
        """
    )
)
_LOCK = prepare(text("SELECT id FROM contacts WHERE organization_id = :organization_id AND id = :id FOR NO KEY UPDATE"))


@dataclass(frozen=True, slots=True)
class Ticket:
    """What an unsubscribe link says."""

    organization_id: UUID
    contact_id: UUID
    purpose: str
    list: str | None


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person behind a link may leave, and has left."""

    organization_name: str
    language: str | None
    purpose: str
    list_name: str | None
    left: frozenset[str]
    """Of ``list``, ``purpose`` and ``all``: what is left already."""


def make_token(vault: Vault, ticket: Ticket) -> str:
    """The token of a link."""
    said = f"{ticket.purpose}/{ticket.list or ''}".encode()
    return vault.seal_link(_LABEL, ticket.organization_id.bytes + ticket.contact_id.bytes + said)


def read_token(vault: Vault, token: str) -> Ticket:
    """What a token says; one that is not ours is a 404."""
    content = vault.open_link(_LABEL, token)
    if content is None:
        raise invalid()
    purpose, _, list_ = content[32:].decode().partition("/")
    return Ticket(UUID(bytes=content[:16]), UUID(bytes=content[16:32]), purpose, list_ or None)


def invalid() -> NotFound:
    """The answer to a link that is not ours."""
    return NotFound(
        "This unsubscribe link is not valid. Open the link in the letter again, or answer the letter.",
        code="unsubscribe_link_invalid",
    )


def headers(public_url: str, token: str) -> dict[str, str]:
    """What mail programs show an unsubscribe button by (RFC 2369, RFC 8058)."""
    return {
        "List-Unsubscribe": f"<{link(public_url, token)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def link(public_url: str, token: str) -> str:
    """The address a token is opened at."""
    return f"{public_url.rstrip('/')}/v1/unsubscribe/{token}"


def bare_tenant(ticket: Ticket) -> Tenant:
    """Enough of a tenant to look the rest up: only we can have made the token."""
    return Tenant(ticket.organization_id, "live", "USD", "UTC", "en")


async def choices(session: ReadSession, ticket: Ticket) -> Choices:
    """What the link's page shows."""
    return _choices(await _survivor(session, ticket), ticket)


async def _survivor(session: ReadSession, ticket: Ticket) -> Row:
    row = await session.fetch_row(_SURVIVOR, id=ticket.contact_id)
    if row is None:
        raise invalid()
    return row


def _scopes(ticket: Ticket) -> dict[str, tuple[str | None, str | None]]:
    """Choice → the purpose and list it leaves."""
    found: dict[str, tuple[str | None, str | None]] = {
        "purpose": (ticket.purpose, None),
        "all": (None, None),
    }
    return {"list": (ticket.purpose, ticket.list), **found} if ticket.list else found


def _refused(row: Row) -> set[tuple[str | None, str | None, str | None]]:
    return {e.scope for e in current(event_of(item) for item in row["consent_events"]) if e.status != "granted"}


def _choices(row: Row, ticket: Ticket) -> Choices:
    refused = _refused(row)
    left = frozenset(
        choice
        for choice, (purpose, list_) in _scopes(ticket).items()
        if {(purpose, _CHANNEL, list_), (purpose, None, list_)} & refused
    )
    named = policy_of(row["organization_settings"]).lists.get(ticket.list or "")
    return Choices(
        organization_name=row["organization_name"],
        language=row["language"],
        purpose=ticket.purpose,
        list_name=(named["name"] if named else ticket.list) if ticket.list else None,
        left=left,
    )


def narrowest(ticket: Ticket) -> str:
    """What a mail program's one click leaves: what the letter was sent to."""
    return "list" if ticket.list else "purpose" if ticket.purpose != TRANSACTIONAL else "all"


async def leave(session: WriteSession, ticket: Ticket, choice: str) -> Choices:
    """Record that the person leaves; nothing where they have left already."""
    row = await _survivor(session, ticket)
    await session.fetch(_LOCK, id=row["id"])
    row = await _survivor(session, ticket)  # what a twin of this request has recorded meanwhile is seen under the lock
    before = _choices(row, ticket)
    scope = _scopes(ticket).get(choice)
    if scope is None or choice in before.left or row["erased_at"] is not None:
        return before
    event: dict[str, Any] = withdrawal(
        row["id"], purpose=scope[0], channel=_CHANNEL, list_=scope[1], source="unsubscribe", now=session.now
    )
    keep(session, event)
    return Choices(before.organization_name, before.language, before.purpose, before.list_name, before.left | {choice})
