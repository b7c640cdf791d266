"""The invariants of `reliability.md` A4 as one checker over a database, to be run after every fault.

It connects as the service role, one organization at a time, and says in words what is wrong. I3 compares the
journals with a replay of all gifts, every gift's figures with its own entries, and every donor's with a rebuild from
zero.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.donations.gifts.balances import derive
from crm_api.donations.gifts.repository import entry_of
from crm_api.donations.ledger.proofs import repository as proofs
from crm_api.kit import clock
from crm_api.kit.db import SYSTEM, Database, Row, Tenant, WriteSession, prepare
from crm_api.kit.tables import metadata
from crm_api.organizations.service import load_tenant
from crm_api.registry import load_models
from crm_api.scoring import rebuilding
from crm_api.scoring import repository as scoring
from crm_api.scoring.service import today


@dataclass
class ClientLog:
    """What a client was told: the promises the service has made."""

    events: set[str] = field(default_factory=set)
    """Provider event ids that were answered with 2xx."""
    created: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Ids of resources whose creation was answered with 201, by table."""
    keys: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Ids that requests with one Idempotency-Key were answered with."""
    answers: Counter[tuple[str, str, int, str]] = field(default_factory=Counter)
    """How often method, path, status and content type were seen."""

    def answered(self, method: str, path: str, status: int, content_type: str, body: bytes) -> None:
        """Note an answer; a body that is not JSON is noted as such."""
        kind = content_type.partition(";")[0]
        if body and "json" in kind:
            try:
                json.loads(body)
            except ValueError:
                kind = "broken JSON"
        self.answers[(method, path.partition("?")[0], status, kind)] += 1


@dataclass(frozen=True)
class Bounds:
    """How old unfinished work may be before it counts as stuck."""

    overdue: timedelta = timedelta(seconds=60)
    waiting: timedelta = timedelta(hours=2)
    quiet: bool = False
    """Everything is said to be over: nothing may be due or running at all."""


async def violations(
    database_url: str,
    organizations: Iterable[UUID],
    *,
    log: ClientLog | None = None,
    bounds: Bounds | None = None,
    mail: Path | None = None,
    connections: int | None = None,
) -> list[str]:
    """Everything that is wrong, in words; an empty list when all invariants hold.

    `connections`: how many the service may hold at most now (I6). `mail`: the folder of letters.
    """
    told, limits = log or ClientLog(), bounds or Bounds()
    found = statuses(told)
    database = await Database.open(database_url, size=2, name="invariants")
    try:
        known = list(organizations)
        found += await _unset_tenant(database)
        for organization_id in known:
            tenant = await load_tenant(database.read(Tenant(organization_id, "live", "USD", "UTC", "en")))
            if tenant is None:
                found.append(f"I1: organization {organization_id} is gone")
                continue
            said = await _of_organization(database, tenant, told, limits)
            found += [f"{line} (organization {organization_id})" for line in said]
        if connections is not None:
            found += await _connections(database, connections)
    finally:
        await database.close()
    if mail is not None:
        found += [f"I6: a half-written letter was left behind: {p.name}" for p in mail.glob(".*")]
    return found


class _Enough(Exception):
    """Everything was looked at; what the comparison has written is to be undone."""


async def _of_organization(database: Database, tenant: Tenant, told: ClientLog, limits: Bounds) -> list[str]:
    found: list[str] = []
    with contextlib.suppress(_Enough):
        async with database.write(tenant, SYSTEM) as session:
            found += await _acknowledged(session, told)
            found += await _one_effect(session, told)
            found += await _gifts(session)
            found += await _books(session)
            found += await _letters(session)
            found += await _jobs(session, limits)
            found += await _inbox(session, limits)
            found += await _own_rows_only(session)
            found += await _audited(session)
            found += await _summaries(session)
            raise _Enough
    return found


async def ask(session: WriteSession, sql: str, **values: Any) -> list[Row]:
    """Rows of a statement in words of SQL."""
    return await session.fetch(prepare(text(sql)), **values)


# I1: every acknowledged write is present


async def _acknowledged(session: WriteSession, told: ClientLog) -> list[str]:
    stored = {row[0] for row in await ask(session, _ALL.format(column="provider_event_id", table="provider_events"))}
    found = _some("I1: acknowledged events are missing", told.events - stored)
    for table, ids in told.created.items():
        present = {str(row[0]) for row in await ask(session, _ALL.format(column="id", table=table))}
        found += _some(f"I1: acknowledged rows are missing from {table}", ids - present)
    return found


_ALL = "SELECT {column} FROM {table} WHERE organization_id = :organization_id"


# I2: one effect per key and per payment


async def _one_effect(session: WriteSession, told: ClientLog) -> list[str]:
    found = [
        f"I2: one Idempotency-Key made {len(ids)} resources: {key}" for key, ids in told.keys.items() if len(ids) > 1
    ]
    for what, sql in {
        "payment": """
            SELECT provider_payment_id FROM gifts WHERE organization_id = :organization_id
                AND provider_payment_id IS NOT NULL AND status <> 'canceled'
            GROUP BY connection_id, provider_payment_id HAVING count(*) > 1""",
        "reference": """
            SELECT ref FROM gift_payment_refs WHERE organization_id = :organization_id
            GROUP BY connection_id, ref HAVING count(DISTINCT gift_id) > 1""",
        "event": """
            SELECT provider_event_id FROM provider_events WHERE organization_id = :organization_id
            GROUP BY connection_id, provider_event_id HAVING count(*) > 1""",
        "fact and subscriber": """
            SELECT fact_id::text || subscriber FROM jobs WHERE organization_id = :organization_id
            GROUP BY fact_id, subscriber HAVING count(*) > 1""",
        "schedule occurrence": """
            SELECT name || occurrence::text FROM schedule_occurrences WHERE organization_id = :organization_id
            GROUP BY name, occurrence HAVING count(*) > 1""",
    }.items():
        found += _some(f"I2: more than one effect of one {what}", {row[0] for row in await ask(session, sql)})
    return found


# I3: the journal against a replay of the gifts, gifts against their entries, donors against a rebuild


async def _books(session: WriteSession) -> list[str]:
    """What is posted is what a replay of all gifts would post; gifts the worker has not got to are left out."""
    row = await proofs.replay(session, 5)
    named = {str(one["gift_id"]) for one in row["named"] or ()}
    wrong = [one["account"] for one in row["totals"] or () if one["posted"] != one["replayed"]]
    return [*_some("I3: the journals differ from a replay of gifts", named), *_some("I3: accounts are off", set(wrong))]


async def _gifts(session: WriteSession) -> list[str]:
    entries = defaultdict(list)
    for row in await ask(session, "SELECT * FROM payment_entries WHERE organization_id = :organization_id"):
        entries[row["gift_id"]].append(entry_of(row))
    found = []
    for gift in await ask(session, "SELECT * FROM gifts WHERE organization_id = :organization_id"):
        balance = derive(entries[gift["id"]])
        names = ("status", "refunded", "fee", "charged_back", "counted", "failure_reason")
        wrong = [name for name in names if gift[name] != getattr(balance, name)]
        if balance.gross and gift["amount"] != balance.gross:
            wrong.append("amount")
        if gift["currency"] == session.tenant.currency and gift["base_counted"] != gift["counted"]:
            wrong.append("base_counted")
        if wrong:
            found.append(f"I3: gift {gift['id']} differs from its entries in {', '.join(wrong)}")
    return found


async def _summaries(session: WriteSession) -> list[str]:
    """Compare the donors' stored figures of today with a rebuild (which is rolled back afterwards)."""
    query = "SELECT * FROM donor_summaries WHERE organization_id = :organization_id AND as_of = :as_of"
    as_of = today(session)
    before = {row["contact_id"]: dict(row) for row in await ask(session, query, as_of=as_of)}
    by = await scoring.standing(session, as_of)
    await rebuilding.rebuild_summaries(session, by, as_of)
    if by.borders is not None:
        await rebuilding.rescore(session, by.borders, as_of)
    after = {row["contact_id"]: dict(row) for row in await ask(session, query, as_of=as_of)}
    found = _some("I3: donors without stored figures", {str(one) for one in after.keys() - before.keys()})
    for contact_id in before.keys() & after.keys():
        old, new = before[contact_id], after[contact_id]
        wrong = [name for name in old if name not in {"computed_at", "as_of"} and old[name] != new[name]]
        if wrong:
            found.append(f"I3: the figures of donor {contact_id} differ from a rebuild in {', '.join(wrong)}")
    return found


async def _letters(session: WriteSession) -> list[str]:
    """At most one letter of each family per gift, and one welcome per donor."""
    family = "CASE kind WHEN 'welcome' THEN 'thanks' WHEN 'thank_you' THEN 'thanks' ELSE kind END"
    twice = await ask(
        session,
        f"SELECT gift_id FROM messages WHERE organization_id = :organization_id AND gift_id IS NOT NULL "
        f"GROUP BY gift_id, {family} HAVING count(*) > 1",
    )
    welcomed = await ask(
        session,
        "SELECT contact_id FROM messages WHERE organization_id = :organization_id AND kind = 'welcome' "
        "GROUP BY contact_id HAVING count(*) > 1",
    )
    return [
        *_some("I2: more than one letter of a family for gift", {str(row[0]) for row in twice}),
        *_some("I2: more than one welcome for contact", {str(row[0]) for row in welcomed}),
    ]


# I4: every row terminal or scheduled, none older than its bound


async def _jobs(session: WriteSession, limits: Bounds) -> list[str]:
    now = clock.utc_now()
    rows = await ask(
        session,
        "SELECT id, subscriber, state, due_at, attempts, last_error, wait_key, finished_at FROM jobs "
        "WHERE organization_id = :organization_id AND (state <> 'done' OR finished_at IS NULL)",
    )
    found = []
    for row in rows:
        said = f"job {row['id']} ({row['subscriber']}, {row['state']}, attempt {row['attempts']}, {row['last_error']})"
        if row["state"] in {"done", "dead"}:
            if row["finished_at"] is None or (row["state"] == "dead" and not row["last_error"]):
                found.append(f"I4: {said} has ended without a time or a reason")
        elif row["state"] == "waiting" and row["wait_key"] is None:
            found.append(f"I4: {said} waits for nothing")
        elif row["state"] != "waiting" and limits.quiet:
            found.append(f"I4: {said} is not finished")
        elif row["due_at"] < now - limits.overdue or row["due_at"] > now + limits.waiting:
            found.append(f"I4: {said} is due at {row['due_at']:%H:%M:%S}, out of bounds at {now:%H:%M:%S}")
        if row["state"] == "running" and limits.quiet:
            found.append(f"I6: {said} still holds a lease")
    return found


async def _inbox(session: WriteSession, limits: Bounds) -> list[str]:
    """An event or letter that is not settled must have a job that will settle it."""
    live = "state IN ('due', 'running', 'waiting')"
    events = await ask(
        session,
        f"""
        SELECT e.id, e.state FROM provider_events e WHERE e.organization_id = :organization_id
            AND e.state IN ('received', 'waiting') AND NOT EXISTS (
                SELECT 1 FROM jobs j WHERE j.organization_id = :organization_id AND j.{live}
                    AND j.subscriber = 'payments.apply_event' AND j.payload ->> 'event_id' = e.id::text)
        UNION ALL
        SELECT e.id, 'failed without a dead job' FROM provider_events e WHERE e.organization_id = :organization_id
            AND e.state = 'failed' AND NOT EXISTS (
                SELECT 1 FROM jobs j WHERE j.organization_id = :organization_id AND j.state = 'dead'
                    AND j.payload ->> 'event_id' = e.id::text)
        """,
    )
    letters = await ask(
        session,
        f"""
        SELECT m.id, m.state FROM messages m WHERE m.organization_id = :organization_id
            AND m.state IN ('queued', 'sending') AND NOT EXISTS (
                SELECT 1 FROM jobs j WHERE j.organization_id = :organization_id AND j.{live}
                    AND j.subscriber = 'communications.send_letter' AND j.payload ->> 'message_id' = m.id::text)
        """,
    )
    return [
        *[f"I4: event {row['id']} is {row['state']} and no job will settle it" for row in events],
        *[f"I4: letter {row['id']} is {row['state']} and no job will settle it" for row in letters],
    ]


# I5: nothing crosses tenants


def _tenant_tables() -> list[str]:
    load_models()
    return [table.name for table in metadata.sorted_tables if table.info.get("tenant")]


async def _own_rows_only(session: WriteSession) -> list[str]:
    found = []
    for table in _tenant_tables():
        (row,) = await ask(
            session,
            f"SELECT count(*) FROM {table} t WHERE t.organization_id IS DISTINCT FROM CAST(:organization_id AS uuid)",
        )
        if row[0]:
            found.append(f"I5: {row[0]} rows of other organizations can be seen in {table}")
    return found


async def _unset_tenant(database: Database) -> list[str]:
    found = []
    async with database.connection() as connection:
        for table in _tenant_tables():
            if await connection.fetchval(f"SELECT count(*) FROM {table}"):
                found.append(f"I5: rows of {table} can be seen without an organization")
    return found


# I6: back to baseline


async def _connections(database: Database, most: int) -> list[str]:
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT application_name, state, count(*) AS n FROM pg_stat_activity WHERE usename = current_user "
            "AND datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'invariants' "
            "GROUP BY 1, 2"
        )
    total = sum(row["n"] for row in rows)
    found = [f"I6: {row['n']} connections of {row['application_name']} are {row['state']}" for row in rows
             if row["state"] not in {"idle", "active"}]  # fmt: skip
    return [*found, f"I6: {total} connections are open, at most {most} expected"] if total > most else found


# I7 as far as there is something to check: a row for every record made


async def _audited(session: WriteSession) -> list[str]:
    found = []
    for table, action in {"gifts": "donation.recorded", "contacts": "contact.created"}.items():
        rows = await ask(
            session,
            f"SELECT t.id::text FROM {table} t WHERE t.organization_id = :organization_id AND NOT EXISTS ("
            "SELECT 1 FROM audit_events a WHERE a.organization_id = :organization_id AND a.action = :action "
            "AND a.resource_id = t.id::text)",
            action=action,
        )
        found += _some(f"I7: {table} without an audit row", {row[0] for row in rows})
    return found


# I8: only documented statuses and bodies


@lru_cache(maxsize=1)
def _documented() -> list[tuple[re.Pattern[str], str, dict[str, set[str]]]]:
    from crm_api.app import create_app
    from crm_api.settings import Settings

    document = create_app(Settings(_env_file=None, environment="test")).openapi()
    return [
        (
            re.compile("^" + re.sub(r"\{[^}]+\}", "[^/]+", path) + "$"),
            method.upper(),
            {status: set(answer.get("content", {})) for status, answer in operation["responses"].items()},
        )
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "responses" in operation
    ]


def statuses(told: ClientLog) -> list[str]:
    """Answers that the OpenAPI document does not know."""
    found = []
    for (method, path, status, kind), count in told.answers.items():
        known = [of for pattern, verb, of in _documented() if verb == method and pattern.match(path)]
        if not known:
            found.append(f"I8: {method} {path} is not documented")
        elif str(status) not in known[0]:
            found.append(f"I8: {method} {path} answered {status} ({count} times), which is not documented")
        elif kind and known[0][str(status)] and kind not in known[0][str(status)]:
            found.append(f"I8: {method} {path} answered {status} as {kind!r}")
    return found


def _some(words: str, what: set[str]) -> list[str]:
    if not what:
        return []
    shown = ", ".join(sorted(what)[:5])
    return [f"{words}: {len(what)} ({shown}{', …' if len(what) > 5 else ''})"]
