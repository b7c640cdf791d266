"""Verbs of segments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from time import perf_counter
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.auth.rights import need
from crm_api.contacts.service import get_contact
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, RowLike, WriteSession, prepare
from crm_api.kit.predicates.compiling import compile_rule
from crm_api.kit.predicates.judging import explain as explain_rule
from crm_api.kit.predicates.judging import judge, load
from crm_api.kit.predicates.nodes import Node, moves_with_time, sources_of
from crm_api.kit.problems import Conflict, Invalid, NotFound
from crm_api.kit.updates import check_version, update_row
from crm_api.outbox.service import emit
from crm_api.segmentation import repository
from crm_api.segmentation.facts import ContactSegmentsChanged, SegmentDefined, SegmentReckoned
from crm_api.segmentation.models import segments
from crm_api.segmentation.rules import catalogue, contact_source, known_rule, moment_of, read_rule, stored_rule
from crm_api.segmentation.schemas import MembersChange, PreviewRequest, SegmentCreate, SegmentPatch

_READ = (
    "id", "name", "description", "kind", "rule", "reads", "moves_with_time", "status", "state", "reason", "size",
    "computed_at", "version", "created_at", "updated_at",
)  # fmt: skip
_MEMBERSHIP = prepare(
    text(
        "SELECT entered_at FROM segment_memberships WHERE organization_id = :organization_id AND segment_id = :id "
        "AND contact_id = :contact_id"
    )
)
_OF_CONTACT = prepare(
    text(
        "SELECT m.segment_id, s.name, m.entered_at FROM segment_memberships m JOIN segments s "
        "ON s.organization_id = m.organization_id AND s.id = m.segment_id WHERE m.organization_id = :organization_id "
        "AND m.contact_id = :contact_id AND s.status = 'active' ORDER BY s.name, s.id"
    )
)
_COMPARE = prepare(
    text(
        """
        SELECT count(*) FILTER (WHERE a.contact_id IS NOT NULL AND b.contact_id IS NOT NULL) AS in_both,
            count(*) FILTER (WHERE b.contact_id IS NULL) AS only_in_a,
            count(*) FILTER (WHERE a.contact_id IS NULL) AS only_in_b
        FROM (SELECT contact_id FROM segment_memberships WHERE organization_id = :organization_id AND segment_id = :a) a
        FULL JOIN (SELECT contact_id FROM segment_memberships
            WHERE organization_id = :organization_id AND segment_id = :b) b ON b.contact_id = a.contact_id
        """
    )
)
_KNOWN = prepare(
    text(
        "SELECT id FROM contacts WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[])) "
        "AND merged_into IS NULL AND erased_at IS NULL"
    )
)


def to_read(row: RowLike) -> dict[str, Any]:
    """A segment as the API shows it, with the size of its last reckoning."""
    return {name: row[name] for name in _READ}


def _described(node: Node) -> dict[str, Any]:
    return {"reads": sorted(sources_of(node)), "moves_with_time": moves_with_time(node)}


async def create_segment(session: WriteSession, body: SegmentCreate) -> dict[str, Any]:
    """Make a segment; whom a rule holds for is reckoned by the worker."""
    values: dict[str, Any] = {"name": body.name, "description": body.description, "status": "active", "reason": None}
    if body.rule is None:
        values |= {"kind": "static", "rule": None, "reads": [], "moves_with_time": False, "state": "succeeded"}
        values |= {"computed_at": session.now}
    else:
        node, _ = await read_rule(session, body.rule)
        values |= {"kind": "dynamic", "rule": body.rule, **_described(node), "state": "queued", "computed_at": None}
    row = simple.add(session, segments, {**values, "size": 0})
    record(session, "segment.created", "segment", row["id"])
    if body.rule is not None:
        emit(session, SegmentDefined(segment_id=row["id"], version=1))
    return to_read(row)


async def get_segment(session: ReadSession, segment_id: UUID) -> dict[str, Any]:
    """One segment with its size as of now, or 404."""
    row = await simple.get(session, segments, segment_id, "segment")
    return {**to_read(row), "size": await repository.count_members(session, segment_id)}


async def patch_segment(
    session: WriteSession, segment_id: UUID, body: SegmentPatch, *, expected: int | None
) -> dict[str, Any]:
    """Change a segment; a new rule, or a return from the archive, has everybody looked at anew."""
    row = await simple.get(session, segments, segment_id, "segment")
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    if not changes:
        check_version(row["version"], expected)
        return to_read(row)
    if body.rule is not None:
        if row["kind"] == "static":
            raise Invalid.at("/rule", "static_segment", "Members of a static segment are added by hand; make another.")
        node, _ = await read_rule(session, body.rule)
        changes |= _described(node)
    revived = changes.get("status") == "active" and row["status"] == "archived"
    again = row["kind"] == "dynamic" and (body.rule is not None or revived)
    if again:
        changes |= {"state": "queued", "reason": None}
    row = await update_row(session, segments, segment_id, changes, expected=expected)
    record(session, "segment.updated", "segment", segment_id, fields=body.model_fields_set)
    if again:
        emit(session, SegmentDefined(segment_id=segment_id, version=row["version"]))
    return to_read(row)


async def request_reckoning(session: WriteSession, segment_id: UUID) -> dict[str, Any]:
    """Have everybody looked at anew."""
    row = await simple.get(session, segments, segment_id, "segment")
    if row["kind"] == "static" or row["status"] == "archived":
        raise Conflict("Only active segments with a rule are reckoned.", code="not_reckoned")
    await repository.set_state(session, segment_id, "queued")
    emit(session, SegmentDefined(segment_id=segment_id, version=row["version"]))
    record(session, "segment.reckoning_requested", "segment", segment_id)
    return {**to_read(row), "state": "queued"}


async def reckon(session: WriteSession, segment_id: UUID) -> None:
    """Look at everybody for one segment."""
    await repository.lock_all(session)
    row = await simple.get(session, segments, segment_id, "segment")
    if row["kind"] == "static" or row["status"] == "archived":
        return
    sources = await catalogue(session)
    node = stored_rule(session, segment_id, row["version"], row["rule"], sources)
    if node is None:
        said = "the rule asks about a field that is no more; send a new rule"
        await repository.set_state(session, segment_id, "failed", reason=said)
        return
    moment = await moment_of(session)
    done = await repository.reckon(
        session, segment_id, compile_rule(node, contact_source(sources), moment), session.now
    )
    now = session.now
    await repository.set_state(session, segment_id, "succeeded", size=done["size"], computed_at=now)
    await repository.note_size(session, segment_id, moment.today, done["size"])
    if done["entered"] or done["left_it"]:
        emit(session, SegmentReckoned(segment_id=segment_id, entered=done["entered"], left=done["left_it"], at=now))


async def follow(session: WriteSession, contacts: Sequence[UUID], reads: Collection[str]) -> None:
    """Look at some contacts for every segment whose rule reads one of the sources.

    The contacts' facts are loaded once and the rules decided in memory, so the work in Postgres hardly grows with the
    number of segments.
    """
    known = await repository.active(session, sorted(reads))
    if not known:
        return
    await repository.lock_contacts(session, contacts)
    rules = await _rules(session, known)
    sources = await catalogue(session)
    facts = await load(session, contact_source(sources), list(rules.values()), contacts)
    moment = await moment_of(session)
    held = await repository.held(session, list(rules), contacts)
    holds = {
        (segment, contact)
        for contact, found in facts.items()
        for segment, node in rules.items()
        if judge(node, found, moment)
    }
    entered, left = sorted(holds - held), sorted(held - holds)
    await repository.enter(session, entered, session.now)
    await repository.leave(session, left, session.now)
    for contact in sorted({contact for _, contact in (*entered, *left)}):
        emit(
            session,
            ContactSegmentsChanged(
                contact_id=contact,
                entered=tuple(segment for segment, one in entered if one == contact),
                left=tuple(segment for segment, one in left if one == contact),
            ),
        )


async def _rules(session: WriteSession, known: Sequence[tuple[UUID, int]]) -> dict[UUID, Node]:
    """The rules of segments, read from the database where this process does not know them yet."""
    sources = await catalogue(session)
    found: dict[UUID, Node] = {}
    missing = []
    for segment_id, version in known:
        node = known_rule(session, segment_id, version)
        if node is not None:
            found[segment_id] = node
        else:
            missing.append(segment_id)
    if missing:
        raws = await repository.rules(session, missing)
        for segment_id, version in known:
            if segment_id in raws:
                node = stored_rule(session, segment_id, version, raws[segment_id], sources)
                if node is not None:
                    found[segment_id] = node
    return found


async def preview(session: WriteSession, body: PreviewRequest) -> dict[str, Any]:
    """Whom a rule would hold for, and what finding them costs."""
    node, sources = await read_rule(session, body.rule)
    found = compile_rule(node, contact_source(sources), await moment_of(session))
    plan = await session.fetch_val(prepare(text(f"EXPLAIN (FORMAT JSON) {found.sql}")), **found.parameters)
    planned = (orjson.loads(plan) if isinstance(plan, str | bytes) else plan)[0]["Plan"]["Total Cost"]
    statement = prepare(
        text(
            f"WITH found (id) AS MATERIALIZED ({found.sql}) SELECT (SELECT count(*) FROM found) AS count, "
            "ARRAY(SELECT id FROM found ORDER BY id LIMIT :sample) AS ids"
        )
    )
    async with repository.over_everybody(session, seconds=30):
        started = perf_counter()
        row = await session.fetch_row(statement, sample=body.sample, **found.parameters)
        took = perf_counter() - started
    assert row is not None
    return {
        "count": row["count"],
        "sample": await _named(session, row["ids"]),
        **_described(node),
        "cost": {"planned": planned, "milliseconds": round(took * 1000, 1)},
    }


_NAMES = prepare(
    text(
        "SELECT id AS contact_id, display_name FROM contacts WHERE organization_id = :organization_id "
        "AND id = ANY(CAST(:ids AS uuid[])) ORDER BY id"
    )
)


async def _named(session: ReadSession, ids: Sequence[UUID]) -> list[dict[str, Any]]:
    return [dict(row) for row in await session.fetch(_NAMES, ids=list(ids))]


async def explain(session: ReadSession, segment_id: UUID, contact_id: UUID) -> dict[str, Any]:
    """Why a contact is in a segment, or is not: its rule with what each test finds, as of now."""
    row = await simple.get(session, segments, segment_id, "segment")
    await get_contact(session, contact_id)
    entered_at = await session.fetch_val(_MEMBERSHIP, id=segment_id, contact_id=contact_id)
    moment = await moment_of(session)
    told: dict[str, Any] = {
        "segment_id": segment_id,
        "contact_id": contact_id,
        "member": entered_at is not None,
        "entered_at": entered_at,
        "verdict": entered_at is not None,
        "tree": None,
        "today": moment.today,
    }
    if row["kind"] == "static":
        return told
    sources = await catalogue(session)
    node = stored_rule(session, segment_id, row["version"], row["rule"], sources)
    if node is None:
        raise Conflict("The rule asks about a field that is no more; send a new rule.", code="rule_outdated")
    for scope in sorted({one.scope for one in sources_of(node).values()}):
        need(session, scope)
    facts = await load(session, contact_source(sources), [node], [contact_id])
    if contact_id not in facts:
        raise NotFound("There is no such contact.")
    tree = explain_rule(node, row["rule"], facts[contact_id], moment)
    return {**told, "verdict": tree["verdict"], "tree": tree}


async def change_members(
    session: WriteSession, segment_id: UUID, body: MembersChange, *, entering: bool
) -> dict[str, Any]:
    """Add contacts to a static segment or take them out; how many moved."""
    row = await simple.get(session, segments, segment_id, "segment")
    if row["kind"] != "static":
        raise Conflict("Who is in this segment follows from its rule; change that.", code="dynamic_segment")
    ids = sorted(set(body.contact_ids))
    await repository.lock_contacts(session, ids)
    if entering:
        known = {one["id"] for one in await session.fetch(_KNOWN, ids=ids)}
        for place, contact_id in enumerate(body.contact_ids):
            if contact_id not in known:
                raise Invalid.at(f"/contact_ids/{place}", "unknown_contact", "There is no such contact.")
    pairs = [(segment_id, one) for one in ids]
    held = {one for _, one in await repository.held(session, [segment_id], ids)}
    moved = [one for one in ids if (one in held) != entering]
    change = repository.enter if entering else repository.leave
    changed = await change(session, [pair for pair in pairs if pair[1] in moved], session.now)
    for one in moved:
        came, went = ((segment_id,), ()) if entering else ((), (segment_id,))
        emit(session, ContactSegmentsChanged(contact_id=one, entered=came, left=went))
    record(session, "segment.members_changed", "segment", segment_id)
    return {"changed": changed}


async def of_contact(session: ReadSession, contact_id: UUID) -> list[dict[str, Any]]:
    """The active segments a contact is in."""
    await get_contact(session, contact_id)
    return [dict(row) for row in await session.fetch(_OF_CONTACT, contact_id=contact_id)]


async def compare(session: ReadSession, a: UUID, b: UUID) -> dict[str, Any]:
    """How two segments overlap."""
    for one in (a, b):
        await simple.get(session, segments, one, "segment")
    row = await session.fetch_row(_COMPARE, a=a, b=b)
    assert row is not None
    return {"a": a, "b": b, **dict(row)}
