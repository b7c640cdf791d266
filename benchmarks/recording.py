"""The SQL of each case, recorded from the service itself: its verbs run on a database that only takes notes."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import orjson

from benchmarks.cases import new_contact, new_donation, new_event
from benchmarks.dataset import contact_id
from benchmarks.stage import WEBHOOK_SECRET, Stage
from crm_api.contacts import service as contacts
from crm_api.contacts.fields import CONTACTS
from crm_api.contacts.schemas import ContactCreate
from crm_api.donations.gifts import service as gifts
from crm_api.donations.gifts.schemas import DonationCreate
from crm_api.kit.db import Actor, Database, Tenant
from crm_api.kit.listing import parse_list_query, read_page
from crm_api.kit.pool import Pool
from crm_api.payments.connections.service import OpenConnection
from crm_api.payments.inbox import service as inbox
from crm_api.payments.provider import Delivery
from crm_api.payments.providers import STRIPE
from crm_api.registry import load_registry
from crm_api.scoring import repository as scoring

Noted = tuple[str, tuple[Any, ...]]
CONTACT = contact_id(1)
"""Stands for any contact."""
CITY = "city 001"
"""Stands for any city."""


class _Notes:
    """A pool of one connection that answers nothing and writes everything down."""

    def __init__(self) -> None:
        self.noted: list[Noted] = []

    async def acquire(self) -> _Notes:
        return self

    async def mend(self, connection: _Notes) -> None:
        pass

    def release(self, connection: _Notes) -> None:
        pass

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        self.noted.append((sql, arguments))
        return []

    async def execute(self, sql: str, *arguments: Any) -> str:
        self.noted.append((sql, arguments))
        return "INSERT 0 1"


class Recorder:
    """Runs each case's verbs once."""

    def __init__(self, stage: Stage) -> None:
        load_registry()
        self.tenant = Tenant(stage.organization_id, "live", "USD", "UTC", "en")
        self.actor = Actor("api_key", str(uuid4()), str(uuid4()))
        self.connection_id = UUID(stage.facts.connection_id)

    @contextlib.asynccontextmanager
    async def _database(self) -> AsyncIterator[tuple[Database, list[Noted]]]:
        notes = _Notes()
        with contextlib.suppress(Exception):  # nothing is found in an empty database
            yield Database(cast("Pool", notes)), notes.noted

    async def get_contact(self) -> list[Noted]:
        """`GET /v1/contacts/{id}`."""
        async with self._database() as (database, noted):
            await contacts.get_contact(database.read(self.tenant), UUID(CONTACT))
        return noted

    async def list_contacts(self) -> list[Noted]:
        """`GET /v1/contacts?city=`."""
        async with self._database() as (database, noted):
            query = parse_list_query(CONTACTS, [("city", CITY), ("limit", "50")], path="/v1/contacts")
            await read_page(database.read(self.tenant), CONTACTS, query, contacts.to_read)
        return noted

    async def create_contact(self) -> list[Noted]:
        """`POST /v1/contacts`."""
        async with self._database() as (database, noted), database.write(self.tenant, self.actor) as session:
            await contacts.create_contact(session, ContactCreate(**new_contact(random.Random(1))))
        return noted

    async def record_donation(self) -> list[Noted]:
        """`POST /v1/donations`."""
        async with self._database() as (database, noted), database.write(self.tenant, self.actor) as session:
            body = orjson.dumps(new_donation(random.Random(1), CONTACT))
            await gifts.record_by_hand(session, DonationCreate.model_validate_json(body))
        return noted

    async def donor_profile(self) -> list[Noted]:
        """`GET /v1/contacts/{id}/donor-profile`."""
        async with self._database() as (database, noted):
            session, today = database.read(self.tenant), datetime.now(UTC).date()
            await scoring.latest_borders(session, today)
            await scoring.summarize_profile(session, UUID(CONTACT), today)
        return noted

    async def webhook_ingest(self) -> list[Noted]:
        """`POST /v1/payments/webhooks/…`."""
        row = {"id": self.connection_id, "provider": "stripe", "status": "active"}
        opened = OpenConnection(row, self.tenant, {"credentials": {"webhook_secret": WEBHOOK_SECRET}})
        body = new_event("pgbench")
        headers = STRIPE.sign(body, secret=WEBHOOK_SECRET, now=datetime.now(UTC))
        async with self._database() as (database, noted):
            await inbox.receive(database, opened, Delivery(body, headers), request_id=self.actor.request_id)
        return noted
