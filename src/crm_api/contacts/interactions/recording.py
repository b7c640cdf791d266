"""Recording interactions, one or thousands, each once: for the API, intake and imports alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from crm_api.audit.service import record
from crm_api.contacts.interactions import rows
from crm_api.contacts.interactions.facts import InteractionRecorded, MemberMentioned
from crm_api.kit.db import WriteSession
from crm_api.kit.ids import new_id
from crm_api.kit.problems import NotFound
from crm_api.kit.statements import plain
from crm_api.outbox.service import emit


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody who took part: a contact or a member, one of the two. `role` as in `models.ROLES`."""

    contact_id: UUID | None = None
    member_id: UUID | None = None
    role: str = "participant"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInteraction:
    """What took place. Values as in `models` (kind, direction, channel, sensitivity); `at` is now where it is not
    known, `external` names it in another system (system, id)."""

    kind: str
    participants: Sequence[Participant]
    direction: str = "none"
    channel: str | None = None
    subject: str | None = None
    body: str | None = None
    outcome: str | None = None
    at: datetime | None = None
    duration_seconds: int | None = None
    campaign_id: UUID | None = None
    external: tuple[str, str] | None = None
    sensitivity: str = "donor_sensitive"
    mentions: Sequence[UUID] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """Which interaction it is, and whether it was recorded just now."""

    interaction_id: UUID
    is_new: bool
    row: dict[str, Any] | None
    """Columns and participants of a new one; nothing where it was there before."""


async def record_interaction(session: WriteSession, interaction: NewInteraction) -> Recorded:
    """Record an interaction once: a known `external` gives the one that is there, unchanged.

    A contact that was merged is replaced by its survivor. `NotFound` where a contact, member or campaign does not exist
    in this organization. Emits `InteractionRecorded` and `MemberMentioned`.
    """
    (recorded,) = await record_interactions(session, [interaction])
    return recorded


async def record_interactions(session: WriteSession, many: Sequence[NewInteraction]) -> list[Recorded]:
    """Record interactions in one statement, as `record_interaction` does each; answers in the same order.

    Of several with one `external` the first counts. For loads of up to a few thousand at a time; in a bulk session one
    `InteractionsRecorded` stands for all of them.
    """
    if not many:
        return []
    await session.flush()  # contacts that this transaction has added are referred to
    survivors = await _survivors(session, many)
    await _check_members(session, many)
    values = [_row(session, one) for one in many]
    people = [list(parties(one.participants, survivors)) for one in many]
    async with session.beyond_limit():  # what they name was looked up; an interaction is seen through who took part
        made = await session.fetch(
            rows.RECORD,
            interactions=_json(values),
            participants=_json([{**one, "interaction_id": row["id"]} for row, group in zip(values, people, strict=True)
                                for one in group]),
            mentions=_json(
                [{"interaction_id": row["id"], "member_id": one} for row in values for one in row["mentions"]]),
            now=session.now,
        )  # fmt: skip
        fresh = {row["id"] for row in made}
        known = await _known(session, [one.external for one, row in zip(many, values, strict=True)
                                       if one.external and row["id"] not in fresh])  # fmt: skip
    answers = []
    for one, row, group in zip(many, values, people, strict=True):
        if row["id"] in fresh:
            _tell(session, row, group)
            answers.append(Recorded(row["id"], True, {**row, "participants": group}))
        else:
            assert one.external is not None
            answers.append(Recorded(known[one.external], False, None))
    return answers


def _row(session: WriteSession, one: NewInteraction) -> dict[str, Any]:
    system, external_id = one.external or (None, None)
    return {
        "id": new_id(),
        "kind": one.kind,
        "direction": one.direction,
        "channel": one.channel,
        "subject": one.subject,
        "body": one.body,
        "outcome": one.outcome,
        "at": one.at or session.now,
        "duration_seconds": one.duration_seconds,
        "campaign_id": one.campaign_id,
        "external_system": system,
        "external_id": external_id,
        "sensitivity": one.sensitivity,
        "mentions": [str(member) for member in dict.fromkeys(one.mentions)],
        "actor_kind": session.actor.kind,
        "actor_id": session.actor.id,
        "version": 1,
        "created_at": session.now,
        "updated_at": session.now,
    }


def parties(participants: Iterable[Participant], survivors: dict[UUID, UUID]) -> Iterable[dict[str, Any]]:
    """Rows of participants: survivors for retired contacts, nobody twice."""
    seen = set()
    for one in participants:
        contact = None if one.contact_id is None else survivors[one.contact_id]
        if (contact, one.member_id) not in seen:
            seen.add((contact, one.member_id))
            yield {
                "contact_id": contact,
                "member_id": one.member_id,
                "role": one.role,
                "position": len(seen),
            }


def _tell(session: WriteSession, row: dict[str, Any], people: list[dict[str, Any]]) -> None:
    record(session, "interaction.created", "interaction", row["id"])
    contacts = tuple(one["contact_id"] for one in people if one["contact_id"])
    emit(
        session,
        InteractionRecorded(
            interaction_id=row["id"], kind=row["kind"], direction=row["direction"], contact_ids=contacts
        ),
    )
    for member in row["mentions"]:
        emit(session, MemberMentioned(interaction_id=row["id"], member_id=UUID(member)))


async def _survivors(session: WriteSession, many: Sequence[NewInteraction]) -> dict[UUID, UUID]:
    return await survivors_of(session, [list(one.participants) for one in many])


async def survivors_of(session: WriteSession, groups: Sequence[Sequence[Participant]]) -> dict[UUID, UUID]:
    """Who each contact is today; `NotFound` names the first that does not exist."""
    wanted = {one.contact_id for group in groups for one in group if one.contact_id is not None}
    found = {row["id"]: row["survivor"] for row in await session.fetch(rows.SURVIVORS, ids=sorted(wanted))}
    for group in groups:
        for number, one in enumerate(group):
            if one.contact_id is not None and one.contact_id not in found:
                raise NotFound.reference(f"participants/{number}/contact_id")
    return found


async def _check_members(session: WriteSession, many: Sequence[NewInteraction]) -> None:
    for_each = [(list(one.participants), list(one.mentions)) for one in many]
    await check_members(session, for_each)


async def check_members(session: WriteSession, groups: Sequence[tuple[list[Participant], list[UUID]]]) -> None:
    """`NotFound` where a member who took part or is called in does not exist."""
    wanted = {one.member_id for people, _ in groups for one in people if one.member_id is not None}
    wanted |= {member for _, mentions in groups for member in mentions}
    if not wanted:
        return
    found = {row["id"] for row in await session.fetch(rows.MEMBERS, ids=sorted(wanted))}
    for people, mentions in groups:
        for number, one in enumerate(people):
            if one.member_id is not None and one.member_id not in found:
                raise NotFound.reference(f"participants/{number}/member_id")
        if not found.issuperset(mentions):
            raise NotFound.reference("mentions")


async def _known(session: WriteSession, refs: list[tuple[str, str]]) -> dict[tuple[str, str], UUID]:
    if not refs:
        return {}
    asked = _json([{"system": system, "id": external_id} for system, external_id in dict.fromkeys(refs)])
    found = await session.fetch(rows.KNOWN, refs=asked)
    return {(row["external_system"], row["external_id"]): row["id"] for row in found}


def _json(values: list[dict[str, Any]]) -> str:
    return orjson.dumps(values, default=plain).decode()
