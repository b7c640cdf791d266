"""Verbs of interactions. Other packages record theirs by `recording.record_interaction` and `record_interactions`."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from crm_api.audit.sensitive_reads import note
from crm_api.audit.service import record
from crm_api.contacts.interactions import rows
from crm_api.contacts.interactions.facts import InteractionChanged, InteractionRemoved, MemberMentioned
from crm_api.contacts.interactions.models import interaction_members, interaction_participants, interactions
from crm_api.contacts.interactions.recording import (
    NewInteraction,
    Participant,
    Recorded,
    check_members,
    parties,
    record_interaction,
    survivors_of,
)
from crm_api.contacts.interactions.schemas import InteractionCreate, InteractionPatch, ParticipantNew, mentioned_in
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession
from crm_api.kit.problems import Conflict, Forbidden, Invalid, NotFound
from crm_api.kit.updates import check_version, update_row
from crm_api.outbox.service import emit

SENSITIVE_SCOPE = "contacts:read_sensitive"
_READ = (
    "id", "kind", "direction", "channel", "subject", "body", "outcome", "at", "duration_seconds", "campaign_id",
    "sensitivity", "mentions", "actor_kind", "actor_id", "version", "created_at", "updated_at",
)  # fmt: skip
_PARTY = ("contact_id", "member_id", "role")


def to_read(row: RowLike) -> dict[str, Any]:
    """An interaction as the API shows it; the row must hold its participants."""
    shown = {name: row[name] for name in _READ}
    shown["participants"] = [{name: one[name] for name in _PARTY} for one in row["participants"]]
    known = row["external_id"] is not None
    shown["external_ref"] = {"system": row["external_system"], "id": row["external_id"]} if known else None
    return shown


def shown(session: ReadSession, row: RowLike) -> dict[str, Any]:
    """The same, for a read: that somebody was shown a sensitive one is recorded."""
    if row["sensitivity"] == "beneficiary_sensitive":
        held = [name for name in ("subject", "body", "outcome") if row[name] is not None]
        note(session, "interaction.sensitive_read", "interaction", row["id"], fields=held)
    return to_read(row)


def sees_sensitive(session: ReadSession) -> bool:
    """Whether the caller may see what is marked `beneficiary_sensitive`."""
    return SENSITIVE_SCOPE in session.actor.scopes


def need_sensitive(session: ReadSession) -> None:
    """403 for callers who may not see what is marked `beneficiary_sensitive`."""
    if not sees_sensitive(session):
        raise Forbidden(
            f"This needs the scope {SENSITIVE_SCOPE}. Use a key that has it, or ask an administrator to grant it.",
            code="missing_scope",
            scope=SENSITIVE_SCOPE,
        )


def _visible(session: ReadSession, row: Row | None) -> Row:
    if row is None or (row["sensitivity"] == "beneficiary_sensitive" and not sees_sensitive(session)):
        raise NotFound("There is no such interaction.")
    return row


def _people(participants: list[ParticipantNew]) -> list[Participant]:
    return [Participant(one.contact_id, one.member_id, one.role) for one in participants]


async def create_interaction(session: WriteSession, body: InteractionCreate) -> tuple[dict[str, Any], bool]:
    """Record what a client sends; the interaction, and whether it is a new one (a known `external_ref` is not)."""
    if body.sensitivity == "beneficiary_sensitive":
        need_sensitive(session)
    called = [*body.mentions, *(mentioned_in(body.body) if body.kind == "note" else ())]
    people = body.people()
    recorded = await _record(
        session,
        body,
        NewInteraction(
            kind=body.kind,
            participants=_people(people),
            direction=body.direction,
            channel=body.channel,
            subject=body.subject,
            body=body.body,
            outcome=body.outcome,
            at=body.at,
            duration_seconds=body.duration_seconds,
            campaign_id=body.campaign_id,
            external=(body.external_ref.system, body.external_ref.id) if body.external_ref else None,
            sensitivity=body.sensitivity,
            mentions=list(dict.fromkeys(called)),
        ),
    )
    if recorded.row is not None:
        return to_read(recorded.row), True
    row = await session.fetch_row(rows.GET, id=recorded.interaction_id)
    if row is None or (row["sensitivity"] == "beneficiary_sensitive" and not sees_sensitive(session)):
        raise Conflict(
            "An interaction with this external_ref exists already and is not for this key to see.",
            code="external_ref_taken",
        )
    return to_read(row), False


async def _record(session: WriteSession, body: InteractionCreate, interaction: NewInteraction) -> Recorded:
    """Record it; a contact that there is not is pointed at where the body names it."""
    try:
        return await record_interaction(session, interaction)
    except NotFound as problem:
        if problem.errors and problem.errors[0].pointer == f"/participants/{len(body.participants or ())}/contact_id":
            raise NotFound.reference("contact_id") from None
        raise


async def get_interaction(session: ReadSession, interaction_id: UUID) -> dict[str, Any]:
    """One interaction, or 404; so is one that the caller may not see."""
    return shown(session, _visible(session, await session.fetch_row(rows.GET, id=interaction_id)))


async def patch_interaction(
    session: WriteSession, interaction_id: UUID, body: InteractionPatch, *, expected: int | None
) -> dict[str, Any]:
    """Change an interaction. Members called in anew are told, each once in the life of the note."""
    row = _visible(session, await session.fetch_row(rows.LOCK, id=interaction_id))
    check_version(row["version"], expected)
    if body.sensitivity == "beneficiary_sensitive":
        need_sensitive(session)
    changes = {name: value for name, value in body.stored().items() if value != row[name]}
    after = {**dict(row), **changes}
    if after["kind"] == "note" and not after["body"] and not after["subject"]:
        raise Invalid.at("/body", "missing", "A note needs a body or a subject.")
    called = _called(row, after, body)
    if called != row["mentions"]:
        await check_members(session, [([], [UUID(one) for one in called])])
        changes["mentions"] = called
    people = await _changed_people(session, row, body)
    if not changes and people is None:
        return to_read(row)
    stored = {**dict(await update_row(session, interactions, interaction_id, changes, expected=None))}
    stored["participants"] = row["participants"] if people is None else people
    if people is not None:
        await session.execute(rows.FORGET_PARTICIPANTS, interaction_id=interaction_id)
    async with session.beyond_limit():  # participants that the caller does not see stay, and move with it
        if people is not None:
            _put_people(session, interaction_id, stored["at"], people)
        if "at" in changes:
            await session.execute(rows.MOVE_PARTICIPANTS, interaction_id=interaction_id, at=stored["at"])
        await _mention(session, interaction_id, changes.get("mentions", []))
    names = sorted([*changes, *(["participants"] if people is not None else [])])
    record(session, "interaction.updated", "interaction", interaction_id, fields=names)
    emit(session, InteractionChanged(interaction_id=interaction_id, fields=tuple(names)))
    return to_read(stored)


def _called(before: Row, after: dict[str, Any], body: InteractionPatch) -> list[str]:
    """Who is called in after a change: those sent, or those called in beside the old body, and those in the body."""
    in_old = {str(one) for one in mentioned_in(before["body"])} if before["kind"] == "note" else set()
    beside = [one for one in before["mentions"] if one not in in_old]
    if body.mentions is not None:
        beside = [str(one) for one in body.mentions]
    in_body = [str(one) for one in mentioned_in(after["body"])] if after["kind"] == "note" else []
    return list(dict.fromkeys([*beside, *in_body]))


async def _changed_people(session: WriteSession, row: Row, body: InteractionPatch) -> list[dict[str, Any]] | None:
    """The new participants; nothing where they are the same as before."""
    if body.participants is None:
        return None
    people = _people(body.participants)
    survivors = await survivors_of(session, [people])
    await check_members(session, [(people, [])])
    wanted = list(parties(people, survivors))
    shown = [{name: None if one[name] is None else str(one[name]) for name in _PARTY} for one in wanted]
    return None if shown == [{name: one[name] for name in _PARTY} for one in row["participants"]] else wanted


def _put_people(session: WriteSession, interaction_id: UUID, at: datetime, people: list[dict[str, Any]]) -> None:
    for one in people:
        own = {"interaction_id": interaction_id, "role": one["role"], "position": one["position"]}
        if one["contact_id"] is not None:
            session.later(interaction_participants, **own, contact_id=one["contact_id"], at=at)
        else:
            session.later(interaction_members, **own, member_id=one["member_id"])


async def _mention(session: WriteSession, interaction_id: UUID, members: list[str]) -> None:
    if members:
        asked = orjson.dumps(members).decode()
        for row in await session.fetch(rows.MENTION, interaction_id=interaction_id, members=asked, now=session.now):
            emit(session, MemberMentioned(interaction_id=interaction_id, member_id=row["member_id"]))


async def remove_interaction(session: WriteSession, interaction_id: UUID, *, expected: int | None) -> None:
    """Remove an interaction recorded by mistake."""
    row = _visible(session, await session.fetch_row(rows.LOCK, id=interaction_id))
    check_version(row["version"], expected)
    await session.execute(rows.REMOVE, id=interaction_id)
    record(session, "interaction.removed", "interaction", interaction_id)
    emit(session, InteractionRemoved(interaction_id=interaction_id))
