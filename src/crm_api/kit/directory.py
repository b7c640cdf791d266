"""Finding what listens at an address before its tenant is known: connections of payment providers, sources of intake.

Both are rows with sealed credentials, and one lookup function of the database serves both (`crm_lookup_connection`):
what may be read across organizations stays one short list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import text

from crm_api.kit import clock
from crm_api.kit.crypto import SecretsUnreadable, Vault
from crm_api.kit.db import Database, Row, Tenant, prepare
from crm_api.kit.log import get_logger
from crm_api.kit.problems import NotFound, Unavailable

log = get_logger("crm_api.directory")
_LOOKUP = prepare(text("SELECT * FROM crm_lookup_connection(:connection_id)"))
_CACHE_SECONDS = 5.0
_MAX_CACHED = 5_000


class Listening(Protocol):
    """What is found: its secrets opened. Never shown, never logged."""

    @property
    def provider(self) -> str:
        """Which provider or kind of source it is."""
        ...

    @property
    def status(self) -> str:
        """``active`` or ``disabled``."""
        ...

    @property
    def tenant(self) -> Tenant:
        """Whose it is."""
        ...


Found = TypeVar("Found", bound=Listening)


class Directory(Generic[Found]):
    """What listens, by id; of live organizations it is remembered for five seconds."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        purpose: str,
        absent: str,
        opens: Callable[[Vault, Tenant, Row], Found],
    ) -> None:
        self._database = database
        self._vault = vault
        self._purpose = purpose
        self._absent = absent
        self._opens = opens
        self._cache: dict[UUID, tuple[float, Found]] = {}

    def forget(self, connection_id: UUID) -> None:
        """Drop what is remembered: its credentials or status changed."""
        self._cache.pop(connection_id, None)

    async def find(self, provider: str, connection_id: UUID) -> Found:
        """What is active at this address, or 404."""
        cached = self._cache.get(connection_id)
        if cached is not None and cached[0] > clock.monotonic():
            found = cached[1]
        else:
            found = await self._load(connection_id)
        if found.provider != provider or found.status != "active":
            raise NotFound(self._absent)
        return found

    async def _load(self, connection_id: UUID) -> Found:
        async with self._database.connection() as connection:
            row: Row | None = await connection.fetchrow(_LOOKUP.sql, connection_id)
        if row is None or row["purpose"] != self._purpose:
            raise NotFound(self._absent)
        tenant = Tenant(
            row["organization_id"], row["mode"], row["currency"], row["timezone"], row["language"], row["test_clock"]
        )
        try:
            found = self._opens(self._vault, tenant, row)
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
