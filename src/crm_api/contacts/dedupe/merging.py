"""Merging contacts into one, and taking a merge back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from crm_api.audit.service import record
from crm_api.contacts import repository
from crm_api.contacts.custom_fields.service import definitions
from crm_api.contacts.custom_fields.values import custom_keys, settled
from crm_api.contacts.dedupe import statements as sql
from crm_api.contacts.dedupe.choices import chosen_values
from crm_api.contacts.dedupe.facts import ContactsMerged, ContactsUnmerged
from crm_api.contacts.dedupe.models import merged_contacts, merges
from crm_api.contacts.dedupe.pairs import follow_merge, follow_undo
from crm_api.contacts.dedupe.refusals import keep_refusals, restore_consent
from crm_api.contacts.dedupe.repointing import point_back, repoint
from crm_api.contacts.dedupe.uniting import Record, columns_of, content_of, own_content, taken_back, unite
from crm_api.contacts.models import contact_keys, contacts
from crm_api.contacts.service import display_name, latin
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, Invalid, Moved, NotFound
from crm_api.kit.updates import get_row, update_row
from crm_api.outbox.service import emit

_READ = (
    "id", "survivor_id", "retired_ids", "state", "batch_id", "actor_kind", "actor_id", "merged_at", "undone_at",
    "version", "created_at", "updated_at",
)  # fmt: skip
GONE = (
    "A contact that was erased cannot be merged, and a merge of it cannot be undone: its content is not there any more."
)


def to_read(row: RowLike) -> dict[str, Any]:
    """A merge as the API shows it: what moved, never what it held."""
    tables = [{"table": name, **counts} for name, counts in sorted(row["counts"].items())]
    return {**{name: row[name] for name in _READ}, "tables": tables, "chosen_fields": sorted(row["choices"])}


async def get_merge(session: ReadSession, merge_id: UUID) -> dict[str, Any]:
    """One merge, or 404."""
    return to_read(await get_row(session, merges, merge_id, "merge"))


async def merge_contacts(
    session: WriteSession,
    survivor_id: UUID,
    retired_ids: Sequence[UUID],
    fields: Mapping[str, Any] | None = None,
    *,
    batch_id: UUID | None = None,
) -> dict[str, Any]:
    """Merge contacts into the survivor: one content, everything re-pointed, a journal to undo it by. The merge.

    `fields` says for single fields whose value, or which value, is kept. 404 for a contact that does not exist, 409 for
    one that was merged or erased already or is of another kind.
    """
    await session.flush()  # what this transaction has yet to write belongs to somebody too
    survivor, retired = await _parties(session, survivor_id, retired_ids)
    async with session.beyond_limit():  # all that hangs on them moves, what the caller does not see of it too
        return await _merge(session, survivor, retired, fields or {}, batch_id)


async def _merge(
    session: WriteSession, survivor: Row, retired: Sequence[Row], fields: Mapping[str, Any], batch_id: UUID | None
) -> dict[str, Any]:
    parties = [survivor, *retired]
    choices = chosen_values(session, fields, {row["id"]: row for row in parties})
    own, brought = await _own(session, parties)
    records = {row["id"]: Record(row["id"], row["created_at"], own[row["id"]]) for row in parties}
    first = records[survivor["id"]]
    united = unite(first, [*(records[row["id"]] for row in retired), *brought], choices)
    produced = settled(await definitions(session), united)
    merge = _merge_row(session, survivor, retired, own, produced, choices, batch_id)
    session.later(merges, **merge)
    for step, row in enumerate(retired, start=1):
        session.later(merged_contacts, merge_id=merge["id"], step=step, contact_id=row["id"], own=own[row["id"]])
    await session.flush()
    ids = [row["id"] for row in parties]
    await session.execute(sql.JOURNAL_CONTACTS, merge_id=merge["id"], survivor=survivor["id"], ids=ids)
    await keep_refusals(session, merge["id"], ids, survivor["id"])
    for step, row in enumerate(retired, start=1):
        await repoint(session, merge["id"], step, retired=row["id"], survivor=survivor["id"])
        await follow_merge(session, merge["id"], step, retired=row["id"], survivor=survivor["id"])
    await session.execute(sql.RETIRE, survivor=survivor["id"], ids=ids[1:], now=session.now)
    await session.execute(sql.DROP_KEYS, ids=ids[1:])
    await _write(session, survivor, columns_of(produced, _today(session)))
    merge["counts"] = await _count(session, merge["id"])
    record(session, "contact.merged", "contact", survivor["id"], fields=_changed(survivor, produced))
    for row in retired:
        record(session, "contact.retired", "contact", row["id"])
    emit(session, ContactsMerged(merge_id=merge["id"], survivor_id=survivor["id"], retired_ids=tuple(ids[1:])))
    return to_read(merge)


async def lock_all(session: WriteSession, ids: Sequence[UUID]) -> None:
    """Lock contacts in the order of their ids, before several merges in one transaction lock theirs one by one: two
    who cross would end in a deadlock."""
    await session.fetch(sql.LOCK_CONTACTS, ids=list(ids))


def _today(session: ReadSession) -> str:
    return clock.local_date(session.now, session.tenant.timezone).isoformat()


async def _parties(session: WriteSession, survivor_id: UUID, retired_ids: Sequence[UUID]) -> tuple[Row, list[Row]]:
    """The contacts, locked; the survivor and the others in the order given."""
    if survivor_id in retired_ids:
        raise Invalid.at("/from", "merge_with_itself", "A contact cannot be merged into itself; leave its id out.")
    if len(set(retired_ids)) < len(retired_ids):
        raise Invalid.at("/from", "repeated", "Name each contact once.")
    rows = {row["id"]: row for row in await session.fetch(sql.LOCK_CONTACTS, ids=[survivor_id, *retired_ids])}
    if survivor_id not in rows:
        raise NotFound("There is no such contact.")
    survivor = rows[survivor_id]
    if survivor["merged_into"] is not None:
        raise Moved(survivor_id, survivor["merged_into"])
    for number, one in enumerate(retired_ids):
        row = rows.get(one)
        if row is None:
            raise NotFound.reference(f"from/{number}")
        if row["merged_into"] is not None:
            detail = f"from/{number} was merged into {row['merged_into']} already; name that contact, or leave it out."
            raise Conflict(detail, code="contact_merged", survivor_id=str(row["merged_into"]))
        if row["kind"] != survivor["kind"]:
            detail = (
                f"from/{number} is a {row['kind']} and the survivor is not; change its kind first if that is wrong."
            )
            raise Conflict(detail, code="kinds_differ")
    if any(row["erased_at"] is not None for row in rows.values()):
        raise Conflict(GONE, code="contact_erased")
    return survivor, [rows[one] for one in retired_ids]


async def _own(session: WriteSession, parties: Sequence[Row]) -> tuple[dict[UUID, dict[str, Any]], list[Record]]:
    """What each party has of its own, and the records that earlier merges brought to them."""
    ids = [row["id"] for row in parties]
    latest = {row["survivor_id"]: row for row in await session.fetch(sql.LATEST_MERGES, ids=ids)}
    known = await definitions(session)
    own = {}
    for row in parties:
        now, last = settled(known, content_of(row)), latest.get(row["id"])
        own[row["id"]] = (
            now
            if last is None
            else own_content(
                now, settled(known, last["survivor_own"]), settled(known, last["produced"]), last["choices"]
            )
        )
    rows = await session.fetch(sql.BROUGHT, ids=ids) if latest else []
    return own, [Record(row["contact_id"], row["created_at"], settled(known, row["own"])) for row in rows]


def _merge_row(
    session: WriteSession,
    survivor: Row,
    retired: Sequence[Row],
    own: Mapping[UUID, dict[str, Any]],
    produced: dict[str, Any],
    choices: dict[str, Any],
    batch_id: UUID | None,
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "survivor_id": survivor["id"],
        "retired_ids": [str(row["id"]) for row in retired],
        "state": "merged",
        "choices": choices,
        "survivor_own": own[survivor["id"]],
        "produced": produced,
        "counts": {},
        "batch_id": batch_id,
        "actor_kind": session.actor.kind,
        "actor_id": session.actor.id,
        "merged_at": session.now,
        "undone_at": None,
        "version": 1,
        "created_at": session.now,
        "updated_at": session.now,
    }


def _changed(before: Row, content: Mapping[str, Any]) -> list[str]:
    now = content_of(before)
    return [name for name in now if now[name] != content[name]]


async def _write(session: WriteSession, row: RowLike, values: dict[str, Any]) -> None:
    """Write a contact's content, what follows from it, and its search keys."""
    whole = {**dict(row), **values}
    if "display_name" not in values:
        values = {**values, "display_name": display_name(whole), "latin_name": latin(whole)}
    after = await update_row(session, contacts, row["id"], values, expected=None)
    await _rekey(session, dict(after))


async def _rekey(session: WriteSession, contact: dict[str, Any]) -> None:
    """Derive the search keys of a contact anew, those of custom fields among them."""
    await session.flush()
    await session.execute(sql.DROP_KEYS, ids=[contact["id"]])
    repository.add_keys(session, contact)
    custom = custom_keys(await definitions(session), contact["custom"] | contact["custom_sensitive"])
    for kind, value in dict.fromkeys(custom):
        session.later(contact_keys, kind=kind, value=value, contact_id=contact["id"])


async def _count(session: WriteSession, merge_id: UUID) -> dict[str, Any]:
    rows = await session.fetch(sql.COUNTS, merge_id=merge_id)
    counts = {row["table_name"]: {"moved": row["moved"], "dropped": row["dropped"]} for row in rows}
    await session.execute(sql.SET_COUNTS, merge_id=merge_id, counts=counts)
    return counts


async def undo_merge(session: WriteSession, merge_id: UUID) -> dict[str, Any]:
    """Take a merge back: every row is as it was, the retired contacts live again. Rows that came since stay with the
    survivor, and so does what somebody has changed of it since. 409 while a newer merge stands on this one."""
    await session.flush()
    named = await get_row(session, merges, merge_id, "merge")
    survivor_id: UUID = named["survivor_id"]
    retired_ids = [UUID(one) for one in named["retired_ids"]]
    # Contacts before the merge, as an erasure locks them, which removes the merge.
    rows = {row["id"]: row for row in await session.fetch(sql.LOCK_CONTACTS, ids=[survivor_id, *retired_ids])}
    merge = await session.fetch_row(sql.LOCK_MERGE, id=merge_id)
    if merge is None or len(rows) <= len(retired_ids):
        raise NotFound("There is no such merge.")
    if merge["state"] == "undone":
        raise Conflict("This merge is undone already.", code="merge_undone")
    async with session.beyond_limit():
        return await _undo(session, merge, rows)


async def _undo(session: WriteSession, merge: Row, rows: Mapping[UUID, Row]) -> dict[str, Any]:
    merge_id, survivor_id = merge["id"], merge["survivor_id"]
    retired_ids = [UUID(one) for one in merge["retired_ids"]]
    newer = await session.fetch_val(sql.NEWER, merge_id=merge_id, survivor=survivor_id)
    if newer is not None:
        detail = f"The survivor took part in a newer merge; undo {newer} first, then this one."
        raise Conflict(detail, code="merge_not_latest", merge_id=str(newer))
    if any(row["erased_at"] is not None for row in rows.values()):
        raise Conflict(GONE, code="contact_erased")
    for step in range(len(retired_ids), 0, -1):
        await follow_undo(session, merge_id, step)
        await point_back(session, merge_id, step, retired=retired_ids[step - 1], survivor=survivor_id)
    await restore_consent(session, merge_id, survivor_id)
    await session.execute(sql.REVIVE, ids=retired_ids, now=session.now)
    await _restore(session, merge, rows[survivor_id])
    for one in retired_ids:
        await _rekey(session, dict(rows[one]))
    after = await update_row(session, merges, merge_id, {"state": "undone", "undone_at": session.now}, expected=None)
    record(session, "contact.unmerged", "contact", survivor_id)
    for one in retired_ids:
        record(session, "contact.revived", "contact", one)
    emit(session, ContactsUnmerged(merge_id=merge_id, survivor_id=survivor_id, retired_ids=tuple(retired_ids)))
    return to_read(after)


async def _restore(session: WriteSession, merge: Row, survivor: Row) -> None:
    """The survivor's own row, as it was but for what has been changed since."""
    before = await session.fetch_val(sql.SURVIVOR_BEFORE, merge_id=merge["id"], survivor=str(survivor["id"]))
    known = await definitions(session)
    had = settled(known, content_of(before))
    content = taken_back(had, settled(known, merge["produced"]), settled(known, content_of(survivor)))
    values = columns_of(content, _today(session))
    if content == had:
        values |= {name: before[name] for name in ("roles", "display_name", "latin_name")}
    await _write(session, survivor, values)


async def gather_strays(session: WriteSession, merge_id: UUID) -> None:
    """Move what was written for a retired contact at the very moment of its merge: whoever wrote it had to wait for the
    merge, and knew nothing of it. Journalled like the rest, so an undo gives it to whom it named."""
    merge = await session.fetch_row(sql.GET_MERGE, id=merge_id)
    if merge is None:
        return
    retired = [UUID(one) for one in merge["retired_ids"]]
    await lock_all(session, retired)  # whoever waited for the merge with a row for one of them has written it then
    merge = await session.fetch_row(sql.LOCK_MERGE, id=merge_id)
    if merge is None or merge["state"] != "merged":
        return
    final = await session.fetch_val(sql.SURVIVOR_NOW, id=retired[0])  # merged on since, perhaps
    for step, one in enumerate(retired, start=1):
        await repoint(session, merge_id, step, retired=one, survivor=final, derived=False)
    await _count(session, merge_id)


async def living(session: WriteSession, contact_id: UUID) -> UUID:
    """The contact itself; of one that was merged, the survivor, to which whatever was recorded for the old id since is
    given now. For handlers of facts that name a contact."""
    row = await session.fetch_row(sql.LIVE_MERGE_OF, id=contact_id)
    if row is None:
        return contact_id
    await session.flush()
    await gather_strays(session, row["merge_id"])
    return UUID(str(row["merged_into"]))
