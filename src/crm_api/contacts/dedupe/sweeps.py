"""Looking for duplicates in the whole organization: along the keys, in parts, each a transaction of its own.

A part takes some thousand rows of one kind of key in the order of their values, so that contacts which share a key
stand together; it compares those and nobody else. Where it stopped is kept with the sweep: a worker that dies loses
one part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.contacts.dedupe.blocking import KINDS, other_frames
from crm_api.contacts.dedupe.candidates import ROWS
from crm_api.contacts.dedupe.context import judged
from crm_api.contacts.dedupe.facts import SweepDue
from crm_api.contacts.dedupe.matching import Match, RuleSet, likely
from crm_api.contacts.dedupe.merging import lock_all, merge_contacts
from crm_api.contacts.dedupe.models import duplicate_sweeps
from crm_api.contacts.dedupe.nicknames import given_names
from crm_api.contacts.dedupe.profiles import profile_of
from crm_api.contacts.dedupe.queue import put_aside
from crm_api.contacts.dedupe.rules import rules_of
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.problems import Problem
from crm_api.kit.updates import get_row, update_row
from crm_api.outbox.service import emit

PART = 4_000
"""Key rows in one part."""
_MOST_SKIPPED = 100
_PART = prepare(
    text(
        """
        WITH part AS MATERIALIZED (
            SELECT value, contact_id FROM contact_keys WHERE organization_id = :organization_id AND kind = :kind
                AND value > :after ORDER BY value, contact_id LIMIT :most),
        ends AS (SELECT count(*) AS taken, max(value) AS last FROM part),
        blocks AS (SELECT value, count(*) AS size, array_agg(contact_id) AS ids FROM part GROUP BY value)
        SELECT e.taken, e.last, (SELECT count(*) FROM part p WHERE p.value = e.last) AS last_size,
            (SELECT max(p.value) FROM part p WHERE p.value < e.last) AS previous, b.value, b.size, b.ids
        FROM ends e LEFT JOIN blocks b ON b.size > 1 OR (CAST(:kind AS text) = 'frame' AND (
            split_part(b.value, ' ', 2) = ANY(CAST(:short AS text[])) OR
            split_part(b.value, ' ', 3) = ANY(CAST(:short AS text[]))))
        """
    )
)
_SHARING = prepare(
    text(
        "SELECT value, array_agg(contact_id) AS ids FROM contact_keys WHERE organization_id = :organization_id "
        "AND kind = :kind AND value = ANY(CAST(:others AS text[])) GROUP BY value"
    )
)
_TOTAL = prepare(
    text(
        "SELECT count(*) FROM contact_keys WHERE organization_id = :organization_id "
        "AND kind = ANY(CAST(:kinds AS text[]))"
    )
)
_UNDER_WAY = prepare(
    select(duplicate_sweeps)
    .where(
        duplicate_sweeps.c.organization_id == bindparam("organization_id"),
        duplicate_sweeps.c.state.in_([bindparam("queued", "queued"), bindparam("running", "running")]),
    )
    .order_by(duplicate_sweeps.c.id.desc())
    .limit(1)
)
_CHANGED_SINCE = prepare(
    text(
        """
        SELECT EXISTS (SELECT 1 FROM contacts WHERE organization_id = :organization_id AND updated_at >= coalesce(
            (SELECT max(created_at) FROM duplicate_sweeps WHERE organization_id = :organization_id
                AND state = 'succeeded'), '-infinity'))
        """
    )
)
_DECIDED = prepare(
    text(
        "SELECT low_id, high_id FROM duplicates WHERE organization_id = :organization_id AND state <> 'open' "
        "AND (low_id = ANY(CAST(:ids AS uuid[])) OR high_id = ANY(CAST(:ids AS uuid[])))"
    )
)
_READ = (
    "id", "state", "origin", "pairs_compared", "pairs_found", "merged", "skipped", "rules_version", "reason",
    "finished_at", "version", "created_at", "updated_at",
)  # fmt: skip


def to_read(row: RowLike) -> dict[str, Any]:
    """A sweep as the API shows it."""
    done, total = row["keys_done"], row["keys_total"]
    ended = row["state"] == "succeeded"
    progress = 1.0 if ended else min(round(done / total, 3), 0.999) if total else 0.0
    return {**{name: row[name] for name in _READ}, "progress": progress}


async def start_sweep(session: WriteSession, *, origin: str) -> dict[str, Any]:
    """Queue a sweep; the one that is under way, where there is one."""
    running = await session.fetch_row(_UNDER_WAY)
    if running is not None:
        return to_read(running)
    rules = await rules_of(session)
    row: dict[str, Any] = {
        "state": "queued",
        "origin": origin,
        "position_kind": None,
        "position_value": None,
        "keys_total": 0,
        "keys_done": 0,
        "pairs_compared": 0,
        "pairs_found": 0,
        "merged": 0,
        "skipped": [],
        "rules_version": rules.version,
        "reason": None,
        "finished_at": None,
    }
    sweep = simple.add(session, duplicate_sweeps, row)
    record(session, "duplicate_sweep.created", "duplicate_sweep", sweep["id"])
    emit(session, SweepDue(sweep_id=sweep["id"], part=0))
    return to_read(sweep)


async def start_nightly(session: WriteSession) -> None:
    """Sweep if any contact has changed since the last sweep began."""
    if await session.fetch_val(_CHANGED_SINCE):
        await start_sweep(session, origin="nightly")


async def get_sweep(session: ReadSession, sweep_id: UUID) -> dict[str, Any]:
    """One sweep, or 404."""
    return to_read(await get_row(session, duplicate_sweeps, sweep_id, "sweep"))


@dataclass(slots=True)
class _Part:
    """What one part of a sweep is about."""

    consumed: int = 0
    position: str | None = None
    """The last value that was dealt with; nothing: there are no more of this kind."""
    blocks: list[list[UUID]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)


async def continue_sweep(session: WriteSession, sweep_id: UUID, part: int) -> None:
    """Do the next part of a sweep, and queue the one after it."""
    sweep = await get_row(session, duplicate_sweeps, sweep_id, "sweep")
    if sweep["state"] not in {"queued", "running"} or sweep["version"] != part + 1:
        return
    rules = await rules_of(session)
    kind = sweep["position_kind"] or KINDS[0]
    found = await _read_part(session, kind, sweep["position_value"] or "", rules.largest_block)
    compared, matches = await _compare(session, found.blocks, rules)
    pairs = await _put_aside(session, matches, rules)
    merged = await _merge_certain(session, matches)
    following = kind if found.position is not None else next(iter(KINDS[KINDS.index(kind) + 1 :]), None)
    total = sweep["keys_total"] or await session.fetch_val(_TOTAL, kinds=list(KINDS))
    changes = {
        "state": "running" if following else "succeeded",
        "position_kind": following,
        "position_value": found.position if following else None,
        "keys_total": total,
        "keys_done": min(sweep["keys_done"] + found.consumed, total),
        "pairs_compared": sweep["pairs_compared"] + compared,
        "pairs_found": sweep["pairs_found"] + pairs,
        "merged": sweep["merged"] + merged,
        "skipped": (sweep["skipped"] + found.skipped)[:_MOST_SKIPPED],
        "rules_version": rules.version,
        "finished_at": None if following else session.now,
    }
    after = await update_row(session, duplicate_sweeps, sweep_id, changes, expected=None)
    if following:
        emit(session, SweepDue(sweep_id=sweep_id, part=after["version"] - 1))


async def _read_part(session: WriteSession, kind: str, after: str, largest: int) -> _Part:
    short = given_names().known_skeletons if kind == "frame" else []
    rows = await session.fetch(_PART, kind=kind, after=after, most=PART, short=short)
    ends = rows[0]
    part = _Part(consumed=ends["taken"])
    more = ends["taken"] == PART
    if more:  # the last block may go on: it is the next part's, unless it fills this one
        alone = ends["last_size"] == PART
        part.position = ends["last"] if alone else ends["previous"]
        part.consumed = PART if alone else PART - ends["last_size"]
    blocks = {row["value"]: row for row in rows if row["value"] is not None}
    if more and ends["last_size"] < PART:
        blocks.pop(ends["last"], None)
    if kind == "frame":
        await _add_short_forms(session, blocks, part, largest)
    for row in blocks.values():
        if row["size"] > largest:
            part.skipped.append({"kind": kind, "size": row["size"]})
        elif row["size"] > 1:
            part.blocks.append(row["ids"])
    return part


async def _add_short_forms(session: WriteSession, blocks: dict[str, Row], part: _Part, largest: int) -> None:
    """Contacts whose given names can stand for the same name: their frames differ, so they are looked up."""
    wanted = {value: other_frames(value) for value, row in blocks.items() if row["size"] <= largest}
    others = {frame for frames in wanted.values() for frame in frames}
    if not others:
        return
    rows = await session.fetch(_SHARING, kind="frame", others=sorted(others))
    known = {row["value"]: row["ids"] for row in rows if len(row["ids"]) <= largest}
    for value, frames in wanted.items():
        ids = [one for frame in frames if frame > value for one in known.get(frame, ())]
        if ids:
            part.blocks.append([*blocks[value]["ids"], *ids])


async def _compare(
    session: WriteSession, blocks: Iterable[list[UUID]], rules: RuleSet
) -> tuple[int, list[tuple[Row, Row, Match]]]:
    pairs: set[tuple[UUID, UUID]] = set()
    for ids in blocks:
        pairs.update(combinations(sorted(set(ids)), 2))
    if not pairs:
        return 0, []
    rows = {row["id"]: row for row in await session.fetch(ROWS, ids=list({one for pair in pairs for one in pair}))}
    profiles = {one: profile_of(row) for one, row in rows.items()}
    there, looked = [], []
    for number, (one, other) in enumerate(sorted(pairs)):
        if number % 500 == 499:
            await asyncio.sleep(0)  # the worker has other things to do, renewing leases among them
        if one in profiles and other in profiles:
            findings = likely(profiles[one], profiles[other], rules)
            if findings is not None:
                there.append((one, other))
                looked.append(findings)
    results = await judged(session, [(profiles[one], profiles[other]) for one, other in there], looked, rules)
    return len(pairs), [
        (rows[one], rows[other], result)
        for (one, other), result in zip(there, results, strict=True)
        if result is not None
    ]


async def _put_aside(session: WriteSession, matches: list[tuple[Row, Row, Match]], rules: RuleSet) -> int:
    pairs = [(one["id"], other["id"], result) for one, other, result in matches]
    return await put_aside(session, pairs, origin="sweep", rules_version=rules.version)


async def _merge_certain(session: WriteSession, matches: list[tuple[Row, Row, Match]]) -> int:
    """Merge what a rule says to merge: certain pairs of which nobody has decided otherwise. The older one survives."""
    wanted = [(one, other) for one, other, result in matches if result.merges]
    if not wanted:
        return 0
    ids = [row["id"] for pair in wanted for row in pair]
    decided = {(row["low_id"], row["high_id"]) for row in await session.fetch(_DECIDED, ids=ids)}
    merged = 0
    await lock_all(session, ids)
    for pair in wanted:
        survivor, other = sorted(pair, key=lambda row: (row["created_at"], row["id"]))
        low, high = sorted((survivor["id"], other["id"]))
        if (low, high) in decided:
            continue
        try:
            async with session.savepoint():
                await merge_contacts(session, survivor["id"], [other["id"]])
        except Problem:
            continue  # one of them was merged a moment ago: the pair is in the queue, or the next sweep's
        merged += 1
    return merged


async def fail_sweep(session: WriteSession, sweep_id: UUID) -> None:
    """Note that a sweep was given up; what it found by then is in the queue."""
    reason = "The work was given up after repeated failures; see the job's last error, then start another sweep."
    changes = {"state": "failed", "reason": reason, "finished_at": session.now, "position_value": None}
    await update_row(session, duplicate_sweeps, sweep_id, changes, expected=None)
