"""FastAPI, asyncpg and orjson with nothing between them: no authentication, no tenants, no models, no audit.

As little work as answers of the same members and size can cost. Its tables are plain: one key column, the city and the
first e-mail as columns of the contact, no rows to search by. Connections are not reset between uses (asyncpg's pool
does so unless told otherwise, one more trip each time), because crm-api does not do it either.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from fastapi import FastAPI, Request, Response
from uuid_utils import compat

CONTACT = (
    "id, kind, display_name, given_name, middle_name, family_name, organization_name, emails, phones, addresses, "
    "language, external_ids, tags, roles, custom, do_not_contact, deceased, source, version, created_at, updated_at"
)
_GET = f"SELECT {CONTACT} FROM contacts WHERE id = $1"
_LIST = f"SELECT {CONTACT} FROM contacts WHERE city = $1 ORDER BY id DESC LIMIT $2"
_CREATE = """
    INSERT INTO contacts (id, kind, display_name, given_name, family_name, emails, phones, addresses, language,
        external_ids, tags, custom, city, email, source, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'api', $15, $15)
"""
_DONATE = """
    INSERT INTO gifts (id, contact_id, amount, currency, status, counted, base_amount, base_counted, base_rate,
        base_rate_date, method, received_at, gift_date, created_at, updated_at)
    VALUES ($1, $2, $3, $4, 'succeeded', $3, $3, $3, 1, $7, $5, $6, $7, $8, $8)
"""
_ROLL_UP = """
    INSERT INTO donors AS d (contact_id, gift_count, total_given, last_gift_at) VALUES ($1, 1, $2, $3)
    ON CONFLICT (contact_id) DO UPDATE SET gift_count = d.gift_count + 1, total_given = d.total_given + $2,
        last_gift_at = greatest(d.last_gift_at, $3)
"""
PROFILE = """
    SELECT count(*) AS gift_count, coalesce(sum(base_counted), 0)::bigint AS total_given,
        max(base_counted) AS largest_gift, min(received_at) AS first_gift_at, max(received_at) AS last_gift_at,
        coalesce(sum(base_counted) FILTER (WHERE gift_date >= current_date - 365), 0)::bigint AS total_last_365_days,
        min(gift_date) AS first_gift_date, max(gift_date) AS last_gift_date
    FROM gifts WHERE contact_id = $1 AND counted > 0 AND gift_date <= current_date
"""
_NO_CONTACT: dict[str, Any] = {
    "middle_name": None, "organization_name": None, "roles": [], "do_not_contact": False, "deceased": False,
    "source": "api", "version": 1,
}  # fmt: skip
_NO_GIFT: dict[str, Any] = {
    "status": "succeeded", "base_rate": "1", "is_anonymous": False, "fund_id": None, "campaign_id": None,
    "recurring_plan_id": None, "connection_id": None, "provider": None, "provider_payment_id": None,
    "failure_reason": None, "external_ids": [], "version": 1,
}  # fmt: skip
# What crm-api works out of rules and scores, here as constants: answers of the same size.
_JUDGED: dict[str, Any] = {
    "donor_status": "active", "is_new": False, "is_major": False, "is_recurring": False, "gifts_without_rate": 0,
    "rfm": {"recency": 3, "frequency": 3, "monetary": 3, "code": "333", "name": "needs_attention", "flags": []},
    "reasons": [{"rule": "new", "field": "days_since_first_gift", "value": 400, "verdict": False}] * 8,
    "rules_version": 1,
}  # fmt: skip
_INGEST = "INSERT INTO events (id, body, received_at) VALUES ($1, $2, $3)"


def _plain(value: Any) -> str:
    return str(value)


def _json(content: Any, status: int = 200) -> Response:
    body = orjson.dumps(content, option=orjson.OPT_UTC_Z, default=_plain)
    return Response(body, status_code=status, media_type="application/json")


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: orjson.dumps(value).decode(),
        decoder=orjson.loads,
        format="text",
    )


class _Connection(asyncpg.Connection):
    def get_reset_query(self) -> str:
        return ""


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(
        os.environ["PLAIN_DATABASE_URL"],
        min_size=1,
        max_size=10,
        init=_prepare,
        connection_class=_Connection,
        server_settings={"search_path": "plain", "jit": "off"},
    ) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=_lifespan, docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/health")
async def health() -> Response:
    """It runs."""
    return Response(b"ok")


@app.get("/v1/contacts")
async def list_contacts(request: Request, city: str, limit: int = 50) -> Response:
    """A page by city."""
    rows = await request.app.state.pool.fetch(_LIST, city.lower(), limit + 1)
    return _json({"data": [dict(row) for row in rows[:limit]], "has_more": len(rows) > limit})


@app.get("/v1/contacts/{contact_id}")
async def get_contact(request: Request, contact_id: UUID) -> Response:
    """One contact."""
    row = await request.app.state.pool.fetchrow(_GET, contact_id)
    return _json({"detail": "not found"}, 404) if row is None else _json(dict(row))


@app.post("/v1/contacts")
async def create_contact(request: Request) -> Response:
    """Add a contact, as it comes."""
    body = orjson.loads(await request.body())
    contact_id, now = compat.uuid7(), datetime.now(UTC)
    name = f"{body['given_name']} {body['family_name']}"
    emails, addresses = body["emails"], body["addresses"]
    await request.app.state.pool.execute(
        _CREATE, contact_id, body["kind"], name, body["given_name"], body["family_name"], emails, body["phones"],
        addresses, body["language"], body["external_ids"], body["tags"], body["custom"],
        addresses[0]["city"].lower(), emails[0]["address"], now,
    )  # fmt: skip
    more = {"id": contact_id, "display_name": name, "created_at": now, "updated_at": now}
    return _json({**_NO_CONTACT, **body, **more}, 201)


@app.post("/v1/donations")
async def record_donation(request: Request) -> Response:
    """Add a gift and roll its donor's figures up, in one transaction."""
    body = orjson.loads(await request.body())
    gift_id, now, contact_id = compat.uuid7(), datetime.now(UTC), UUID(body["contact_id"])
    amount, received = body["amount"]["amount"], datetime.fromisoformat(body["received_at"])
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            _DONATE, gift_id, contact_id, amount, body["amount"]["currency"], body["method"], received,
            received.date(), now,
        )  # fmt: skip
        await connection.execute(_ROLL_UP, contact_id, amount, received)
    zero, day = {"amount": 0, "currency": body["amount"]["currency"]}, received.date()
    more = {
        "id": gift_id, "refunded_amount": zero, "fee_amount": zero, "net_amount": body["amount"],
        "base_amount": body["amount"], "base_rate_date": day, "gift_date": day, "created_at": now, "updated_at": now,
    }  # fmt: skip
    return _json({**_NO_GIFT, **body, **more}, 201)


@app.get("/v1/contacts/{contact_id}/donor-profile")
async def donor_profile(request: Request, contact_id: UUID) -> Response:
    """A donor's figures, from the gifts."""
    row = await request.app.state.pool.fetchrow(PROFILE, contact_id)
    return _json({"contact_id": contact_id, **_JUDGED, **dict(row), "computed_at": datetime.now(UTC)})


@app.post("/v1/payments/webhooks/{provider}/{connection_id}")
async def ingest(request: Request, provider: str, connection_id: str) -> Response:
    """Store the body."""
    body = await request.body()
    await request.app.state.pool.execute(_INGEST, compat.uuid7(), body, datetime.now(UTC))
    return _json({"received": True}, 202)
