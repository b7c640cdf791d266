"""Verbs of payment connections."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from crm_api.audit.service import record
from crm_api.kit import clock
from crm_api.kit.body import invalid_from
from crm_api.kit.crypto import SecretsUnreadable, Vault
from crm_api.kit.db import ReadSession, Row, RowLike, Tenant, WriteSession
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Invalid
from crm_api.kit.updates import get_row, lock_row, update_row
from crm_api.payments.connections.models import payment_connections
from crm_api.payments.connections.schemas import ConnectionCreate, ConnectionPatch
from crm_api.payments.providers import PROVIDERS

_OVERLAP = timedelta(days=1)


class OpenConnection:
    """A connection with its secrets opened. Never shown, never logged."""

    __slots__ = ("_previous", "_secret", "accounts", "credentials", "id", "provider", "status", "tenant")

    def __init__(self, row: RowLike, tenant: Tenant, stored: dict[str, Any]) -> None:
        self.id: UUID = row["id"]
        self.provider: str = row["provider"]
        self.status: str = row["status"]
        self.tenant = tenant
        self.credentials: dict[str, str] = stored["credentials"]
        self._previous: list[dict[str, str]] = [
            item for item in stored.get("previous", []) if datetime.fromisoformat(item["until"]) > clock.utc_now()
        ]
        self._secret = PROVIDERS[self.provider].secret
        self.accounts: list[dict[str, str]] = [self.credentials]
        if self._secret:
            self.accounts += [{**self.credentials, self._secret: item["secret"]} for item in self._previous]

    def retired_by(self, credentials: dict[str, str], until: datetime) -> list[dict[str, str]]:
        """Earlier secrets that stay valid beside new credentials: each until its own time, the one that is
        replaced now until `until`, at most two."""
        name = self._secret or ""
        fresh, current = credentials.get(name), self.credentials.get(name)
        kept = [item for item in self._previous if item["secret"] not in {fresh, current}]
        if current and current != fresh:
            kept.insert(0, {"secret": current, "until": until.isoformat()})
        return kept[:2]


def open_connection(vault: Vault, tenant: Tenant, row: RowLike) -> OpenConnection:
    """Open a connection's secrets."""
    stored = orjson.loads(vault.open(tenant.id, row["id"], row["credentials"]))
    return OpenConnection(row, tenant, stored)


def webhook_path(provider: str, connection_id: UUID) -> str:
    """Where the provider sends its events."""
    return f"/v1/payments/webhooks/{provider}/{connection_id}"


def to_read(row: RowLike, *, vault: Vault, tenant: Tenant, public_url: str) -> dict[str, Any]:
    """A connection as the API shows it: the names of its credentials only."""
    try:
        names = sorted(orjson.loads(vault.open(tenant.id, row["id"], row["credentials"]))["credentials"])
    except SecretsUnreadable:
        names = []
    return {
        "id": row["id"],
        "provider": row["provider"],
        "name": row["name"],
        "status": row["status"],
        "webhook_url": public_url.rstrip("/") + webhook_path(row["provider"], row["id"]),
        "credentials_set": names,
        "version": row["version"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _checked(provider: str, credentials: dict[str, str]) -> dict[str, str]:
    found = PROVIDERS.get(provider)
    if found is None:
        known = ", ".join(sorted(PROVIDERS))
        raise Invalid.at("/provider", "unknown_provider", f"This provider is not supported; supported: {known}.")
    try:
        model = found.credentials.model_validate(credentials)
    except ValidationError as error:
        raise invalid_from(error, "/credentials", model=found.credentials) from None
    checked: dict[str, str] = model.model_dump(exclude_none=True)
    return checked


def create_connection(session: WriteSession, vault: Vault, body: ConnectionCreate) -> dict[str, Any]:
    """Connect an account; the new row."""
    credentials = _checked(body.provider, body.credentials)
    connection_id = new_id()
    sealed = vault.seal(session.organization_id, connection_id, orjson.dumps({"credentials": credentials}))
    row = {
        "id": connection_id,
        "provider": body.provider,
        "name": body.name,
        "status": "active",
        "credentials": sealed,
        "version": 1,
        "created_at": session.now,
        "updated_at": session.now,
    }
    session.later(payment_connections, **row)
    record(session, "payment_connection.created", "payment_connection", connection_id)
    return row


async def get_connection(session: ReadSession, connection_id: UUID) -> Row:
    """One connection, or 404."""
    return await get_row(session, payment_connections, connection_id, "payment connection")


async def patch_connection(
    session: WriteSession, vault: Vault, connection_id: UUID, body: ConnectionPatch, *, expected: int | None
) -> Row:
    """Change a connection; new credentials take over while the old webhook secret fades out."""
    await lock_row(session, payment_connections, connection_id, expected=expected, what="payment connection")
    row = await get_connection(session, connection_id)
    changes: dict[str, Any] = {}
    for name in body.model_fields_set - {"credentials"}:
        if getattr(body, name) is None:
            raise Invalid.at(f"/{name}", "null_not_allowed", f"{name} cannot be removed.")
        changes[name] = getattr(body, name)
    if body.credentials is not None:
        opened = open_connection(vault, session.tenant, row)
        credentials = _checked(row["provider"], body.credentials)
        stored = {"credentials": credentials, "previous": opened.retired_by(credentials, clock.utc_now() + _OVERLAP)}
        changes["credentials"] = vault.seal(session.organization_id, connection_id, orjson.dumps(stored))
    if not changes:
        return row
    row = await update_row(session, payment_connections, connection_id, changes, expected=None)
    record(session, "payment_connection.updated", "payment_connection", connection_id, fields=changes)
    return row
