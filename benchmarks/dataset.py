"""The data: made inside Postgres, by numbers, the same in every run.

The service's own tables are filled as the service role under row-level security, in chunks with the organization set:
there is no other way in. The plain tables of the reference applications hold the same contacts and gifts.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import Table

from benchmarks.plan import CITIES, Plan
from crm_api.contacts.models import contacts
from crm_api.donations.gifts.models import gifts

CHUNK = 25_000
_CONTACT = "01938d6e-5a00-7000-8000-"
_GIFT = "01938d6e-5a01-7000-8000-"
_ENTRY = "01938d6e-5a02-7000-8000-"


def contact_id(number: int) -> str:
    """The id of a contact by its number, from 1."""
    return f"{_CONTACT}{number:012d}"


def city(number: int) -> str:
    """A city by its number, from 0."""
    return f"City {number:03d}"


def _id(prefix: str, number: str) -> str:
    return f"('{prefix}' || lpad(({number})::text, 12, '0'))::uuid"


_NUMBERED = f"""
    SELECT n, {_id(_CONTACT, "n")} AS id,
        (ARRAY['Олена', 'Nino', 'María', 'Layla', 'John', 'Björk', 'Hanna', 'Zoë'])[1 + n % 8] AS given_name,
        (ARRAY['Шевченко', 'Beridze', 'Núñez', 'Mansour', 'Smith', 'Kovalenko', 'Müller'])[1 + n % 7] || '-' ||
            (n % 5000) AS family_name,
        'donor' || n || '@example.org' AS email, '+38050' || lpad(n::text, 7, '0') AS phone,
        'City ' || lpad((n % {CITIES})::text, 3, '0') AS city, (ARRAY['UA', 'GE', 'ES', 'JO'])[1 + n % 4] AS country,
        now() - (n % 1400) * interval '1 day' AS created_at
    FROM generate_series($2::int, $3::int) n
"""
_CONTACTS = f"""
    INSERT INTO contacts (organization_id, id, kind, display_name, given_name, family_name, language, emails, phones,
        addresses, tags, roles, role_details, source, created_at, updated_at)
    SELECT $1, id, 'person', given_name || ' ' || family_name, given_name, family_name, 'uk',
        jsonb_build_array(jsonb_build_object('address', email, 'label', NULL, 'is_primary', true, 'status', 'valid')),
        jsonb_build_array(jsonb_build_object('number', phone, 'label', NULL, 'is_primary', true, 'status', 'valid')),
        jsonb_build_array(jsonb_build_object('line1', NULL, 'line2', NULL, 'city', city, 'region', NULL,
            'postal_code', NULL, 'country', country, 'label', NULL, 'is_primary', true, 'status', 'unverified',
            'season_from', NULL, 'season_until', NULL)),
        jsonb_build_array('tag-' || n % 20), '["donor"]',
        '[{{"role": "donor", "stage": "active", "since": "2026-01-01", "until": null}}]',
        '{{"channel": "import", "referrer": null, "utm_source": null, "utm_medium": null, "utm_campaign": null,
           "utm_term": null, "utm_content": null}}', created_at, created_at
    FROM ({_NUMBERED}) c
"""
_KEYS = f"""
    INSERT INTO contact_keys (organization_id, kind, value, contact_id)
    SELECT $1, k.kind, k.value, c.id FROM ({_NUMBERED}) c, LATERAL (VALUES
        ('email', c.email), ('phone', c.phone), ('city', lower(c.city)), ('country', c.country),
        ('tag', 'tag-' || c.n % 20), ('role', 'donor'), ('word', lower(c.given_name)), ('word', lower(c.family_name))
    ) k(kind, value)
"""
# The contact of a gift: a number spread evenly and without pattern, the same in every run.
_GIVEN = f"""
    SELECT n, {_id(_GIFT, "n")} AS id,
        {_id(_CONTACT, "1 + (hashint4(n) & 2147483647) % $4::int")} AS contact_id,
        1000 + (n::bigint * 7919) % 20000 AS amount,
        now() - (n % 1400) * interval '1 day' - interval '1 hour' AS received_at
    FROM generate_series($2::int, $3::int) n
"""
_GIFTS = f"""
    INSERT INTO gifts (organization_id, id, contact_id, amount, currency, status, counted, base_amount, base_counted,
        base_rate, base_rate_date, method, received_at, gift_date, created_at, updated_at)
    SELECT $1, id, contact_id, amount, 'USD', 'succeeded', amount, amount, amount, 1, received_at::date,
        'bank_transfer', received_at, received_at::date, received_at, received_at
    FROM ({_GIVEN}) g
"""
_ENTRIES = f"""
    INSERT INTO payment_entries (organization_id, id, gift_id, entry_key, kind, occurred_at, amount, recorded_at)
    SELECT $1, {_id(_ENTRY, "n")}, id, 'charge:staff', 'charge', received_at, amount, received_at FROM ({_GIVEN}) g
"""
_ROLES = f"""
    INSERT INTO contact_keys (organization_id, kind, value, contact_id)
    SELECT $1, 'role', 'donor', c.id FROM ({_NUMBERED}) c
"""
_INDEXES = r"SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'gifts' AND indexname LIKE 'ix\_gifts\_\_%'"
_TABLES = ("contacts", "contact_keys", "gifts", "payment_entries")


def _names(table: Table) -> str:
    return ", ".join(column.name for column in table.c if column.name != "organization_id")


_PLAIN_TABLES = f"""
    DROP SCHEMA IF EXISTS plain CASCADE;
    CREATE SCHEMA plain;
    CREATE TABLE plain.contacts (LIKE public.contacts INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
    ALTER TABLE plain.contacts DROP COLUMN organization_id, ADD COLUMN city text, ADD COLUMN email text;
    INSERT INTO plain.contacts ({_names(contacts)}, city, email)
        SELECT {_names(contacts)}, lower(addresses -> 0 ->> 'city'), emails -> 0 ->> 'address' FROM public.contacts;
    CREATE TABLE plain.gifts (LIKE public.gifts INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
    ALTER TABLE plain.gifts DROP COLUMN organization_id;
    INSERT INTO plain.gifts ({_names(gifts)}) SELECT {_names(gifts)} FROM public.gifts;
    CREATE TABLE plain.donors (contact_id uuid, gift_count int NOT NULL, total_given bigint NOT NULL,
        last_gift_at timestamptz NOT NULL);
    INSERT INTO plain.donors SELECT contact_id, count(*), sum(base_counted), max(received_at)
        FROM plain.gifts GROUP BY contact_id;
    CREATE TABLE plain.events (id uuid PRIMARY KEY, body bytea NOT NULL, received_at timestamptz NOT NULL)
"""
_PLAIN_INDEXES = (
    "ALTER TABLE plain.contacts ADD PRIMARY KEY (id)",
    "CREATE INDEX ON plain.contacts (city, id)",
    "CREATE INDEX ON plain.contacts (email)",
    "CREATE INDEX ON plain.contacts (created_at, id)",
    "CREATE INDEX ON plain.contacts (updated_at, id)",
    "ALTER TABLE plain.gifts ADD PRIMARY KEY (id)",
    "ALTER TABLE plain.gifts ADD FOREIGN KEY (contact_id) REFERENCES plain.contacts (id)",
    "CREATE INDEX ON plain.gifts (contact_id, gift_date, id) INCLUDE (counted, base_counted, received_at)",
    "CREATE INDEX ON plain.gifts (received_at, id)",
    "CREATE INDEX ON plain.gifts (created_at, id)",
    "CREATE INDEX ON plain.gifts (status, received_at, id)",
    "ALTER TABLE plain.donors ADD PRIMARY KEY (contact_id)",
)

Progress = Callable[[str], None]


async def _fill(service_url: str, organization_id: UUID, sql: str, numbers: int, *more: Any) -> None:
    """Run one INSERT … SELECT over all numbers, in chunks, on as many connections as there are cores to use."""
    starts = list(range(1, numbers + 1, CHUNK))

    async def work() -> None:
        connection = await asyncpg.connect(service_url)
        try:
            while starts:
                first = starts.pop(0)
                async with connection.transaction():
                    await connection.execute(f"SET LOCAL crm.organization_id = '{organization_id}'")
                    await connection.execute("SET LOCAL synchronous_commit = off")
                    last = min(first + CHUNK - 1, numbers)
                    await connection.execute(sql, organization_id, first, last, *more)
        finally:
            await connection.close()

    await asyncio.gather(work(), work())


async def load(
    service_url: str, owner_url: str, organization_id: UUID, plan: Plan, say: Progress, *, lean: bool = False
) -> None:
    """Fill the service's tables and gather statistics. `lean`: what scoring reads, and no more."""
    owner = await asyncpg.connect(owner_url, command_timeout=3600)
    try:
        say(f"{plan.contacts:,} contacts")
        await _fill(service_url, organization_id, _CONTACTS, plan.contacts)
        await _fill(service_url, organization_id, _ROLES if lean else _KEYS, plan.contacts)
        say(f"{plan.gifts:,} donations")
        indexes = await owner.fetch(_INDEXES) if lean else []
        for index in indexes:
            await owner.execute(f"DROP INDEX {index['indexname']}")
        await _fill(service_url, organization_id, _GIFTS, plan.gifts, plan.contacts)
        await owner.execute("SET maintenance_work_mem = '512MB'")
        for index in indexes:
            await owner.execute(index["indexdef"])
        if not lean:
            await _fill(service_url, organization_id, _ENTRIES, plan.gifts, plan.contacts)
        say("statistics")
        for table in _TABLES:
            await owner.execute(f"VACUUM (ANALYZE) {table}")
    finally:
        await owner.close()


async def load_plain(owner_url: str, organization_id: UUID, say: Progress) -> None:
    """The reference applications' own tables: no tenant, no policies, indexes of the same use."""
    say("tables of the reference applications")
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute("SET maintenance_work_mem = '256MB'; SET synchronous_commit = off")
        await owner.execute(f"SET crm.organization_id = '{organization_id}'")
        await owner.execute(_PLAIN_TABLES)
        for statement in _PLAIN_INDEXES:
            await owner.execute(statement)
        for table in ("contacts", "gifts", "donors"):
            await owner.execute(f"VACUUM (ANALYZE) plain.{table}")
    finally:
        await owner.close()


def random_contacts(plan: Plan, seed: int, count: int) -> list[str]:
    """Contact ids, uniformly drawn with a fixed seed."""
    draw = random.Random(seed)
    return [contact_id(draw.randint(1, plan.contacts)) for _ in range(count)]


def random_cities(seed: int, count: int) -> list[str]:
    """City names, uniformly drawn with a fixed seed."""
    draw = random.Random(seed)
    return [city(draw.randrange(CITIES)) for _ in range(count)]
