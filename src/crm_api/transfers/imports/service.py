"""Verbs of imports. What takes time is done by the worker (`work`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, FieldError, Forbidden, Invalid, NotFound
from crm_api.kit.trouble import no_team
from crm_api.kit.updates import check_version, update_row
from crm_api.outbox.service import emit
from crm_api.transfers.imports.facts import ImportDue
from crm_api.transfers.imports.journal import number_of
from crm_api.transfers.imports.models import KEPT_DAYS, imports
from crm_api.transfers.imports.registry import KINDS
from crm_api.transfers.imports.schemas import ImportOptions, ImportPatch, ImportUpload

READ_SENSITIVE = "contacts:read_sensitive"
_ORG: Any = bindparam("organization_id")
GET = prepare(select(imports).where(imports.c.organization_id == _ORG, imports.c.id == bindparam("id")))
_LOCK = prepare(text("SELECT * FROM imports WHERE organization_id = :organization_id AND id = :id FOR NO KEY UPDATE"))
_COUNTS = ("created", "updated", "skipped", "queued", "failed")
_ZERO: dict[str, Any] = dict.fromkeys(("rows", "position", "progress", *_COUNTS, "removed", "restored", "kept"), 0)
_OPTIONS = (
    "preset", "encoding", "delimiter", "sheet", "external_system", "default_country", "date_order", "default_currency",
)  # fmt: skip
_FLAGS = ("create_contacts", "receipts")
_ABOUT_GIFTS = ("default_currency", *_FLAGS)
_NOTHING: dict[str, Any] = {"reason": None, "reason_code": None, "finished_at": None}


Keys = frozenset[str]


def to_read(
    row: RowLike, scopes: Keys = frozenset(), errors_url: str | None = None, guarded: Keys = frozenset()
) -> dict[str, Any]:
    """An import as the API shows it to somebody with these scopes; `guarded` are keys of custom fields that they may
    not see, those included that became sensitive since the file was looked at."""
    detected = {
        name: value for name, value in row["detected"].items() if name not in {"sensitive", "skip_lines"}
    } or None
    return {
        **{name: row[name] for name in _PLAIN},
        "progress": row["progress"] / 1000,
        "totals": {name: row[name] for name in ("rows", *_COUNTS)},
        "undone": {name: row[name] for name in ("removed", "restored", "kept")},
        "detected": detected,
        "samples": _samples(row, scopes, guarded),
        "errors_url": errors_url,
    }


_PLAIN = (
    "id", "kind", "state", "phase", "options", "mapping", "filename", "file_size", "reason", "reason_code",
    "finished_at", "purge_at", "version", "created_at", "updated_at",
)  # fmt: skip


def _hidden(row: RowLike, scopes: Keys, guarded: Keys) -> set[str]:
    """Headers of columns that go into a beneficiary-sensitive field, for whoever may not see those."""
    if READ_SENSITIVE in scopes:
        return set()
    targets = {f"custom.{key}" for key in guarded}
    return {*row["detected"].get("sensitive", ()), *(name for name, to in row["mapping"].items() if to in targets)}


def may_see_cells(row: RowLike, scopes: Keys, guarded: Keys = frozenset()) -> bool:
    """Whether somebody with these scopes may see cells as they came: not without `contacts:read_sensitive` where a
    column goes into a beneficiary-sensitive field."""
    return not _hidden(row, scopes, guarded)


def _samples(row: RowLike, scopes: Keys, guarded: Keys) -> list[dict[str, str]]:
    hidden = _hidden(row, scopes, guarded)
    headers = row["detected"].get("headers", ())
    return [
        {header: cell for header, cell in zip(headers, cells, strict=False) if header not in hidden}
        for cells in row["samples"]
    ]


def row_to_read(row: RowLike, scopes: Keys = frozenset(), guarded: Keys = frozenset()) -> dict[str, Any]:
    """What became of a row, as the API shows it to somebody with these scopes; see `to_read`."""
    changes = {
        name: {"before": change[0], "after": change[1]}
        for name, change in (row["changes"] or {}).items()
        if name != "custom_sensitive" or READ_SENSITIVE in scopes
    }
    if guarded and "custom" in changes:
        changes["custom"] = {
            side: {key: value for key, value in (held or {}).items() if key not in guarded}
            for side, held in changes["custom"].items()
        }
        if changes["custom"]["before"] == changes["custom"]["after"]:
            del changes["custom"]
    plain = {name: row[name] for name in ("id", "outcome", "reason", "matched_by", "record_id", "undone")}
    return {**plain, "row": number_of(row["id"]), "changes": changes, "errors": row["errors"] or []}


def create_import(session: WriteSession, body: ImportUpload, *, name: str, filename: str, size: int) -> dict[str, Any]:
    """Take a file, which is in the store under `name`; the worker looks at it at once."""
    check_scope(session, body.kind, write=True)
    if session.limit is not None and session.limit.homeless:
        raise no_team()
    _check_options(session, body.kind, body.options, "options/")
    options = body.options.model_dump(mode="json")
    options["mapping"] = _by_column(body.kind, body.options.mapping)
    _check_targets(body.kind, options["mapping"], "options/mapping")
    row: dict[str, Any] = {
        "id": new_id(),
        "kind": body.kind,
        "state": "uploaded",
        "phase": "inspect",
        "generation": 1,
        "options": options,
        "mapping": {},
        "detected": {},
        "samples": [],
        "filename": filename,
        "file_key": name,
        "file_size": size,
        "sensitive": READ_SENSITIVE in session.actor.scopes,
        "actor_kind": session.actor.kind,
        "actor_id": session.actor.id,
        **_ZERO,
        **_NOTHING,
        "purge_at": session.now + timedelta(days=KEPT_DAYS),
        "version": 1,
        "created_at": session.now,
        "updated_at": session.now,
    }
    session.later(imports, **row)
    record(session, "import.uploaded", "import", row["id"])
    emit(session, ImportDue(import_id=row["id"], generation=1))
    return row


def _is_target(kind: str, name: str) -> bool:
    base = re.split(r"[.:]", name, maxsplit=1)[0]
    return name in KINDS[kind].target_names or (base != name and base in KINDS[kind].parameters)


def _more(kind: str) -> set[str]:
    return {"custom.<key>"} & {f"{one}.<key>" for one in KINDS[kind].parameters}


def _by_column(kind: str, mapping: Mapping[str, str | None]) -> dict[str, str | None]:
    """Column → field. A mapping that only makes sense the other way round is turned."""
    columns = [column for column in mapping.values() if column is not None]
    turned = {column: field for field, column in mapping.items() if column is not None}
    wrong = any(not _is_target(kind, column) for column in columns)
    if wrong and len(turned) == len(mapping) and all(_is_target(kind, field) for field in mapping):
        return dict(turned)
    return dict(mapping)


def _check_targets(kind: str, mapping: Mapping[str, str | None], member: str) -> None:
    """422 for a target that no column can have; custom fields are looked at when the file is."""
    known = KINDS[kind].target_names
    errors = []
    for target in mapping.values():
        if target is not None and not _is_target(kind, target):
            said = f"There is no such field. Columns can go to: {', '.join(sorted(known | _more(kind)))}, or null."
            errors.append(FieldError(f"/{member}", "unknown_target", said))
    if errors:
        raise Invalid(f"{member.replace('/', '.')} names a field that there is not; see errors.", errors=errors[:1])


def kinds_seen(session: ReadSession) -> list[str]:
    """Kinds of records whose imports the session's actor may see."""
    return [name for name, kind in KINDS.items() if kind.read_scope in session.actor.scopes]


def check_scope(session: ReadSession, kind: str, *, write: bool) -> None:
    """403 for whoever may not read, or write, what an import of this kind brings in."""
    scope = KINDS[kind].write_scope if write else KINDS[kind].read_scope
    if scope not in session.actor.scopes:
        verb = "Importing" if write else "Seeing imports of"
        said = f"{verb} {kind} needs the scope {scope}. Use a key that has it, or ask an administrator to grant it."
        raise Forbidden(said, code="missing_scope", scope=scope)


def _check_options(session: ReadSession, kind: str, options: ImportOptions | ImportPatch, place: str) -> None:
    """422 for an option of another kind of import, 403 for making contacts without the right to."""
    if kind != "donations":
        for name in _ABOUT_GIFTS:
            if getattr(options, name):
                raise Invalid.at(f"/{place}{name}", "only_donations", "This is an option of kind donations.")
    elif options.create_contacts:
        check_scope(session, "contacts", write=True)


async def get_import(session: ReadSession, import_id: UUID) -> Row:
    """One import, or 404."""
    row = await session.fetch_row(GET, id=import_id)
    if row is None:
        raise NotFound("There is no such import.")
    check_scope(session, row["kind"], write=False)
    return row


async def lock_import(session: WriteSession, import_id: UUID, *, trusted: bool = False) -> Row:
    """One import, locked for this transaction, or 404; 403 for whoever may not write its kind, unless the caller is
    `trusted`: the worker, which does what was allowed when it was asked for."""
    row = await session.fetch_row(_LOCK, id=import_id)
    if row is None:
        raise NotFound("There is no such import.")
    if not trusted:
        check_scope(session, row["kind"], write=True)
    return row


async def _set(session: WriteSession, row: Row, *, due: bool = True, **changes: Any) -> Row:
    """Change an import; work begun before stops, and new work begins where it is `due`."""
    generation = row["generation"] + 1
    after = await update_row(session, imports, row["id"], {**changes, "generation": generation}, expected=None)
    if due:
        emit(session, ImportDue(import_id=row["id"], generation=generation))
    return after


async def patch_import(
    session: WriteSession, import_id: UUID, body: ImportPatch, *, expected: int | None = None
) -> Row:
    """Change how the file is read or mapped, before anything is written; every row is tried anew."""
    row = await lock_import(session, import_id)
    check_version(row["version"], expected)
    _check_options(session, row["kind"], body, "")
    if not body.model_fields_set:
        return row
    not_begun = row["state"] in {"uploaded", "validating", "ready"}
    unread = row["state"] == "failed" and row["phase"] in {"inspect", "validate"}
    if row["file_key"] is None or not (not_begun or unread):
        detail = f"The import is {row['state']}; it can be changed until it has run. Upload the file anew."
        raise Conflict(detail, code="import_begun")
    options = dict(row["options"])
    if body.mapping is not None:
        mapping = _by_column(row["kind"], body.mapping)
        _check_targets(row["kind"], mapping, "mapping")
        headers = row["detected"].get("headers")
        if headers is not None and not mapping.keys() <= set(headers):
            said = "This names a column that the file does not have; see detected.headers."
            raise Invalid.at("/mapping", "unknown_column", said)
        options["mapping"] = {**options["mapping"], **mapping}
    for name in ("on_match", *_OPTIONS, *_FLAGS):
        if name in body.model_fields_set and (name in _OPTIONS or getattr(body, name) is not None):
            options[name] = getattr(body, name)
    record(session, "import.changed", "import", import_id, fields=body.model_fields_set)
    return await _set(
        session, row, options={**options, "dry_run": True}, state="uploaded", phase="inspect", **_ZERO, **_NOTHING
    )


async def run_import(session: WriteSession, import_id: UUID) -> Row:
    """Write the rows: of an import that is ready from the first, of one that was paused or failed on from where it
    stopped."""
    row = await lock_import(session, import_id)
    resumed = row["state"] == "paused" or (row["state"] == "failed" and row["phase"] in {"import", "undo"})
    if row["file_key"] is None or not (row["state"] == "ready" or resumed):
        detail = f"The import is {row['state']}; only one that is ready, paused or failed while running can be run."
        raise Conflict(detail, code="import_not_ready")
    record(session, "import.started", "import", import_id)
    begin = {} if resumed else {**_ZERO, "phase": "import"}
    return await _set(session, row, state="running", **begin, **_NOTHING)


async def pause_import(session: WriteSession, import_id: UUID) -> Row:
    """Stop between two chunks; `run_import` goes on from there."""
    row = await lock_import(session, import_id)
    if row["state"] != "running":
        raise Conflict(f"The import is {row['state']}; only a running one can be paused.", code="import_not_running")
    record(session, "import.paused", "import", import_id)
    return await _set(session, row, due=False, state="paused")


async def undo_import(session: WriteSession, import_id: UUID) -> Row:
    """Take back what the import has written: records that it created and nobody touched since are removed, those that
    it changed get back what they had."""
    row = await lock_import(session, import_id)
    stopped = row["state"] in {"succeeded", "paused", "failed"} and row["phase"] == "import"
    if not stopped:
        detail = f"The import is {row['state']}; one that has written records and does not run can be undone."
        if row["state"] == "undone":
            detail = "The import was undone already."
        raise Conflict(detail, code="import_not_undoable")
    if row["purge_at"] is not None and row["purge_at"] <= session.now:
        detail = f"The import is older than {KEPT_DAYS} days; what it changed is not known any more."
        raise Conflict(detail, code="import_too_old")
    record(session, "import.undone", "import", import_id)
    return await _set(session, row, state="running", phase="undo", back_to=row["position"], progress=0, **_NOTHING)
