"""Verbs of relationships and their types."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, select, text

from crm_api.audit.service import record
from crm_api.contacts.models import contacts
from crm_api.contacts.relationships.defaults import DEFAULTS
from crm_api.contacts.relationships.facts import RelationshipChanged
from crm_api.contacts.relationships.models import relationship_types, relationships
from crm_api.contacts.relationships.schemas import (
    RelationshipCreate,
    RelationshipPatch,
    RelationshipTypeCreate,
    RelationshipTypePatch,
)
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.problems import Conflict, FieldError, Invalid, NotFound
from crm_api.kit.updates import check_version, lock_row, update_row
from crm_api.outbox.service import emit

_ORG: Any = bindparam("organization_id")
_OWN = (
    "id", "type_id", "kind", "from_contact_id", "to_contact_id", "since", "until", "note", "job_title", "is_primary",
    "version", "created_at", "updated_at",
)  # fmt: skip


def _of_type(column: str) -> Any:
    return (
        select(relationship_types.c[column])
        .where(
            relationship_types.c.organization_id == _ORG,
            relationship_types.c.id == relationships.c.type_id,
        )
        .scalar_subquery()
        .label(f"type_{column}")
    )


def _name_of(side: str) -> Any:
    return (
        select(contacts.c.display_name)
        .where(contacts.c.organization_id == _ORG, contacts.c.id == relationships.c[f"{side}_contact_id"])
        .scalar_subquery()
        .label(f"{side}_name")
    )


COLUMNS = (
    *(relationships.c[name] for name in _OWN),
    *(_of_type(name) for name in ("code", "name", "reciprocal_name", "names")),
    _name_of("from"),
    _name_of("to"),
)
"""What is read of a relationship, in lists too: the names of its type and of both contacts come with it."""
_GET = prepare(select(*COLUMNS).where(relationships.c.organization_id == _ORG, relationships.c.id == bindparam("id")))
_REMOVE = prepare(
    delete(relationships)
    .where(relationships.c.organization_id == _ORG, relationships.c.id == bindparam("id"))
    .returning(relationships.c.from_contact_id, relationships.c.to_contact_id)
)
_REMOVE_TYPE = prepare(
    delete(relationship_types).where(
        relationship_types.c.organization_id == _ORG, relationship_types.c.id == bindparam("id")
    )
)
# Two who say opposite things of the same two contacts at the same moment wait for each other.
_LOCK_PAIR = prepare(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"))
_ABOUT = prepare(
    text(
        """
        SELECT t.*,
            (SELECT c.kind FROM contacts c WHERE c.organization_id = :organization_id AND c.id = :from_id
                AND c.merged_into IS NULL) AS from_is,
            (SELECT c.kind FROM contacts c WHERE c.organization_id = :organization_id AND c.id = :to_id
                AND c.merged_into IS NULL) AS to_is,
            (SELECT c.display_name FROM contacts c WHERE c.organization_id = :organization_id AND c.id = :from_id)
                AS from_name,
            (SELECT c.display_name FROM contacts c WHERE c.organization_id = :organization_id AND c.id = :to_id)
                AS to_name,
            EXISTS (SELECT 1 FROM relationships r WHERE r.organization_id = :organization_id AND r.type_id = t.id
                AND r.from_contact_id = :from_id AND r.to_contact_id = :to_id AND r.until IS NULL) AS same,
            EXISTS (SELECT 1 FROM relationships r WHERE r.organization_id = :organization_id AND r.type_id = t.id
                AND r.from_contact_id = :to_id AND r.to_contact_id = :from_id AND r.until IS NULL) AS reverse
        FROM relationship_types t WHERE t.organization_id = :organization_id AND t.code = :code
        """
    )
)
_NO_LONGER_PRIMARY = prepare(
    text(
        "UPDATE relationships SET is_primary = false, version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND from_contact_id = :from_id AND is_primary AND until IS NULL "
        "AND id <> :id"
    )
)
_USED = prepare(
    text("SELECT EXISTS (SELECT 1 FROM relationships WHERE organization_id = :organization_id AND type_id = :id)")
)
_ANY_TYPE = prepare(text("SELECT EXISTS (SELECT 1 FROM relationship_types WHERE organization_id = :organization_id)"))


# Types


def seed_types(session: WriteSession) -> None:
    """Give a new organization the types every organization begins with, named in its language."""
    language = session.tenant.language.partition("-")[0]
    for position, one in enumerate(DEFAULTS):
        name, reciprocal = one.names.get(language, one.names["en"])
        values = {
            "code": one.code,
            "kind": one.kind,
            "from_kind": one.from_kind,
            "to_kind": one.to_kind,
            "is_symmetric": one.symmetric,
            "name": name,
            "reciprocal_name": reciprocal,
            "names": {key: {"name": a, "reciprocal_name": b} for key, (a, b) in one.names.items()},
            "status": "active",
            "position": position,
        }
        simple.add(session, relationship_types, values)


async def seed_missing(session: WriteSession) -> None:
    """The same for an organization that is older than relationship types, where it has none at all."""
    if not await session.fetch_val(_ANY_TYPE):
        seed_types(session)


def create_type(session: WriteSession, body: RelationshipTypeCreate) -> dict[str, Any]:
    """Add a type of relationship."""
    values = body.model_dump(mode="json")
    values["to_kind"] = body.to_kind or ("organization" if body.kind == "affiliation" else "person")
    values["is_symmetric"] = body.name == body.reciprocal_name
    if body.kind == "affiliation" and values["to_kind"] != "organization":
        raise Conflict("An affiliation leads to an organization: leave to_kind out.", code="ends_mismatch")
    row = simple.add(session, relationship_types, {**values, "status": "active"})
    record(session, "relationship_type.created", "relationship_type", row["id"])
    return simple.to_read(relationship_types, row)


async def patch_type(
    session: WriteSession, type_id: UUID, body: RelationshipTypePatch, *, expected: int | None
) -> dict[str, Any]:
    """Rename a type, archive it or take it up again. A symmetric one keeps one name for both sides."""
    version = await lock_row(session, relationship_types, type_id, expected=expected, what="relationship type")
    check_version(version, expected)
    before = await simple.get(session, relationship_types, type_id, "relationship type")
    changes = body.model_dump(mode="json", include=body.model_fields_set)
    if not changes:
        return simple.to_read(relationship_types, before)
    after = {**dict(before), **changes}
    if before["is_symmetric"] and after["name"] != after["reciprocal_name"]:
        said = "This type is symmetric: send the same name for both sides."
        raise Conflict(said, code="type_is_symmetric")
    row = await update_row(session, relationship_types, type_id, changes, expected=None)
    record(session, "relationship_type.updated", "relationship_type", type_id, fields=changes)
    return simple.to_read(relationship_types, row)


async def remove_type(session: WriteSession, type_id: UUID, *, expected: int | None) -> None:
    """Remove a type that no relationship has ever had."""
    await lock_row(session, relationship_types, type_id, expected=expected, what="relationship type")
    if await session.fetch_val(_USED, id=type_id):
        said = "There are relationships of this type. Archive it instead: PATCH it with status archived."
        raise Conflict(said, code="type_in_use")
    await session.execute(_REMOVE_TYPE, id=type_id)
    record(session, "relationship_type.deleted", "relationship_type", type_id)


# Relationships


def to_read(row: RowLike, language: str) -> dict[str, Any]:
    """A relationship as the API shows it, named in a language where its type has it."""
    named = row["type_names"].get(language) or row["type_names"].get(language.partition("-")[0])
    shown = {name: row[name] for name in (*_OWN, "from_name", "to_name")}
    shown["type"] = row["type_code"]
    own = (row["type_name"], row["type_reciprocal_name"])
    shown["name"], shown["reciprocal_name"] = (named["name"], named["reciprocal_name"]) if named else own
    return shown


async def _row(session: ReadSession, relationship_id: UUID) -> Row:
    row = await session.fetch_row(_GET, id=relationship_id)
    if row is None:
        raise NotFound("There is no such relationship.")
    return row


async def get_relationship(session: ReadSession, relationship_id: UUID) -> dict[str, Any]:
    """One relationship, or 404."""
    return to_read(await _row(session, relationship_id), session.tenant.language)


async def create_relationship(session: WriteSession, body: RelationshipCreate) -> dict[str, Any]:
    """Add a relationship. 409 where it is there already, from either side, or does not fit the two contacts."""
    if body.from_contact_id == body.to_contact_id:
        raise Conflict("A contact has no relationship with itself; name two contacts.", code="same_contact")
    pair = sorted((str(body.from_contact_id), str(body.to_contact_id)))
    await session.fetch(_LOCK_PAIR, name=f"{session.organization_id}:pair:{pair[0]}:{pair[1]}")
    about = await session.fetch_row(_ABOUT, code=body.type, from_id=body.from_contact_id, to_id=body.to_contact_id)
    kind = _check(about, body)
    assert about is not None
    row = simple.add(
        session,
        relationships,
        {**body.model_dump(exclude={"type"}), "type_id": about["id"], "kind": kind},
    )
    if body.is_primary and body.until is None:
        await _primary(session, body.from_contact_id, row["id"])
    record(session, "relationship.created", "relationship", row["id"])
    _tell(session, row["id"], body.from_contact_id, body.to_contact_id, "added")
    told = {f"type_{name}": about[name] for name in ("code", "name", "reciprocal_name", "names")}
    names = {name: about[name] for name in ("from_name", "to_name")}
    return to_read({**row, **told, **names}, session.tenant.language)


def _check(about: Row | None, body: RelationshipCreate) -> str:
    if about is None:
        said = "There is no such type of relationship; GET /v1/relationship-types lists them."
        raise NotFound(said, code="reference_not_found", errors=[FieldError("/type", "reference_not_found", said)])
    for side in ("from", "to"):
        if about[f"{side}_is"] is None:
            raise NotFound.reference(f"{side}_contact_id")
    if about["status"] == "archived":
        raise Conflict("This type of relationship is archived; take another or restore it.", code="type_archived")
    for side in ("from", "to"):
        if about[f"{side}_kind"] not in {"any", about[f"{side}_is"]}:
            said = f"In a relationship of this type {side}_contact_id is a contact of kind {about[f'{side}_kind']}."
            errors = [FieldError(f"/{side}_contact_id", "ends_mismatch", said)]
            raise Conflict(said, code="ends_mismatch", errors=errors)
    if body.until is None and about["same"]:
        raise Conflict("These two have this relationship already; change that one.", code="already_exists")
    if body.until is None and about["reverse"]:
        said = "These two have this relationship already, the other way round; end or remove that one first."
        raise Conflict(said, code="already_exists")
    kind = str(about["kind"])
    _check_members(kind, body.since, body.until, body.job_title, body.is_primary)
    return kind


def _check_members(kind: str, since: date | None, until: date | None, job_title: str | None, primary: bool) -> None:
    if since is not None and until is not None and until < since:
        raise Invalid.at("/until", "before_since", "until must not lie before since.")
    for name, given in (("job_title", job_title is not None), ("is_primary", primary)):
        if given and kind != "affiliation":
            said = f"{name} belongs to affiliations with an organization; leave it out."
            raise Conflict(said, code="not_an_affiliation", errors=[FieldError(f"/{name}", "not_an_affiliation", said)])


async def _primary(session: WriteSession, from_id: UUID, relationship_id: UUID) -> None:
    await session.execute(_NO_LONGER_PRIMARY, from_id=from_id, id=relationship_id, now=session.now)


def _tell(session: WriteSession, relationship_id: UUID, from_id: UUID, to_id: UUID, change: str) -> None:
    fact = RelationshipChanged(
        relationship_id=relationship_id, from_contact_id=from_id, to_contact_id=to_id, change=change
    )
    emit(session, fact)


async def patch_relationship(
    session: WriteSession, relationship_id: UUID, body: RelationshipPatch, *, expected: int | None
) -> dict[str, Any]:
    """Change dates, note, job title, or which affiliation is the primary one."""
    version = await lock_row(session, relationships, relationship_id, expected=expected, what="relationship")
    check_version(version, expected)
    before = await _row(session, relationship_id)
    changes = body.model_dump(include=body.model_fields_set)
    if not changes:
        return to_read(before, session.tenant.language)
    after = {**dict(before), **changes}
    _check_members(before["kind"], after["since"], after["until"], after["job_title"], after["is_primary"])
    if after["is_primary"] and after["until"] is None:
        await _primary(session, before["from_contact_id"], relationship_id)
    row = await update_row(session, relationships, relationship_id, changes, expected=None)
    record(session, "relationship.updated", "relationship", relationship_id, fields=changes)
    _tell(session, relationship_id, before["from_contact_id"], before["to_contact_id"], "changed")
    return to_read({**dict(before), **dict(row)}, session.tenant.language)


async def remove_relationship(session: WriteSession, relationship_id: UUID, *, expected: int | None) -> None:
    """Remove a relationship that was recorded by mistake; one that has ended gets an `until` instead."""
    await lock_row(session, relationships, relationship_id, expected=expected, what="relationship")
    row = await session.fetch_row(_REMOVE, id=relationship_id)
    assert row is not None
    record(session, "relationship.deleted", "relationship", relationship_id)
    _tell(session, relationship_id, row["from_contact_id"], row["to_contact_id"], "removed")


_OF_CONTACTS = prepare(
    text(
        """
        SELECT r.id, r.from_contact_id, r.to_contact_id, t.code, r.until FROM (
            SELECT * FROM relationships WHERE organization_id = :organization_id
                AND from_contact_id = ANY(CAST(:ids AS uuid[]))
            UNION
            SELECT * FROM relationships WHERE organization_id = :organization_id
                AND to_contact_id = ANY(CAST(:ids AS uuid[]))
        ) r JOIN relationship_types t ON t.organization_id = :organization_id AND t.id = r.type_id
        WHERE r.organization_id = :organization_id ORDER BY r.id
        """
    )
)


async def relationships_of(session: ReadSession, contact_ids: Sequence[UUID]) -> list[Row]:
    """Relationships with any of the contacts on either side: id, both contacts, the type's code and `until`."""
    return await session.fetch(_OF_CONTACTS, ids=list(contact_ids)) if contact_ids else []
