"""Defining custom fields: add, change, archive and erase them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, text, update

from crm_api.audit.service import record
from crm_api.contacts.custom_fields import values
from crm_api.contacts.custom_fields.facts import CustomFieldChanged
from crm_api.contacts.custom_fields.models import custom_fields
from crm_api.contacts.custom_fields.schemas import CustomFieldCreate, CustomFieldPatch
from crm_api.contacts.custom_fields.service import forget_known
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, FieldError, NotFound
from crm_api.kit.updates import check_version, get_row, lock_row, update_row
from crm_api.outbox.service import emit

MOST_FIELDS = 200
"""How many fields a resource has, archived ones included."""
_ORG: Any = bindparam("organization_id")
_READ = (
    "id", "resource", "key", "label", "labels", "type", "choices", "required", "filterable", "sensitivity",
    "description", "position", "status", "version", "created_at", "updated_at",
)  # fmt: skip
_COUNT = prepare(
    text("SELECT count(*) FROM custom_fields WHERE organization_id = :organization_id AND resource = :resource")
)
_START = prepare(
    update(custom_fields)
    .where(custom_fields.c.organization_id == _ORG, custom_fields.c.id == bindparam("id"))
    .values(
        run_id=bindparam("run_id"),
        run_state="queued",
        run_after=None,
        run_done=0,
        run_total=0,
        run_horizon=None,
        run_reason=None,
        indexed=bindparam("indexed"),
    )
    .returning(custom_fields)
)
# Values that came before anybody defined the field: looked for among the first contacts only, since this stands in a
# request. Where there are more contacts than that, the walk of the definition finds out.
_LOOK = 5_000
_HELD_ALREADY = prepare(
    text(
        f"""
        SELECT count(*) AS seen, coalesce(bool_or(jsonb_exists(c.custom, :key)), false) AS held
        FROM (SELECT custom FROM contacts WHERE organization_id = :organization_id LIMIT {_LOOK}) c
        """
    )
)
_REMOVE = prepare(
    delete(custom_fields).where(custom_fields.c.organization_id == _ORG, custom_fields.c.id == bindparam("id"))
)


def to_read(row: RowLike) -> dict[str, Any]:
    """A definition as the API shows it."""
    shown = {name: row[name] for name in _READ}
    waiting = row["filterable"] and row["status"] == "active"
    shown["indexing"] = "ready" if row["indexed"] else "indexing" if waiting else "off"
    shown["run"] = None
    if row["run_id"] is not None:
        done, total = row["run_done"], row["run_total"]
        ended = row["run_state"] == "succeeded"
        progress = 1.0 if ended else min(round(done / total, 3), 0.999) if total else 0.0
        shown["run"] = {
            "id": row["run_id"],
            "state": row["run_state"],
            "progress": progress,
            "reason": row["run_reason"],
        }
    return shown


async def get_field(session: ReadSession, field_id: UUID) -> Row:
    """One definition, or 404. One whose values are being erased is gone already."""
    row = await get_row(session, custom_fields, field_id, "custom field")
    if row["status"] == "erasing":
        raise NotFound("There is no such custom field.")
    return row


async def create_field(session: WriteSession, body: CustomFieldCreate) -> dict[str, Any]:
    """Define a field. It can be used, and filtered by, at once; where records hold values under its key already, the
    walk over them has to end first."""
    if await session.fetch_val(_COUNT, resource=body.resource) >= MOST_FIELDS:
        raise Conflict(f"A resource has at most {MOST_FIELDS} custom fields; erase one first.", code="too_many_fields")
    found = await session.fetch_row(_HELD_ALREADY, key=body.key)
    clean = found is None or (found["seen"] < _LOOK and not found["held"])
    run = None if clean else new_id()
    row = simple.add(
        session,
        custom_fields,
        {
            **body.model_dump(mode="json"),
            "status": "active",
            "indexed": clean and body.filterable,
            "run_id": run,
            "run_state": None if clean else "queued",
            "run_done": 0,
            "run_total": 0,
            "run_reason": None,
        },
    )
    if run is not None:
        emit(session, CustomFieldChanged(custom_field_id=row["id"], run_id=run))
    record(session, "custom_field.created", "custom_field", row["id"])
    forget_known(session)
    return to_read(row)


async def patch_field(
    session: WriteSession, field_id: UUID, body: CustomFieldPatch, *, expected: int | None
) -> dict[str, Any]:
    """Change a definition. What moves values or key rows begins a walk over the records, and ends one under way."""
    version = await lock_row(session, custom_fields, field_id, expected=expected, what="custom field")
    check_version(version, expected)
    before = await get_field(session, field_id)
    changes = body.model_dump(mode="json", include=body.model_fields_set)
    if "labels" in changes:
        merged = {**before["labels"], **(changes["labels"] or {})} if changes["labels"] is not None else {}
        changes["labels"] = {language: label for language, label in merged.items() if label is not None}
    if "choices" in changes:
        _check_choices(before, changes["choices"])
    if not changes:
        return to_read(before)
    if before["sensitivity"] == "beneficiary_sensitive" != changes.get("sensitivity", before["sensitivity"]):
        values.require_sensitive(session.actor.scopes, before["key"], "Making it less sensitive")
    row = await update_row(session, custom_fields, field_id, changes, expected=None)
    if _needs_walk(before, row):
        row = await _begin_walk(session, row, keys_kept=_keys_stay(before, row))
    record(session, "custom_field.updated", "custom_field", field_id, fields=changes)
    forget_known(session)
    return to_read(row)


async def erase_field(session: WriteSession, field_id: UUID, *, expected: int | None) -> None:
    """Remove an archived field with every value of it, in the background and for good."""
    await lock_row(session, custom_fields, field_id, expected=expected, what="custom field")
    row = await get_field(session, field_id)
    if row["status"] != "archived":
        raise Conflict(
            "Archive the custom field first: PATCH it with status archived. Deleting it then removes every value of "
            "it for good.",
            code="custom_field_in_use",
        )
    row = await update_row(session, custom_fields, field_id, {"status": "erasing"}, expected=None)
    await _begin_walk(session, row, keys_kept=False)
    record(session, "custom_field.erased", "custom_field", field_id)
    forget_known(session)


async def forget_field(session: WriteSession, field_id: UUID) -> None:
    """Remove a definition whose values are erased."""
    await session.execute(_REMOVE, id=field_id)
    forget_known(session)


async def _begin_walk(session: WriteSession, row: Row, *, keys_kept: bool) -> Row:
    run = new_id()
    indexed = row["indexed"] and keys_kept
    started = await session.fetch_row(_START, id=row["id"], run_id=run, indexed=indexed)
    assert started is not None
    emit(session, CustomFieldChanged(custom_field_id=row["id"], run_id=run))
    return started


def _check_choices(before: RowLike, after: list[dict[str, Any]]) -> None:
    if before["type"] not in {"choice", "multi_choice"}:
        if after:
            raise Conflict(f"A {before['type']} field has no choices.", code="no_choices")
        return
    gone = {item["code"] for item in before["choices"]} - {item["code"] for item in after}
    if gone:
        said = "A choice that was offered may be held by a record. Keep it in the list with retired set to true."
        raise Conflict(said, code="choice_removed", errors=[FieldError("/choices", "choice_removed", said)])


def _wanted(row: RowLike) -> tuple[bool, bool, bool]:
    """Where the values belong, and whether they have key rows."""
    active = row["status"] == "active"
    return active, row["sensitivity"] == "beneficiary_sensitive", active and row["filterable"]


def _needs_walk(before: RowLike, after: RowLike) -> bool:
    return _wanted(before) != _wanted(after)


def _keys_stay(before: RowLike, after: RowLike) -> bool:
    return _wanted(before)[2] and _wanted(after)[2]
