"""Who paid: the contact that a payment's statement names, found or made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from crm_api.contacts import repository
from crm_api.contacts.persons import Person, told_by_payment
from crm_api.contacts.schemas import ContactCreate
from crm_api.contacts.service import add_contact, change_contact, lock_survivor
from crm_api.kit.db import Row, WriteSession


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
    if contact_id is not None and (row := await lock_survivor(session, contact_id)) is not None:
        return UUID(str(row["id"])), await _fill(session, row, person, emails, customer, known)
    if person.email is not None:
        await repository.lock_identity(session, f"email:{person.email.casefold()}")
    found = await repository.by_external_id(session, *customer) if customer else None
    if found is None and person.email is not None:
        same = await repository.by_emails(session, [person.email])
        wanted = (person.name or "").casefold()
        named = [row for row in same if wanted and row["display_name"].casefold() == wanted]
        found = next(iter(named or same), None)
    if found is not None:
        row = await lock_survivor(session, found["id"])
        assert row is not None
        return UUID(str(row["id"])), await _fill(session, row, person, emails, customer, known)
    if person.email is None and person.name is None:
        return None, dict(known)
    values = ContactCreate.model_construct(kind="person").stored()
    told, came = told_by_payment(values, person, emails, {})
    values = {name: value for name, value in (values | told).items() if name not in {"roles", "role_details"}}
    values["external_ids"] = [{"system": customer[0], "id": customer[1]}] if customer else []
    added = add_contact(session, values, source=source)
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
    if row["erased_at"] is not None:  # a gift of before: what its payer is called is not learnt again
        return {}
    changes, came = told_by_payment(row, person, emails, given)
    own = {"system": customer[0], "id": customer[1]} if customer else None
    if own and own not in row["external_ids"] and await repository.by_external_id(session, *own.values()) is None:
        changes["external_ids"] = [*row["external_ids"], own]
    await change_contact(session, row, changes)
    return came


async def find_customer(session: WriteSession, system: str, external_id: str) -> UUID | None:
    """The contact with an id in another system; whoever is about to give it to a contact is waited for."""
    await repository.lock_identity(session, f"external:{system}:{external_id}")
    row = await repository.by_external_id(session, system, external_id)
    return None if row is None else UUID(str(row["id"]))
