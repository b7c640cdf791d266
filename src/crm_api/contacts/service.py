"""Verbs of contacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from crm_api.audit.service import record
from crm_api.contacts import repository, roles
from crm_api.contacts.custom_fields import service as custom_fields
from crm_api.contacts.facts import ContactCreated, ContactUpdated
from crm_api.contacts.models import contacts
from crm_api.contacts.parts import SourceRead
from crm_api.contacts.schemas import ContactCreate, ContactPatch, ContactRead
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession
from crm_api.kit.ids import new_id
from crm_api.kit.names import full_name
from crm_api.kit.problems import Conflict, Invalid, Moved, NotFound
from crm_api.kit.scripts import latin_name
from crm_api.kit.updates import check_version, update_row
from crm_api.organizations.service import contact_roles
from crm_api.outbox.service import emit

READ_SENSITIVE = "contacts:read_sensitive"
LISTS = ("other_names", "emails", "phones", "addresses", "handles", "external_ids", "tags", "roles", "role_details")
ERASED = "This person was erased: nothing can be recorded of them any more."
_NO_SOURCE: dict[str, Any] = dict.fromkeys(SourceRead.model_fields)
_READ = tuple(name for name in ContactRead.model_fields if name != "custom")


def to_read(
    row: RowLike, scopes: frozenset[str] = frozenset(), guarded: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """A contact as the API shows it to somebody with these scopes; `guarded` are keys of custom fields that they may
    not see (`custom_fields.guarded_keys`)."""
    contact = {name: row[name] for name in _READ}
    if READ_SENSITIVE in scopes:
        contact["custom"] = row["custom"] | row["custom_sensitive"]
    else:
        contact["custom"] = {key: value for key, value in row["custom"].items() if key not in guarded}
    return contact


async def shown(session: ReadSession, row: RowLike) -> dict[str, Any]:
    """A contact as the API shows it to the session's actor."""
    guarded = await custom_fields.guarded_keys(session) if row["custom"] else frozenset()
    return to_read(row, session.actor.scopes, guarded)


def latin(values: RowLike) -> str | None:
    """The contact's name in Latin letters: the one it gave, else transliterated; nothing where it has no name."""
    given = next((name for name in values["other_names"] if name["type"] == "latin"), None)
    if given is not None:
        return full_name(given["given_name"], given["middle_name"], given["family_name"]) or given["organization_name"]
    name = full_name(values["given_name"], values["middle_name"], values["family_name"]) or values["organization_name"]
    return latin_name(name, values["language"]) if name else None


def display_name(values: RowLike) -> str:
    """How the contact is shown: its name, else its first e-mail or phone."""
    if values["kind"] == "organization" and values["organization_name"]:
        return str(values["organization_name"])
    name = full_name(values["given_name"], values["middle_name"], values["family_name"]) or values["organization_name"]
    if name:
        return str(name)
    for part, member in (("emails", "address"), ("phones", "number"), ("handles", "handle")):
        if values[part]:
            return str(values[part][0][member])
    return "Unnamed"


async def create_contact(session: WriteSession, body: ContactCreate, *, source: str = "api") -> dict[str, Any]:
    """Add a contact; as the API shows it. `source` is the channel of its first touch where the body names none."""
    values = await _with_roles(session, body.stored(), ())
    return add_contact(session, await custom_fields.for_new(session, values), source=source)


def add_contact(session: WriteSession, values: dict[str, Any], *, source: str) -> dict[str, Any]:
    """Insert a contact with these column values and whatever follows from them."""
    contact = new_row(values, now=session.now, source=source)
    repository.add(session, contact)
    custom_fields.add_keys(session, contact)
    record(session, "contact.created", "contact", contact["id"])
    emit(session, ContactCreated(contact_id=contact["id"]))
    return to_read(contact, session.actor.scopes)


_DEFAULTS: dict[str, Any] = {
    str(name): [] if name in LISTS else None
    for name in contacts.c.keys()  # noqa: SIM118 (columns, not names, are what iterating gives)
    if name not in {"organization_id", "kind", "display_name", "do_not_contact", "deceased"}
} | {"custom": {}, "custom_sensitive": {}, "do_not_contact": False, "deceased": False}


def new_row(values: Mapping[str, Any], *, now: datetime, source: str) -> dict[str, Any]:
    """The whole row of a new contact. Pure but for its id."""
    contact: dict[str, Any] = {
        **_DEFAULTS,
        **values,
        "id": new_id(),
        "source": values.get("source") or {**_NO_SOURCE, "channel": source},
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    contact["deceased"] = contact["deceased"] or contact["deceased_on"] is not None
    contact["display_name"] = display_name(contact)
    contact["latin_name"] = latin(contact)
    return contact


async def _with_roles(
    session: WriteSession, values: dict[str, Any], before: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The values with `roles` and `role_details` as they are stored, whichever of them was said."""
    names, details = values.pop("roles", None), values.pop("role_details", None)
    if names is None and details is None:
        return values
    today = clock.local_date(session.now, session.tenant.timezone).isoformat()
    after = roles.from_names(names, before, today) if names is not None else roles.tidy(details)
    said = {item["role"] for item in after} - {item["role"] for item in before}
    if said:
        roles.check_known(said, await contact_roles(session), "roles" if names is not None else "role_details")
    return {**values, "role_details": after, "roles": roles.current(after, today)}


async def get_contact(session: ReadSession, contact_id: UUID) -> Row:
    """One contact, or 404; one that was merged is `Moved` to the survivor."""
    return _living(await session.fetch_row(repository.GET, id=contact_id))


async def lock_contact(session: WriteSession, contact_id: UUID) -> Row:
    """One contact, locked for this transaction, or 404; one that was merged is `Moved` to the survivor."""
    row = _living(await repository.lock(session, contact_id))
    if row["erased_at"] is not None:
        raise Conflict(ERASED, code="contact_erased")
    return row


_MOST_MERGES = 10


async def lock_survivor(session: WriteSession, contact_id: UUID) -> Row | None:
    """The contact, or who it was merged into meanwhile, locked; nothing where there is none. For work that has found a
    contact a moment ago, or long ago. The person may have been erased."""
    row = await repository.lock(session, contact_id)
    for _ in range(_MOST_MERGES):
        if row is None or row["merged_into"] is None:
            break
        row = await repository.lock(session, row["merged_into"])
    return row


async def contact_to_name(session: WriteSession, contact_id: UUID) -> UUID:
    """Whom a row that is about to be written for a contact should name: the contact, or who it was merged into. 404 at
    ``contact_id`` for none, 409 for somebody who was erased."""
    row = await session.fetch_row(repository.TO_NAME, id=contact_id)
    if row is None:
        raise NotFound.reference("contact_id")
    if row["erased_at"] is not None:
        raise Conflict(ERASED, code="contact_erased")
    return UUID(str(row["survivor"]))


def _living(row: Row | None) -> Row:
    if row is None:
        raise NotFound("There is no such contact.")
    if row["merged_into"] is not None:
        raise Moved(row["id"], row["merged_into"])
    return row


async def survivor_of(session: ReadSession, contact_id: UUID) -> UUID | None:
    """The contact itself, the one it was merged into, or nothing where there is no such contact."""
    row = await session.fetch_row(repository.GET, id=contact_id)
    return None if row is None else UUID(str(row["merged_into"] or row["id"]))


async def patch_contact(
    session: WriteSession, contact_id: UUID, body: ContactPatch, *, expected: int | None = None
) -> dict[str, Any]:
    """Apply a merge patch; the contact as it is now."""
    row = await lock_contact(session, contact_id)
    check_version(row["version"], expected)
    changes = await _with_roles(session, body.stored(), row["role_details"])
    return await change_contact(session, row, await custom_fields.for_changed(session, row, changes))


async def change_contact(session: WriteSession, row: Row, changes: dict[str, Any]) -> dict[str, Any]:
    """Write changed columns of a locked contact with their keys."""
    if changes.get("deceased_on") is not None:
        changes["deceased"] = True
    elif changes.get("deceased") is False:
        changes["deceased_on"] = None
    changes = {name: value for name, value in changes.items() if value != row[name]}
    if not changes:
        return await shown(session, row)
    after = {**dict(row), **changes}
    if after["kind"] == "organization" and not after["organization_name"]:
        raise Invalid.at("/organization_name", "missing", "An organization needs organization_name.")
    derived = {"display_name": display_name(after), "latin_name": latin(after)}
    changes |= {name: value for name, value in derived.items() if value != row[name]}
    after = {**dict(await update_row(session, contacts, row["id"], changes, expected=None))}
    if repository.key_rows(after) != repository.key_rows(row):
        await repository.replace_keys(session, after)
    if changes.keys() & {"custom", "custom_sensitive"}:
        await custom_fields.replace_keys(session, row, after)
    if "external_ids" in changes:
        before = {(item["system"], item["id"]) for item in row["external_ids"]}
        await repository.drop_external_ids(session, row["id"], after["external_ids"])
        fresh = [item for item in after["external_ids"] if (item["system"], item["id"]) not in before]
        repository.add_external_ids(session, after, fresh)
    record(session, "contact.updated", "contact", row["id"], fields=changes)
    emit(session, ContactUpdated(contact_id=row["id"], fields=tuple(sorted(changes))))
    return await shown(session, after)


async def upsert_by_external_id(
    session: WriteSession, system: str, external_id: str, body: ContactCreate
) -> tuple[dict[str, Any], bool]:
    """Create or change the contact with an id in another system; whether it was created.

    Members that are not sent stay as they are; the external id itself is always kept.
    """
    await repository.lock_identity(session, f"external:{system}:{external_id}")
    own = {"system": system, "id": external_id}
    found = await repository.by_external_id(session, system, external_id)
    if found is None:
        values = await _with_roles(session, body.stored(), ())
        values["external_ids"] = [own, *(item for item in values["external_ids"] if item != own)]
        return add_contact(session, await custom_fields.for_new(session, values), source="api"), True
    row = await lock_survivor(session, found["id"])
    assert row is not None
    if row["erased_at"] is not None:
        raise Conflict(ERASED, code="contact_erased")
    sent = {name: value for name, value in body.stored().items() if name in body.model_fields_set - {"source"}}
    if "external_ids" in sent:
        kept = list(row["external_ids"])
        sent["external_ids"] = kept + [item for item in sent["external_ids"] if item not in kept]
    sent = await custom_fields.for_changed(session, row, await _with_roles(session, sent, row["role_details"]))
    return await change_contact(session, row, sent), False


async def contact_exists(session: ReadSession, contact_id: UUID) -> bool:
    """Whether there is such a contact, of whom anything may still be recorded."""
    row = await session.fetch_row(repository.GET, id=contact_id)
    return row is not None and row["erased_at"] is None


async def add_role(session: WriteSession, contact_id: UUID, role: str) -> None:
    """Give the contact, or who it was merged into, a role it does not have yet."""
    row = await lock_survivor(session, contact_id)
    if row is not None and row["erased_at"] is None and role not in row["roles"]:
        today = clock.local_date(session.now, session.tenant.timezone).isoformat()
        details = [*row["role_details"], {"role": role, "stage": "active", "since": today, "until": None}]
        await change_contact(session, row, {"roles": [*row["roles"], role], "role_details": details})


async def add_role_to_many(session: WriteSession, contact_ids: Sequence[UUID], role: str) -> int:
    """Give contacts a role, all at once and without a fact each; how many did not have it yet."""
    return await repository.add_role(session, contact_ids, role) if contact_ids else 0


async def set_email_status(session: WriteSession, contact_id: UUID, address: str, status: str) -> None:
    """Note what is known of one address of a contact (``bouncing``, ``invalid``, ``opted_out``), or of who it was
    merged into."""
    row = await lock_survivor(session, contact_id)
    if row is None or row["erased_at"] is not None:
        return
    emails = [{**item, "status": status} if item["address"] == address else item for item in row["emails"]]
    await change_contact(session, row, {"emails": emails})
