"""Finding a connection before its tenant is known, for incoming webhooks."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from crm_api.kit import clock
from crm_api.kit.crypto import SecretsUnreadable, Vault
from crm_api.kit.db import Database, Tenant, prepare
from crm_api.kit.log import get_logger
from crm_api.kit.problems import NotFound, Unavailable
from crm_api.payments.connections.service import OpenConnection, open_connection

log = get_logger("crm_api.payments")
_LOOKUP = prepare(text("SELECT * FROM crm_lookup_payment_connection(:connection_id)"))
_CACHE_SECONDS = 5.0
_MAX_CACHED = 5_000


class Directory:
    """Connections by id; those of live organizations are remembered for five seconds."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._cache: dict[UUID, tuple[float, OpenConnection]] = {}

    def forget(self, connection_id: UUID) -> None:
        """Drop what is remembered: its credentials or status changed."""
        self._cache.pop(connection_id, None)

    async def find(self, provider: str, connection_id: UUID) -> OpenConnection:
        """The active connection at this address, or 404."""
        cached = self._cache.get(connection_id)
        if cached is not None and cached[0] > clock.monotonic():
            found = cached[1]
        else:
            found = await self._load(connection_id)
        if found.provider != provider or found.status != "active":
            raise NotFound("No payment connection listens at this address; check the webhook URL at the provider.")
        return found

    async def _load(self, connection_id: UUID) -> OpenConnection:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_LOOKUP.sql, connection_id)
        if row is None:
            raise NotFound("No payment connection listens at this address; check the webhook URL at the provider.")
        tenant = Tenant(
            row["organization_id"], row["mode"], row["currency"], row["timezone"], row["language"], row["test_clock"]
        )
        try:
            found = open_connection(self._vault, tenant, row)
        except SecretsUnreadable as error:
            log.error("connection_unreadable", connection_id=str(connection_id))
            raise Unavailable(
                "The server cannot open this connection's secrets: CRM_SECRET_KEYS lacks the key they were made with.",
                retry_after=300,
            ) from error
        if tenant.mode == "live":
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            self._cache[connection_id] = (clock.monotonic() + _CACHE_SECONDS, found)
        return found
