"""A request that talks to the outside: several short transactions, and none of them open while it talks.

The first takes the idempotency key, or answers from what is stored under it; the last keeps the answer together with
its effect. Between them no lock says that the request is running: whoever works in stages keeps a row that does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crm_api.idempotency import service
from crm_api.idempotency.boundary import Call, claim_key
from crm_api.kit.db import Actor, Database, Tenant, WriteSession
from crm_api.kit.reply import Reply, created

if TYPE_CHECKING:
    from fastapi import Request


class Stages:
    """The transactions of one request. The body must have been read before."""

    def __init__(self, request: Request, call: Call, database: Database, tenant: Tenant, actor: Actor) -> None:
        self._request = request
        self._call = call
        self._database = database
        self.tenant = tenant
        self.actor = actor

    @property
    def claim(self) -> service.Claim | None:
        """The idempotency key, once `first` has taken it."""
        return self._call.claim

    @asynccontextmanager
    async def first(self) -> AsyncIterator[WriteSession]:
        """The first transaction. A request that was carried out already ends here, with its answer."""
        async with self._database.write(self.tenant, self.actor) as session:
            self._call.session = session
            try:
                await claim_key(self._request, self._call)
            finally:
                self._call.session = None
            yield session

    @asynccontextmanager
    async def next(self) -> AsyncIterator[WriteSession]:
        """A further transaction. It knows no limit of the caller: what was named was looked up in the first."""
        async with self._database.write(self.tenant, replace(self.actor, limit=None)) as session:
            yield session

    def answer(self, session: WriteSession, content: Mapping[str, Any], location: str) -> Reply:
        """201 with the content, kept under the idempotency key in this transaction."""
        reply = created(content, location)
        if self.claim is not None:
            headers = {name: value for name, value in reply.headers.items() if name in {"content-type", "location"}}
            service.store(session, self.claim, status=201, headers=headers, body=bytes(reply.body))
        return reply
