"""The review queue: pairs that may be one person, and what was decided of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.contacts.dedupe.matching import Match
from crm_api.contacts.dedupe.merging import lock_all, merge_contacts
from crm_api.contacts.dedupe.models import duplicates
from crm_api.contacts.models import contacts
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, Invalid, NotFound
from crm_api.kit.updates import get_row, update_row

_SAME = (
    "id", "state", "certainty", "score", "rules", "fields", "rules_version", "origin", "merge_id", "decided_at",
    "decided_by", "version", "created_at", "updated_at",
)  # fmt: skip
_PUT_ASIDE = prepare(
    text(
        """
        INSERT INTO duplicates (organization_id, id, low_id, high_id, certainty, score, rules, fields, rules_version,
            origin, created_at, updated_at)
        SELECT CAST(:organization_id AS uuid), r.id, r.low_id, r.high_id, r.certainty, r.score, r.rules, r.fields,
            CAST(:rules_version AS integer), CAST(:origin AS text), CAST(:now AS timestamptz), CAST(:now AS timestamptz)
        FROM jsonb_to_recordset(CAST(:pairs AS jsonb)) AS r(id uuid, low_id uuid, high_id uuid, certainty text,
            score integer, rules jsonb, fields jsonb)
        ON CONFLICT (organization_id, low_id, high_id) DO UPDATE SET certainty = excluded.certainty,
            score = excluded.score, rules = excluded.rules, fields = excluded.fields,
            rules_version = excluded.rules_version, version = duplicates.version + 1, updated_at = excluded.updated_at
        WHERE duplicates.state = 'open' AND (duplicates.score, duplicates.fields, duplicates.rules) IS DISTINCT FROM
            (excluded.score, excluded.fields, excluded.rules)
        """
    )
)
_LOCK = prepare(
    select(duplicates)
    .where(duplicates.c.organization_id == bindparam("organization_id"), duplicates.c.id == bindparam("id"))
    .with_for_update(key_share=True)
)
_OLDER = prepare(
    select(contacts.c.id)
    .where(
        contacts.c.organization_id == bindparam("organization_id"),
        contacts.c.id.in_([bindparam("one"), bindparam("other")]),
    )
    .order_by(contacts.c.created_at, contacts.c.id)
    .limit(1)
)


def to_read(row: RowLike) -> dict[str, Any]:
    """A pair as the API shows it."""
    return {**{name: row[name] for name in _SAME}, "contact_ids": [row["low_id"], row["high_id"]]}


async def put_aside(
    session: WriteSession, pairs: Sequence[tuple[UUID, UUID, Match]], *, origin: str, rules_version: int
) -> int:
    """Add pairs to the queue; how many are new or changed. What was decided of a pair stays."""
    if not pairs:
        return 0
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for one, other, match in pairs:
        low, high = sorted((one, other))
        rows[str(low), str(high)] = {
            "id": str(new_id()),
            "low_id": str(low),
            "high_id": str(high),
            "certainty": match.certainty,
            "score": match.score,
            "rules": list(match.rules),
            "fields": [comparison.shown() for comparison in match.comparisons],
        }
    ordered = [rows[key] for key in sorted(rows)]
    return await session.execute(_PUT_ASIDE, pairs=ordered, rules_version=rules_version, origin=origin, now=session.now)


async def get_pair(session: ReadSession, pair_id: UUID) -> dict[str, Any]:
    """One pair, or 404."""
    return to_read(await get_row(session, duplicates, pair_id, "pair of duplicates"))


async def _locked(session: WriteSession, pair_id: UUID) -> Row:
    row = await session.fetch_row(_LOCK, id=pair_id)
    if row is None:
        raise NotFound("There is no such pair of duplicates.")
    if row["state"] == "merged":
        raise Conflict("The two were merged; undo that merge first.", code="pair_merged", merge_id=str(row["merge_id"]))
    return row


async def dismiss(session: WriteSession, pair_id: UUID) -> dict[str, Any]:
    """These are two people: remembered for ever, also when one of them is merged with somebody else."""
    row = await _locked(session, pair_id)
    if row["state"] == "dismissed":
        return to_read(row)
    actor = f"{session.actor.kind}:{session.actor.id}"
    changes = {"state": "dismissed", "decided_at": session.now, "decided_by": actor}
    after = await update_row(session, duplicates, pair_id, changes, expected=None)
    record(session, "duplicate.dismissed", "duplicate", pair_id)
    return to_read(after)


async def merge_pair(session: WriteSession, pair_id: UUID, survivor_id: UUID | None) -> dict[str, Any]:
    """Merge the two; the older one survives unless said otherwise. The merge."""
    named = await get_row(session, duplicates, pair_id, "pair of duplicates")
    await lock_all(session, [named["low_id"], named["high_id"]])  # before the pair, as every merge does
    row = await _locked(session, pair_id)
    pair = (row["low_id"], row["high_id"])
    survivor = survivor_id or await session.fetch_val(_OLDER, one=pair[0], other=pair[1])
    if survivor not in pair:
        raise Invalid.at("/survivor_id", "not_a_party", "Name one of the two contacts of this pair.")
    return await merge_contacts(session, survivor, [pair[1] if survivor == pair[0] else pair[0]])
