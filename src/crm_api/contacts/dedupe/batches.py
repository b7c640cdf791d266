"""Many merges as one job: done in parts, each in a transaction of its own that ends with the next part's fact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from crm_api.audit.service import record
from crm_api.contacts.dedupe.facts import MergeBatchDue
from crm_api.contacts.dedupe.merging import lock_all, merge_contacts
from crm_api.contacts.dedupe.models import merge_batches
from crm_api.kit import simple
from crm_api.kit.db import Actor, ReadSession, RowLike, WriteSession
from crm_api.kit.limits import Limit
from crm_api.kit.problems import Problem
from crm_api.kit.updates import get_row, update_row
from crm_api.outbox.service import emit

PART = 20
"""Merges in one transaction: few, since they hold locks of everybody they touch."""


def to_read(row: RowLike) -> dict[str, Any]:
    """A batch as the API shows it."""
    total, done = row["total"], row["done"]
    outcomes = [
        {"into": pair[0], "from": pair[1], "merge_id": None, "code": None, "detail": None, **result}
        for pair, result in zip(row["pairs"], row["results"], strict=False)
    ]
    return {
        **{name: row[name] for name in ("id", "state", "total", "merged", "failed", "reason", "finished_at")},
        **{name: row[name] for name in ("version", "created_at", "updated_at")},
        "progress": round(done / total, 3) if total else 1.0,
        "results": outcomes,
    }


def start_batch(session: WriteSession, pairs: Sequence[tuple[UUID, UUID]]) -> dict[str, Any]:
    """Queue merges, each of (survivor, retired); the batch."""
    batch = simple.add(
        session,
        merge_batches,
        {
            "state": "queued",
            "pairs": [[str(into), str(from_)] for into, from_ in pairs],
            "results": [],
            "total": len(pairs),
            "done": 0,
            "merged": 0,
            "failed": 0,
            "reason": None,
            "actor_kind": session.actor.kind,
            "actor_id": session.actor.id,
            "finished_at": None,
        },
    )
    record(session, "merge_batch.created", "merge_batch", batch["id"])
    emit(session, MergeBatchDue(batch_id=batch["id"], position=0))
    return to_read(batch)


async def get_batch(session: ReadSession, batch_id: UUID) -> dict[str, Any]:
    """One batch, or 404."""
    return to_read(await get_row(session, merge_batches, batch_id, "batch of merges"))


async def continue_batch(session: WriteSession, batch_id: UUID, position: int) -> None:
    """Do the next merges of a batch, in the name of who asked for it."""
    batch = await get_row(session, merge_batches, batch_id, "batch of merges")
    if batch["done"] != position or batch["state"] not in {"queued", "running"}:
        return
    limit = Limit.stored(batch["made_under"])
    session.actor = Actor(batch["actor_kind"], batch["actor_id"], session.actor.request_id, limit=limit)
    results = list(batch["results"])
    part = batch["pairs"][position : position + PART]
    async with session.under_limit(limit):
        await lock_all(session, [UUID(one) for pair in part for one in pair])
        for into, from_ in part:
            results.append(await _one(session, batch_id, UUID(into), UUID(from_)))
    merged = sum(result["state"] == "merged" for result in results)
    ended = len(results) == batch["total"]
    changes = {
        "state": "succeeded" if ended else "running",
        "results": results,
        "done": len(results),
        "merged": merged,
        "failed": len(results) - merged,
        "finished_at": session.now if ended else None,
    }
    await update_row(session, merge_batches, batch_id, changes, expected=None)
    if not ended:
        emit(session, MergeBatchDue(batch_id=batch_id, position=len(results)))


async def _one(session: WriteSession, batch_id: UUID, into: UUID, from_: UUID) -> dict[str, Any]:
    try:
        async with session.savepoint():
            merge = await merge_contacts(session, into, [from_], batch_id=batch_id)
    except Problem as problem:
        return {"state": "failed", "code": problem.code, "detail": problem.detail}
    return {"state": "merged", "merge_id": str(merge["id"])}


async def fail_batch(session: WriteSession, batch_id: UUID) -> None:
    """Note that a batch was given up; what it has merged by then stays."""
    reason = "The work was given up after repeated failures; see the job's last error, then send the rest again."
    changes = {"state": "failed", "reason": reason, "finished_at": session.now}
    await update_row(session, merge_batches, batch_id, changes, expected=None)
