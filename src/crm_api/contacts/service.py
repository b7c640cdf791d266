"""Verbs of contacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from crm_api.audit.service import record
from crm_api.contacts import repository
from crm_api.contacts.facts import ContactCreated, ContactUpdated
from crm_api.contacts.models import contacts
from crm_api.contacts.persons import Person, told_by_payment
from crm_api.contacts.schemas import ContactCreate, ContactPatch
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession
from crm_api.kit.ids import new_id
from crm_api.kit.names import full_name
from crm_api.kit.problems import Invalid, NotFound
from crm_api.kit.updates import check_version, update_row
from crm_api.outbox.service import emit

_READ = (
    "id", "kind", "display_name", "given_name", "middle_name", "family_name", "organization_name", "emails", "phones",
    "addresses", "language", "external_ids", "tags", "roles", "custom", "do_not_contact", "deceased", "source",
    "version", "created_at", "updated_at",
)  # fmt: skip


def to_read(row: RowLike) -> dict[str, Any]:
    """A contact as the API shows it."""
    return {name: row[name] for name in _READ}


def display_name(values: RowLike) -> str:
    """How the contact is shown: its name, else its first e-mail or phone."""
    if values["kind"] == "organization" and values["organization_name"]:
        return str(values["organization_name"])
    name = full_name(values["given_name"], values["middle_name"], values["family_name"]) or values["organization_name"]
    if name:
        return str(name)
    for part, member in (("emails", "address"), ("phones", "number")):
        if values[part]:
            return str(values[part][0][member])
    return "Unnamed"


def create_contact(session: WriteSession, body: ContactCreate, *, source: str = "api") -> dict[str, Any]:
    """Add a contact; as the API shows it."""
    return _add(session, body.stored(), source=source)


def _add(session: WriteSession, values: dict[str, Any], *, source: str) -> dict[str, Any]:
    contact: dict[str, Any] = {
        "id": new_id(),
        **values,
        "roles": [],
        "source": source,
        "version": 1,
        "created_at": session.now,
        "updated_at": session.now,
    }
    contact["display_name"] = display_name(contact)
    repository.add(session, contact)
    record(session, "contact.created", "contact", contact["id"])
    emit(session, ContactCreated(contact_id=contact["id"]))
    return to_read(contact)


async def get_contact(session: ReadSession, contact_id: UUID) -> Row:
    """One contact, or 404."""
    row = await session.fetch_row(repository.GET, id=contact_id)
    if row is None:
        raise NotFound("There is no such contact.")
    return row


async def patch_contact(
    session: WriteSession, contact_id: UUID, body: ContactPatch, *, expected: int | None = None
) -> dict[str, Any]:
    """Apply a merge patch; the contact as it is now."""
    row = await repository.lock(session, contact_id)
    if row is None:
        raise NotFound("There is no such contact.")
    check_version(row["version"], expected)
    return await _change(session, row, body.stored())


async def _change(session: WriteSession, row: Row, changes: dict[str, Any]) -> dict[str, Any]:
    """Write changed columns of a locked contact with their keys."""
    if "custom" in changes:
        changes["custom"] = _merged(row["custom"], changes["custom"])
    changes = {name: value for name, value in changes.items() if value != row[name]}
    if not changes:
        return to_read(row)
    after = {**dict(row), **changes}
    if after["kind"] == "organization" and not after["organization_name"]:
        raise Invalid.at("/organization_name", "missing", "An organization needs organization_name.")
    shown = display_name(after)
    if shown != row["display_name"]:
        changes["display_name"] = after["display_name"] = shown
    after = {**dict(await update_row(session, contacts, row["id"], changes, expected=None))}
    if repository.key_rows(after) != repository.key_rows(row):
        await repository.replace_keys(session, after)
    if "external_ids" in changes:
        before = {(item["system"], item["id"]) for item in row["external_ids"]}
        await repository.drop_external_ids(session, row["id"], after["external_ids"])
        fresh = [item for item in after["external_ids"] if (item["system"], item["id"]) not in before]
        repository.add_external_ids(session, after, fresh)
    record(session, "contact.updated", "contact", row["id"], fields=changes)
    emit(session, ContactUpdated(contact_id=row["id"], fields=tuple(sorted(changes))))
    return to_read(after)


def _merged(before: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """RFC 7396 merge of the custom members."""
    after = dict(before)
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        elif isinstance(value, dict):
            known = after.get(name)
            after[name] = _merged(known if isinstance(known, dict) else {}, value)
        else:
            after[name] = value
    return after


async def upsert_by_external_id(
    session: WriteSession, system: str, external_id: str, body: ContactCreate
) -> tuple[dict[str, Any], bool]:
    """Create or change the contact with an id in another system; whether it was created.

    Members that are not sent stay as they are; the external id itself is always kept.
    """
    await repository.lock_identity(session, f"external:{system}:{external_id}")
    own = {"system": system, "id": external_id}
    found = await repository.by_external_id(session, system, external_id)
    values = body.stored()
    if found is None:
        values["external_ids"] = [own, *(item for item in values["external_ids"] if item != own)]
        return _add(session, values, source="api"), True
    row = await repository.lock(session, found["id"])
    assert row is not None
    sent = {name: value for name, value in values.items() if name in body.model_fields_set}
    if "external_ids" in sent:
        kept = list(row["external_ids"])
        sent["external_ids"] = kept + [item for item in sent["external_ids"] if item not in kept]
    return await _change(session, row, sent), False


async def resolve_payer(
    session: WriteSession,
    person: Person,
    *,
    contact_id: UUID | None,
    customer: tuple[str, str] | None,
    source: str,
    emails: Sequence[str] = (),
    given: Mapping[str, str] | None = None,
) -> tuple[UUID | None, dict[str, str]]:
    """The contact who paid, and what it has from this payment: named by our own id, by the provider's customer id, by
    e-mail; else a new one.

    Nothing to go by gives nothing: the gift stays without a contact. Two payments of one new donor at the same moment
    wait for each other here, so that they find the same contact. Blank facts are filled in; what is there stays, unless
    it came with this very payment (`given`) and nobody has changed it since: then a better statement takes its place.
    """
    known = given or {}
    if customer is not None:
        await repository.lock_identity(session, f"external:{customer[0]}:{customer[1]}")
    if contact_id is not None and (row := await repository.lock(session, contact_id)) is not None:
        return contact_id, await _fill(session, row, person, emails, customer, known)
    if person.email is not None:
        await repository.lock_identity(session, f"email:{person.email.casefold()}")
    found = await repository.by_external_id(session, *customer) if customer else None
    if found is None and person.email is not None:
        same = await repository.by_emails(session, [person.email])
        wanted = (person.name or "").casefold()
        named = [row for row in same if wanted and row["display_name"].casefold() == wanted]
        found = next(iter(named or same), None)
    if found is not None:
        row = await repository.lock(session, found["id"])
        assert row is not None
        return UUID(str(row["id"])), await _fill(session, row, person, emails, customer, known)
    if person.email is None and person.name is None:
        return None, dict(known)
    values = ContactCreate.model_construct(kind="person").model_dump()
    told, came = told_by_payment(values, person, emails, {})
    values |= told
    values["external_ids"] = [{"system": customer[0], "id": customer[1]}] if customer else []
    added = _add(session, values, source=source)
    await session.flush()  # the rest of this transaction refers to it
    return UUID(str(added["id"])), came


async def _fill(
    session: WriteSession,
    row: Row,
    person: Person,
    emails: Sequence[str],
    customer: tuple[str, str] | None,
    given: Mapping[str, str],
) -> dict[str, str]:
    changes, came = told_by_payment(row, person, emails, given)
    own = {"system": customer[0], "id": customer[1]} if customer else None
    if own and own not in row["external_ids"] and await repository.by_external_id(session, *own.values()) is None:
        changes["external_ids"] = [*row["external_ids"], own]
    await _change(session, row, changes)
    return came


async def find_customer(session: WriteSession, system: str, external_id: str) -> UUID | None:
    """The contact with an id in another system; whoever is about to give it to a contact is waited for."""
    await repository.lock_identity(session, f"external:{system}:{external_id}")
    row = await repository.by_external_id(session, system, external_id)
    return None if row is None else UUID(str(row["id"]))


async def contact_exists(session: ReadSession, contact_id: UUID) -> bool:
    """Whether there is such a contact."""
    return await session.fetch_row(repository.GET, id=contact_id) is not None


async def add_role(session: WriteSession, contact_id: UUID, role: str) -> None:
    """Give the contact a role it does not have yet."""
    row = await repository.lock(session, contact_id)
    if row is not None and role not in row["roles"]:
        await _change(session, row, {"roles": [*row["roles"], role]})


async def add_role_to_many(session: WriteSession, contact_ids: Sequence[UUID], role: str) -> int:
    """Give contacts a role, all at once and without a fact each; how many did not have it yet."""
    return await repository.add_role(session, contact_ids, role) if contact_ids else 0


async def set_email_status(session: WriteSession, contact_id: UUID, address: str, status: str) -> None:
    """Note what is known of one address of a contact (``bouncing``, ``invalid``, ``opted_out``)."""
    row = await repository.lock(session, contact_id)
    if row is None:
        return
    emails = [{**item, "status": status} if item["address"] == address else item for item in row["emails"]]
    await _change(session, row, {"emails": emails})
