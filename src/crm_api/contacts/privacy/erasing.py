"""Finding all that is kept of a person, and erasing it, by the declarations of the tables (`kit.personal`)."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import LargeBinary, text

from crm_api.contacts.privacy import declared
from crm_api.contacts.privacy.declared import Rule
from crm_api.kit.db import ReadSession, WriteSession, prepare
from crm_api.kit.personal import spellings

_PERSON = prepare(
    text(
        """
        WITH RECURSIVE own AS (
            SELECT id FROM contacts WHERE organization_id = :organization_id AND id = :id
            UNION
            SELECT c.id FROM contacts c JOIN own ON c.merged_into = own.id WHERE c.organization_id = :organization_id
        )
        SELECT id FROM own
        """
    )
)
_CURRENT = prepare(
    text(
        """
        WITH RECURSIVE line AS (
            SELECT id, merged_into FROM contacts WHERE organization_id = :organization_id AND id = :id
            UNION
            SELECT c.id, c.merged_into FROM contacts c JOIN line ON c.id = line.merged_into
            WHERE c.organization_id = :organization_id
        )
        SELECT id FROM line WHERE merged_into IS NULL
        """
    )
)
_LOCK = prepare(
    text(
        "SELECT id FROM contacts WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[])) "
        "ORDER BY id FOR UPDATE"
    )
)
_REWRITTEN_AT_ONCE = 200
OUTSIDE = (
    "letters that were delivered: they are in the mailboxes of those who got them",
    "what payment providers keep on their side: erase the customer there too",
    "backups of the database and of the file store, until they are replaced",
    "exports and reports that people have downloaded",
)
"""What no erasure of ours reaches, said in every plan."""


class Person:
    """A person: all contacts they have been, and the words that name them in documents of others."""

    def __init__(self, ids: list[UUID], traces: list[str]) -> None:
        self.ids = ids
        self.values: dict[str, Any] = {"ids": ids, "names": [str(one) for one in ids], "traces": traces}


async def person_of(session: ReadSession, contact_id: UUID) -> Person:
    """The person behind a contact, the contacts that were merged into it included."""
    ids = [UUID(str(row["id"])) for row in await session.fetch(_PERSON, id=contact_id)]
    values: dict[str, Any] = {"ids": ids, "names": [str(one) for one in ids], "traces": []}
    traces = [row["trace"] for row in await session.fetch(declared.traces(), **values)]
    return Person(ids, [one for trace in traces for one in spellings(trace)])


async def person_to_erase(session: WriteSession, contact_id: UUID) -> Person:
    """The person behind a contact at this very moment, all contacts they have been locked. Whoever was merged into
    another one since the erasure was asked for is that one now: what was known of them is there."""
    held: set[UUID] = set()
    while True:
        current = await session.fetch_val(_CURRENT, id=contact_id)
        person = await person_of(session, current or contact_id)
        if held.issuperset(person.ids):
            return person
        await session.fetch(_LOCK, ids=person.ids)  # a merge that was under way has ended by then
        held |= set(person.ids)


def _years_after(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)


async def plan(session: ReadSession, person: Person, retention_years: int) -> dict[str, Any]:
    """What an erasure would do: per table the action, how many rows, and for what stays the ground and its end."""
    rules = declared.rules()
    tables = []
    files = 0
    for row in await session.fetch(declared.census(), **person.values):
        files += row["files"]
        if not row["rows"]:
            continue
        rule = rules[row["rule"]]
        newest: date | None = row["newest"]
        years = 0 if rule.standing else retention_years
        tables.append(
            {
                "table": str(rule.table.name),
                "action": rule.personal.action,
                "rows": row["rows"],
                "columns": sorted({*rule.personal.columns, *rule.personal.rewrite} - {"version", "updated_at"}),
                "ground": rule.personal.ground or None,
                "until": _years_after(newest, years).isoformat() if newest else None,
            }
        )
    tables.sort(key=lambda one: (one["table"], one["action"]))
    return {"contact_ids": [str(one) for one in person.ids], "tables": tables, "files": files, "outside": list(OUTSIDE)}


async def erase(session: WriteSession, person: Person) -> list[str]:
    """Erase the person, in this transaction; names of the files that are to be removed once it stands.

    All rows are found first: whose a row is may show only in another row that goes too.
    """
    await session.fetch(_LOCK, ids=person.ids)
    found: list[tuple[Rule, list[dict[str, str]]]] = []
    files: list[str] = []
    for rule in declared.rules():
        rows = [] if rule.standing else await session.fetch(declared.find(rule), **person.values)
        if not rows:
            continue
        found.append((rule, [{name: str(row[name]) for name in rule.key} for row in rows]))
        if rule.personal.files:
            files += [row["_file"] for row in rows if row["_file"]]
    for rule, keys in found:
        if rule.personal.action == "erase":
            for statement in declared.loosen(rule.table):
                await session.execute(statement, keys=keys)
        for column in rule.personal.rewrite:
            await _rewrite(session, rule, column, keys)
        change = declared.change(rule)
        if change is not None:
            await session.execute(change, keys=keys, now=session.now)
    return files


async def _rewrite(session: WriteSession, rule: Rule, column: str, keys: list[dict[str, str]]) -> None:
    """Put what the declaration's function makes of each value in its place."""
    make = rule.personal.rewrite[column]
    binary = isinstance(rule.table.c[column].type, LargeBinary)
    for start in range(0, len(keys), _REWRITTEN_AT_ONCE):
        some = keys[start : start + _REWRITTEN_AT_ONCE]
        rows = await session.fetch(declared.read(rule, (*rule.key, column)), keys=some)
        changed = []
        for row in rows:
            after = make(row[column])
            if after != row[column]:
                key = {name: str(row[name]) for name in rule.key}
                changed.append({**key, "value": "\\x" + bytes(after).hex() if binary and after is not None else after})
        if changed:
            await session.execute(declared.rewrite(rule, column), keys=changed)
