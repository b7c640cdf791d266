"""What a dry run supposes: contacts as they would be after the rows so far, and what they would be found by.

A dry run writes no contact. So that a later row still finds what an earlier one would have created, each is kept as a
draft until the dry run ends; what it is matched by is kept as a digest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from crm_api.contacts.fields import fold_email
from crm_api.contacts.models import contacts
from crm_api.kit.db import WriteSession, prepare
from crm_api.kit.statements import plain
from crm_api.transfers.imports.models import import_draft_keys

_FIND = prepare(
    text(
        """
        SELECT d.record_id, d.fresh, d.state FROM import_drafts d
        WHERE d.organization_id = :organization_id AND d.import_id = :import_id AND d.record_id IN (
            SELECT k.record_id FROM import_draft_keys k WHERE k.organization_id = :organization_id
                AND k.import_id = :import_id AND k.digest = ANY(CAST(:digests AS text[]) COLLATE "C")
            UNION ALL SELECT unnest(CAST(:ids AS uuid[])))
        """
    )
)
_KEEP = prepare(
    text(
        """
        INSERT INTO import_drafts (organization_id, import_id, record_id, fresh, state)
        SELECT :organization_id, :import_id, r.record_id, r.fresh, r.state
        FROM jsonb_to_recordset(CAST(CAST(:rows AS text) AS jsonb)) AS r(record_id uuid, fresh boolean, state jsonb)
        ON CONFLICT (organization_id, import_id, record_id) DO UPDATE SET state = EXCLUDED.state
        """
    )
)
_KEEP_KEYS = prepare(
    text(
        """
        INSERT INTO import_draft_keys (organization_id, import_id, digest, record_id)
        SELECT :organization_id, :import_id, k.digest, k.record_id
        FROM unnest(CAST(:digests AS text[]), CAST(:owners AS uuid[])) AS k(digest, record_id) ON CONFLICT DO NOTHING
        """
    )
)
_CREATED = prepare(
    text(
        """
        SELECT DISTINCT record_id FROM import_rows WHERE organization_id = :organization_id
            AND record_id = ANY(CAST(:ids AS uuid[])) AND import_id = :import_id AND outcome IN ('created', 'queued')
        """
    )
)
_FORGET = [
    prepare(
        text(
            f"""
            DELETE FROM {table} WHERE organization_id = :organization_id AND import_id = :import_id
                AND {column} IN (SELECT {column} FROM {table}
                WHERE organization_id = :organization_id AND import_id = :import_id ORDER BY {column} LIMIT :most)
            """
        )
    )
    for table, column in (("import_drafts", "record_id"), (import_draft_keys.name, "digest"))
]
_MOST = 20_000
_TYPES = {str(column.name): column.type.python_type for column in contacts.c}


def keys_of(state: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """What a contact is matched by."""
    yield from (("external", f"{item['system']}\n{item['id']}") for item in state["external_ids"])
    yield from (("email", fold_email(item["address"])) for item in state["emails"])
    yield from (("phone", item["number"]) for item in state["phones"])


def _digest(key: tuple[str, str]) -> str:
    return blake2b("\x00".join(key).encode(), digest_size=16).hexdigest()


async def find(
    session: WriteSession, import_id: UUID, keys: Iterable[tuple[str, str]], ids: Collection[UUID]
) -> dict[UUID, tuple[bool, dict[str, Any]]]:
    """Drafts by keys and ids: whether the import would create the contact, and how it would be."""
    digests = [_digest(key) for key in keys]
    rows = await session.fetch(_FIND, import_id=import_id, digests=digests, ids=list(ids))
    return {row["record_id"]: (row["fresh"], _typed(row["state"])) for row in rows}


def _typed(state: dict[str, Any]) -> dict[str, Any]:
    """A row as the database would give it, from its JSON."""
    return {name: _value(name, value) for name, value in state.items()}


def _value(name: str, value: Any) -> Any:
    kind = _TYPES[name]
    if value is None or not isinstance(value, str) or kind is str:
        return value
    return kind.fromisoformat(value) if hasattr(kind, "fromisoformat") else kind(value)


async def keep(
    session: WriteSession, import_id: UUID, fresh: Sequence[Mapping[str, Any]], states: Sequence[Mapping[str, Any]]
) -> None:
    """Remember how contacts would be after a chunk."""
    if not states:
        return
    new = {state["id"] for state in fresh}
    rows = [
        {"record_id": one["id"], "fresh": one["id"] in new, "state": {n: v for n, v in one.items() if n in _TYPES}}
        for one in states
    ]
    await session.execute(_KEEP, import_id=import_id, rows=orjson.dumps(rows, default=plain).decode())
    keys = [(_digest(key), state["id"]) for state in states for key in keys_of(state)]
    digests, owners = [digest for digest, _ in keys], [owner for _, owner in keys]
    await session.execute(_KEEP_KEYS, import_id=import_id, digests=digests, owners=owners)


_KNOWN = prepare(
    text(
        "SELECT digest FROM import_draft_keys WHERE organization_id = :organization_id AND import_id = :import_id "
        'AND digest = ANY(CAST(:digests AS text[]) COLLATE "C")'
    )
)


async def known_keys(session: WriteSession, import_id: UUID, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of some keys an earlier row of a dry run has taken."""
    if not keys:
        return set()
    digests = {_digest(key): key for key in keys}
    rows = await session.fetch(_KNOWN, import_id=import_id, digests=list(digests))
    return {digests[row["digest"]] for row in rows}


async def keep_keys(session: WriteSession, import_id: UUID, keys: Sequence[tuple[tuple[str, str], UUID]]) -> None:
    """Remember that rows of a dry run have taken keys."""
    if keys:
        digests, owners = [_digest(key) for key, _ in keys], [owner for _, owner in keys]
        await session.execute(_KEEP_KEYS, import_id=import_id, digests=digests, owners=owners)


async def created_by(session: WriteSession, import_id: UUID, ids: Sequence[UUID]) -> set[UUID]:
    """Which of the contacts an earlier row of the import has created."""
    if not ids:
        return set()
    return {row["record_id"] for row in await session.fetch(_CREATED, import_id=import_id, ids=list(ids))}


_WRITTEN = prepare(
    text(
        """
        SELECT DISTINCT record_id FROM import_rows WHERE organization_id = :organization_id
            AND record_id = ANY(CAST(:ids AS uuid[])) AND import_id = :import_id AND id < CAST(:before AS uuid)
            AND outcome IN ('created', 'updated')
        """
    )
)


async def written_by(session: WriteSession, import_id: UUID, ids: Sequence[UUID], before: UUID) -> set[UUID]:
    """Which of some records a row of the import has created or changed, of those before one: later rows still say what
    the dry run said of them."""
    if not ids:
        return set()
    rows = await session.fetch(_WRITTEN, import_id=import_id, ids=list(ids), before=before)
    return {row["record_id"] for row in rows}


async def forget(session: WriteSession, import_id: UUID) -> bool:
    """Remove a part of the drafts; whether there may be more."""
    counts = [await session.execute(statement, import_id=import_id, most=_MOST) for statement in _FORGET]
    return max(counts) >= _MOST
