"""What happens to a new contact that may be there already: `on_match` of create and upsert."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.contacts import repository, service
from crm_api.contacts.dedupe.candidates import Candidate, find_candidates
from crm_api.contacts.dedupe.queue import put_aside
from crm_api.contacts.dedupe.rules import rules_of
from crm_api.contacts.keys import fold_email
from crm_api.contacts.schemas import ContactCreate
from crm_api.kit.db import WriteSession, prepare
from crm_api.kit.problems import Conflict

_LOCK_ALL = prepare(
    text(
        "SELECT pg_advisory_xact_lock(hashtextextended(n.name, 0)) "
        "FROM (SELECT unnest(CAST(:names AS text[])) AS name ORDER BY 1) n"
    )
)
_TOLD = 20


async def create_or_match(session: WriteSession, body: ContactCreate) -> tuple[dict[str, Any], bool]:
    """A contact for what was sent, and whether it is new: created, or by ``on_match=return`` the one certain match.

    ``reject`` raises a 409 that lists the candidates; ``queue`` creates, and puts the pairs into the review queue. Two
    requests with the same e-mail or phone wait for each other, so the later one sees what the earlier one made.
    """
    if body.on_match == "create":
        return await service.create_contact(session, body), True
    found = await _candidates(session, body)
    if body.on_match == "return" and found and found[0].certain:
        row = await service.lock_contact(session, found[0].contact_id)
        return await service.shown(session, row), False
    contact = await service.create_contact(session, body)
    await _queue(session, contact["id"], body, found)
    return contact, True


async def upsert_or_match(
    session: WriteSession, system: str, external_id: str, body: ContactCreate
) -> tuple[dict[str, Any], bool]:
    """The same for an upsert by external id, which decides alone where the id is known. With ``return``, the certain
    match is given the id, so that the next upsert finds it by that."""
    if body.on_match == "create":
        return await service.upsert_by_external_id(session, system, external_id, body)
    await repository.lock_identity(session, f"external:{system}:{external_id}")
    if await repository.by_external_id(session, system, external_id) is not None:
        return await service.upsert_by_external_id(session, system, external_id, body)
    found = await _candidates(session, body)
    if body.on_match == "return" and found and found[0].certain:
        row = await service.lock_contact(session, found[0].contact_id)
        ids = [*row["external_ids"], {"system": system, "id": external_id}]
        return await service.change_contact(session, row, {"external_ids": ids}), False
    contact, is_new = await service.upsert_by_external_id(session, system, external_id, body)
    await _queue(session, contact["id"], body, found)
    return contact, is_new


async def _candidates(session: WriteSession, body: ContactCreate) -> list[Candidate]:
    values = {**body.stored(), "roles": [], "role_details": []}
    names = [f"email:{fold_email(item['address'])}" for item in values["emails"]]
    names += [f"phone:{item['number']}" for item in values["phones"]]
    if names:
        await session.fetch(_LOCK_ALL, names=sorted(f"{session.organization_id}:{name}" for name in names))
    found = await find_candidates(session, values)
    if body.on_match == "reject" and found:
        raise Conflict(
            "There are contacts that may be the same; see candidates. Use one of them, or send on_match=create.",
            code="duplicate_found",
            candidates=[
                {
                    name: str(value) if name == "contact_id" else value
                    for name, value in one.shown().items()
                    if name != "display_name"
                }  # no name: who may write need not be allowed to read
                for one in found[:_TOLD]
            ],
        )
    return found


async def _queue(session: WriteSession, contact_id: UUID, body: ContactCreate, found: list[Candidate]) -> None:
    if body.on_match == "queue" and found:
        await session.flush()  # the pairs refer to the new contact
        pairs = [(contact_id, one.contact_id, one.match) for one in found]
        await put_aside(session, pairs, origin="create", rules_version=(await rules_of(session)).version)
