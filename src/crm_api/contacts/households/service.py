"""Verbs of households: who belongs to them, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from crm_api.audit.service import record
from crm_api.contacts.households import repository
from crm_api.contacts.households.facts import HouseholdChanged, HouseholdPatternChanged
from crm_api.contacts.households.models import household_members, households
from crm_api.contacts.households.naming import DEFAULTS, Member, Pattern, name_household, pattern_of
from crm_api.contacts.households.schemas import (
    MOST_MEMBERS,
    HouseholdCreate,
    HouseholdMemberCreate,
    HouseholdMemberPatch,
    HouseholdPatch,
    HouseholdPatternPut,
)
from crm_api.kit import clock, simple
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, FieldError, NotFound
from crm_api.kit.updates import check_version, lock_row, update_row
from crm_api.outbox.service import emit

NAMES = ("name", "formal_greeting", "informal_greeting")
_PATTERN = ("name", "formal_greeting", "informal_greeting", "conjunction")
_SUMMARY = (
    "id", "name", "name_auto", "formal_greeting", "formal_greeting_auto", "informal_greeting",
    "informal_greeting_auto", "language", "address", "all_deceased", "status", "version", "created_at", "updated_at",
)  # fmt: skip
CHUNK = 500
"""Households that are named anew in one transaction."""


def to_summary(row: RowLike) -> dict[str, Any]:
    """A household as lists show it."""
    return {name: row[name] for name in _SUMMARY}


def to_member(row: RowLike) -> dict[str, Any]:
    """A membership as the API shows it."""
    return {name: row[name] for name in repository.MEMBER}


def _today(session: ReadSession) -> date:
    return clock.local_date(session.now, session.tenant.timezone)


async def get_household(session: ReadSession, household_id: UUID) -> dict[str, Any]:
    """One household with its members, or 404."""
    row = await simple.get(session, households, household_id, "household")
    members = await repository.members_of(session, [household_id])
    return {**to_summary(row), "members": [to_member(member) for member in members]}


async def get_member(session: ReadSession, household_id: UUID, contact_id: UUID) -> dict[str, Any]:
    """The lasting membership of a contact in a household, or 404."""
    row = await repository.membership(session, household_id, contact_id)
    if row is None:
        raise NotFound("This contact does not belong to this household.")
    return to_member(row)


# Changing households


async def create_household(session: WriteSession, body: HouseholdCreate) -> dict[str, Any]:
    """Add a household with its members."""
    ids = [member.contact_id for member in body.members]
    if len(set(ids)) != len(ids):
        raise Conflict("A contact is a member once; name each once.", code="member_twice")
    primaries = [member.contact_id for member in body.members if member.is_primary]
    if len(primaries) > 1:
        raise Conflict("A household has one primary member; mark one.", code="several_primary_members")
    row = simple.add(
        session,
        households,
        {
            **{name: getattr(body, name) or ("" if name == "name" else None) for name in NAMES},
            **{f"{name}_auto": getattr(body, name) is None for name in NAMES},
            "language": body.language,
            "address": None if body.address is None else body.address.model_dump(mode="json"),
            "all_deceased": False,
            "status": "active",
        },
    )
    primary = primaries[0] if primaries else ids[0]
    left = await _join(session, row["id"], body.members, primary)
    await session.flush()
    await settle(session, [row["id"]], bump=0)
    await settle(session, left)
    record(session, "household.created", "household", row["id"])
    emit(session, HouseholdChanged(household_id=row["id"]))
    return await get_household(session, row["id"])


async def _join(
    session: WriteSession, household_id: UUID, members: Sequence[HouseholdMemberCreate], primary: UUID | None
) -> list[UUID]:
    """Insert memberships; households that were left for this one."""
    known = await repository.current_of(session, [member.contact_id for member in members])
    leaving: list[Row] = []
    for number, member in enumerate(members):
        leaving += _may_join(known.get(member.contact_id), member, number)
    if leaving:
        await repository.end(session, [row["membership_id"] for row in leaving], _today(session))
    for member in members:
        simple.add(session, household_members, _membership(session, household_id, member, member.contact_id == primary))
    return sorted({row["household_id"] for row in leaving})


def _may_join(known: Row | None, member: HouseholdMemberCreate, number: int) -> list[Row]:
    at = f"/members/{number}/contact_id"
    if known is None:
        said = "There is no such contact in this organization."
        raise NotFound(said, code="reference_not_found", errors=[FieldError(at, "reference_not_found", said)])
    if known["kind"] != "person":
        said = "An organization belongs to no household; relate it to its people as an affiliation."
        raise Conflict(said, code="not_a_person", errors=[FieldError(at, "not_a_person", said)])
    if known["household_id"] is None:
        return []
    if not member.move:
        said = "This contact belongs to another household. Send move: true to let it leave that one today."
        raise Conflict(said, code="in_another_household", errors=[FieldError(at, "in_another_household", said)])
    return [known]


def _membership(
    session: WriteSession, household_id: UUID, member: HouseholdMemberCreate, primary: bool
) -> dict[str, Any]:
    greeted = member.role != "child" if member.in_greetings is None else member.in_greetings
    return {
        "household_id": household_id,
        "contact_id": member.contact_id,
        "role": member.role,
        "is_primary": primary,
        "in_name": member.in_name,
        "in_greetings": greeted,
        "since": member.since or _today(session),
        "until": None,
    }


async def patch_household(
    session: WriteSession, household_id: UUID, body: HouseholdPatch, *, expected: int | None
) -> dict[str, Any]:
    """Change a household: fix its name by hand or let it be made again, dissolve it, give it an address."""
    version = await lock_row(session, households, household_id, expected=expected, what="household")
    check_version(version, expected)
    sent = body.model_dump(mode="json", include=body.model_fields_set)
    if not sent:
        return await get_household(session, household_id)
    changes = {name: value for name, value in sent.items() if name not in NAMES}
    for name in NAMES:
        if name in sent:
            changes[f"{name}_auto"] = sent[name] is None
            if sent[name] is not None:
                changes[name] = sent[name]
    await update_row(session, households, household_id, changes, expected=None)
    if sent.get("status") == "dissolved":
        await repository.end_all(session, household_id, _today(session))
    await settle(session, [household_id], bump=0)
    record(session, "household.updated", "household", household_id, fields=sent)
    emit(session, HouseholdChanged(household_id=household_id))
    return await get_household(session, household_id)


async def remove_household(session: WriteSession, household_id: UUID, *, expected: int | None) -> None:
    """Remove a household that was recorded by mistake, with its history; one that has ended is dissolved instead."""
    await lock_row(session, households, household_id, expected=expected, what="household")
    await repository.remove(session, household_id)
    record(session, "household.deleted", "household", household_id)


# Members


async def add_member(session: WriteSession, household_id: UUID, body: HouseholdMemberCreate) -> dict[str, Any]:
    """Let somebody belong to a household; of somebody who does already, what was sent is changed."""
    row = await update_row(session, households, household_id, {}, expected=None)
    if row["status"] != "active":
        said = "The household is dissolved. PATCH it with status active first."
        raise Conflict(said, code="household_dissolved")
    before = await repository.membership(session, household_id, body.contact_id)
    if before is not None:
        sent = body.model_fields_set - {"contact_id", "move"}
        changes = {name: getattr(body, name) for name in sent if getattr(body, name) is not None}
        if not changes.pop("is_primary", False):
            return await _change_member(session, before, changes, primary=False)
        return await _change_member(session, before, changes, primary=True)
    members = await repository.members_of(session, [household_id])
    if len(members) >= MOST_MEMBERS:
        raise Conflict(f"A household has at most {MOST_MEMBERS} members.", code="too_many_members")
    primary = body.is_primary or not members
    if primary and members:
        await repository.demote_others(session, household_id, body.contact_id)
    left = await _join(session, household_id, [body], body.contact_id if primary else None)
    await session.flush()
    await settle(session, [household_id], bump=0)
    await settle(session, left)
    record(session, "household.member_added", "household", household_id)
    emit(session, HouseholdChanged(household_id=household_id))
    return await get_member(session, household_id, body.contact_id)


async def _change_member(
    session: WriteSession, before: Row, changes: dict[str, Any], *, primary: bool
) -> dict[str, Any]:
    if primary and not before["is_primary"]:
        await repository.demote_others(session, before["household_id"], before["contact_id"])
        changes = {**changes, "is_primary": True}
    changes = {name: value for name, value in changes.items() if value != before[name]}
    if not changes:
        return to_member(before)
    row = await update_row(session, household_members, before["id"], changes, expected=None)
    await settle(session, [before["household_id"]])
    record(session, "household.member_changed", "household", before["household_id"], fields=changes)
    emit(session, HouseholdChanged(household_id=before["household_id"]))
    return to_member(row)


async def patch_member(
    session: WriteSession, household_id: UUID, contact_id: UUID, body: HouseholdMemberPatch, *, expected: int | None
) -> dict[str, Any]:
    """Change a membership."""
    await lock_row(session, households, household_id, expected=None, what="household")
    before = await repository.membership(session, household_id, contact_id)
    if before is None:
        raise NotFound("This contact does not belong to this household.")
    check_version(before["version"], expected)
    changes = body.model_dump(include=body.model_fields_set)
    primary = bool(changes.pop("is_primary", False))
    return await _change_member(session, before, changes, primary=primary)


async def remove_member(session: WriteSession, household_id: UUID, contact_id: UUID, *, expected: int | None) -> None:
    """Let a member leave the household today. The membership is kept with its dates; where the primary member leaves,
    the next one is that."""
    await lock_row(session, households, household_id, expected=None, what="household")
    before = await repository.membership(session, household_id, contact_id)
    if before is None:
        raise NotFound("This contact does not belong to this household.")
    check_version(before["version"], expected)
    await repository.end(session, [before["id"]], _today(session))
    await settle(session, [household_id])
    record(session, "household.member_left", "household", household_id)
    emit(session, HouseholdChanged(household_id=household_id))


# Names


async def _own_patterns(session: ReadSession) -> dict[str, Pattern]:
    return {
        str(row["language"]): Pattern(*(row[name] for name in _PATTERN)) for row in await repository.patterns(session)
    }


async def settle(session: WriteSession, household_ids: Iterable[UUID], *, bump: int = 1) -> None:
    """See to it that households have one primary member each, and make anew what is made of their members. Set-based:
    for many households in as many statements as for one. `bump=0` where their version was raised already."""
    ids = sorted(set(household_ids))
    if ids:
        async with session.beyond_limit():  # a name is made of all members, those that the caller does not see too
            await _settle(session, ids, bump)


async def _settle(session: WriteSession, ids: Sequence[UUID], bump: int) -> None:
    rows = await repository.lock(session, ids)
    members: dict[UUID, list[Row]] = {}
    for member in await repository.named(session, ids):
        members.setdefault(member["household_id"], []).append(member)
    own = await _own_patterns(session)
    promoted: list[UUID] = []
    written: list[dict[str, Any]] = []
    for row in rows:
        found = members.get(row["id"], [])
        if found and not found[0]["is_primary"]:
            found.sort(key=lambda member: (member["deceased"], member["role"] == "child", member["id"]))
            promoted.append(found[0]["id"])
        if found and (fresh := _named(session, row, found, own)) is not None:
            written.append(fresh)
    if promoted:
        await repository.promote(session, promoted)
    if written:
        await repository.write_names(session, written, bump=bump)


def _named(
    session: ReadSession, row: RowLike, members: Sequence[RowLike], own: Mapping[str, Pattern]
) -> dict[str, Any] | None:
    """What has to be written of a household; nothing where all of it stands there already."""
    language = row["language"] or members[0]["language"] or session.tenant.language
    made = name_household([_member(item, first=not n) for n, item in enumerate(members)], language,
                          pattern_of(language, own))  # fmt: skip
    fresh = {name: getattr(made, name) if row[f"{name}_auto"] else row[name] for name in NAMES}
    fresh["all_deceased"] = made.all_deceased
    if not row["stale"] and all(row[name] == value for name, value in fresh.items()):
        return None
    return {"id": str(row["id"]), **fresh}


def _member(row: RowLike, *, first: bool) -> Member:
    return Member(
        given=row["given_name"] or "",
        middle=row["middle_name"] or "",
        family=row["family_name"] or "",
        salutation=row["salutation"] or "",
        formal_greeting=row["formal_greeting"] or "",
        informal_greeting=row["informal_greeting"] or "",
        display_name=row["display_name"],
        deceased=row["deceased"],
        is_primary=first,
        in_name=row["in_name"],
        in_greetings=row["in_greetings"],
    )


async def settle_contacts(session: WriteSession, contact_ids: Sequence[UUID]) -> None:
    """Make anew what is made of these contacts: their names have changed, or they have died."""
    await settle(session, await repository.households_of(session, contact_ids))


async def settle_merge(session: WriteSession, merge_id: UUID, survivor_id: UUID) -> None:
    """The same after a merge of contacts, or its undoing."""
    found = await repository.households_of(session, [survivor_id])
    await settle(session, [*found, *await repository.touched_by_merge(session, merge_id)])


async def settle_stale(session: WriteSession) -> None:
    """The same for households of which a member was erased."""
    while found := await repository.stale(session):
        await settle(session, found)
        if not await _clear_empty(session, found):
            break


async def _clear_empty(session: WriteSession, ids: Sequence[UUID]) -> bool:
    """Households without members keep no name; whether any was left stale for that."""
    empty = [row for row in await repository.lock(session, ids) if row["stale"]]
    rows = [
        {"id": str(row["id"]), "name": row["name"] or "—", "all_deceased": row["all_deceased"],
         "formal_greeting": None, "informal_greeting": None}
        for row in empty
    ]  # fmt: skip
    if rows:
        await repository.write_names(session, rows, bump=1)
    return bool(rows)


async def settle_following(session: WriteSession, after: UUID | None) -> None:
    """Name the next households anew after a pattern has changed, and see to those after them."""
    found = await repository.following(session, after or UUID(int=0), CHUNK)
    await settle(session, found)
    if len(found) == CHUNK:
        emit(session, HouseholdPatternChanged(after=found[-1]))


# Patterns


def _shown(language: str, pattern: Pattern, *, is_default: bool) -> dict[str, Any]:
    return {
        "language": language,
        **{name: getattr(pattern, name) for name in _PATTERN},
        "is_default": is_default,
    }


async def list_patterns(session: ReadSession) -> list[dict[str, Any]]:
    """How households of each language are named: the organization's own ways and the usual ones."""
    own = await _own_patterns(session)
    return [
        _shown(language, own.get(language) or DEFAULTS[language], is_default=language not in own)
        for language in sorted({*DEFAULTS, *own})
    ]


async def put_pattern(session: WriteSession, language: str, body: HouseholdPatternPut) -> dict[str, Any]:
    """Say how households of a language are named; nothing said is the usual way. Households are named anew by the
    worker."""
    usual = pattern_of(language, {})
    pattern = Pattern(*(getattr(body, name) or getattr(usual, name) for name in _PATTERN))
    if pattern == usual and language in DEFAULTS:
        await repository.drop_pattern(session, language)
    else:
        values = {"id": new_id(), "language": language, **{name: getattr(pattern, name) for name in _PATTERN}}
        await repository.put_pattern(session, values)
    record(session, "household_pattern.updated", "household_pattern", language)
    emit(session, HouseholdPatternChanged())
    return _shown(language, pattern, is_default=pattern == usual and language in DEFAULTS)
