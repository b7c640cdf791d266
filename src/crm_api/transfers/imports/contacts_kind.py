"""Contacts as a kind of import: what their columns are, whom a row is, what is written and how it is taken back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from crm_api.contacts import bulk
from crm_api.contacts.custom_fields import service as custom_fields
from crm_api.contacts.custom_fields.values import Definitions, settled
from crm_api.contacts.service import new_row
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.organizations.service import contact_roles
from crm_api.transfers.imports import contact_undo, drafts, review
from crm_api.transfers.imports.contact_custom import accept_custom
from crm_api.transfers.imports.contact_merge import TooMany, changes_of, other_record, same_name
from crm_api.transfers.imports.contact_rows import TARGETS, ContactParser, Facts
from crm_api.transfers.imports.headers import known_target
from crm_api.transfers.imports.kinds import (
    CellError,
    Chunk,
    Journal,
    Options,
    ParsedRow,
    ParseRow,
    RowResult,
    Target,
)

_WORDS = {
    "external_id_taken": "A contact with this external id is there already, and options.on_match is create.",
    "external_id_unseen": "A contact that you do not see has this external id. Leave it out, or ask who sees all.",
    "roles_unseen": "A contact with these roles only is not for you to see, so you cannot make one.",
    "ids_disagree": "The ids of this row belong to different contacts. Correct them, or merge the contacts first.",
    "no_identity": "Give at least a name, an e-mail, a phone or an external id.",
    "organization_name": "An organization needs organization_name.",
}


@dataclass(frozen=True, slots=True)
class Context:
    """What parsing has to know of the organization."""

    roles: frozenset[str]
    definitions: Definitions


@dataclass(slots=True)
class _Person:
    """A contact as the chunk sees it."""

    id: UUID
    before: Mapping[str, Any] | None
    """As it was before the chunk; None for one that the chunk creates."""
    state: dict[str, Any]
    own: bool
    """Created by this import."""
    last: RowResult | None = None
    made: RowResult | None = None


@dataclass(slots=True)
class _People:
    """Everybody the rows of a chunk may be, by what they are found by."""

    by_id: dict[UUID, _Person] = field(default_factory=dict)
    by_key: dict[tuple[str, str], list[_Person]] = field(default_factory=dict)
    survivors: dict[UUID, UUID] = field(default_factory=dict)
    """Who a contact that a row names by its id was merged into."""
    unseen: set[tuple[str, str]] = field(default_factory=set)
    """External ids of contacts that whoever started the import does not see."""

    def add(self, person: _Person) -> None:
        self.by_id[person.id] = person
        self.index(person)

    def index(self, person: _Person) -> None:
        for key in drafts.keys_of(person.state):
            found = self.by_key.setdefault(key, [])
            if person not in found:
                found.append(person)


class ContactsKind:
    """`ImportKind` of contacts."""

    name = "contacts"
    read_scope, write_scope = "contacts:read", "contacts:write"
    target_names = frozenset(one.name for one in TARGETS)
    parameters: tuple[str, ...] = ("custom", "external_id")

    def targets(self, context: Context) -> Sequence[Target]:
        """Every field of a contact, the organization's own ones included."""
        own = (Target(f"custom.{one.key}", one.label or one.key) for one in context.definitions.values() if one.active)
        return (*TARGETS, *own)

    async def context(self, session: ReadSession) -> Context:
        """Roles and custom fields of the organization."""
        known = await custom_fields.definitions(session, "contacts")
        return Context(frozenset(await contact_roles(session)), known)

    def sensitive_targets(self, context: Context) -> frozenset[str]:
        """Targets of beneficiary-sensitive custom fields."""
        return frozenset(f"custom.{one.key}" for one in context.definitions.values() if one.sensitive) | {"custom"}

    def suggest(self, headers: Sequence[str], preset: str | None, context: Context) -> dict[str, str | None]:
        """A target for every header that names one or means one; no target twice unless it takes several."""
        several = {one.name: one.repeated for one in self.targets(context)}
        labels = {name.casefold(): f"custom.{one.key}" for one in context.definitions.values() if one.active
                  for name in (one.label, *(one.labels or {}).values()) if name}  # fmt: skip
        found: dict[str, str | None] = {}
        for header in headers:
            target = known_target(header, list(several), preset) or labels.get(header.strip().casefold())
            taken = target in found.values() and not several.get(target or "", False)
            found[header] = None if taken else target
        if {"given_name", "family_name"} <= set(found.values()):
            found = {header: None if (target or "").startswith("full_name") else target
                     for header, target in found.items()}  # fmt: skip
        return found

    def parser(
        self,
        headers: Sequence[str],
        mapping: Mapping[str, str | None],
        options: Options,
        samples: Sequence[Sequence[str]],
        context: Context,
    ) -> ParseRow:
        """Reads and checks a row, its roles and custom values included."""
        parse = ContactParser(headers, mapping, options, samples)

        def parsed(number: int, cells: Sequence[str]) -> ParsedRow:
            row = parse(number, cells)
            said = row.values.get("roles") or [item["role"] for item in row.values.get("role_details") or ()]
            if not context.roles.issuperset(said):
                known = ", ".join(sorted(context.roles))
                row.errors.append(CellError("", "unknown_role", f"A contact can be: {known}."))
            if row.values.get("custom"):
                accept_custom(row, mapping, context.definitions, options)
            return row

        return parsed

    # Writing

    async def write(self, session: WriteSession, chunk: Chunk, rows: Sequence[ParsedRow]) -> list[RowResult]:
        """Match and write a chunk. See `ImportKind.write`."""
        today = clock.local_date(session.now, session.tenant.timezone).isoformat()
        if any(row.values.get("custom") for row in rows):  # definitions may have changed since the rows were read
            known = await custom_fields.definitions(session)
            for row in rows:
                if row.values.get("custom"):
                    row.values = settled(known, row.values)
        people = await self._people(session, chunk, rows)
        results = [self._row(session, chunk, row, people, today) for row in rows]
        touched = [one for one in people.by_id.values() if one.before is None or one.state is not one.before]
        fresh = [one.state for one in touched if one.before is None]
        changed = [bulk.Change(one.before, one.state) for one in touched if one.before is not None]
        for one in touched:
            _settle(one)
        pairs = await review.candidates(session, chunk.import_id, fresh) if chunk.options.on_match == "queue" else []
        for contact_id in {pair.fresh for pair in pairs}:
            made = people.by_id[contact_id].made
            assert made is not None
            made.outcome = "queued"
        if chunk.dry_run:
            await drafts.keep(session, chunk.import_id, fresh, [one.state for one in touched])
        else:
            await bulk.insert_many(session, fresh)
            await bulk.update_many(session, changed)
            if pairs:
                await session.flush()
                await review.put_aside(session, pairs)
        return results

    async def _people(self, session: WriteSession, chunk: Chunk, rows: Sequence[ParsedRow]) -> _People:
        """Whoever the rows may be, read by a few statements, and locked where they may be changed."""
        wanted: set[tuple[str, str]] = set()
        ids: set[UUID] = set()
        for row in rows:
            wanted |= set(_keys(row.facts))
            if row.facts.id is not None:
                ids.add(row.facts.id)
        keys = [key for key in wanted if key[0] != "external"]
        external = {one for row in rows for one in row.facts.external_ids}
        found = await bulk.holders(session, external_ids=external, keys=keys)
        ids |= {one.contact_id for one in found}
        people = _People()
        supposed: dict[UUID, tuple[bool, dict[str, Any]]] = {}
        if chunk.dry_run:
            supposed = await drafts.find(session, chunk.import_id, wanted, ids)
            known: Mapping[UUID, dict[str, Any]] = await bulk.by_ids(session, ids - supposed.keys())
            own: set[UUID] = {contact_id for contact_id, (fresh, _) in supposed.items() if fresh}
        else:
            known = await bulk.lock_many(session, ids)
        people.unseen = {(one.kind, one.value) for one in found if one.contact_id not in {*known, *supposed}}
        people.survivors = {one: row["merged_into"] for one, row in known.items() if row["merged_into"] is not None}
        if merged := set(people.survivors.values()) - known.keys() - supposed.keys():
            read = bulk.by_ids if chunk.dry_run else bulk.lock_many
            known = {**known, **await read(session, merged)}
        if not chunk.dry_run:
            own = await drafts.created_by(session, chunk.import_id, list(known))
        for contact_id in sorted({*known, *supposed}):
            state = supposed[contact_id][1] if contact_id in supposed else known[contact_id]
            if state["merged_into"] is None and state["erased_at"] is None:
                people.add(_Person(contact_id, state, state, contact_id in own))
        return people

    def _row(self, session: WriteSession, chunk: Chunk, row: ParsedRow, people: _People, today: str) -> RowResult:
        """Decide what becomes of one row, in memory."""
        result = RowResult(row.number, "skipped")
        if people.unseen and not people.unseen.isdisjoint(_keys(row.facts)):
            return _refused(row, "external_id_unseen")
        person, result.matched_by = _find(row, people)
        if result.matched_by == "ids_disagree":
            return _refused(row, "ids_disagree")
        certain = result.matched_by in {"id", "external_id"}
        on_match = chunk.options.on_match
        if person is not None and not person.own and not (certain and on_match == "queue"):
            if on_match == "skip":
                result.reason, result.record_id = "matched", person.id
                return result
            if on_match == "create" and certain:
                refused = _refused(row, "external_id_taken")
                refused.matched_by = result.matched_by
                return refused
            if on_match in {"create", "queue"}:
                person = None
        if person is None:
            made = self._create(session, row, people, today)
            made.matched_by = result.matched_by
            return made
        return _update(session, row, person, people, result, today)

    @staticmethod
    def _create(session: WriteSession, row: ParsedRow, people: _People, today: str) -> RowResult:
        said = row.values
        if said.get("kind") == "organization" and not said.get("organization_name"):
            return _refused(row, "organization_name")
        if not any(said.get(name) for name in _NAMING):
            return _refused(row, "no_identity")
        plain = {name: value for name, value in said.items() if value is not None and name not in _ROLES}
        state = new_row({"kind": "person", **plain}, now=session.now, source="import")
        state |= changes_of(state, {name: said.get(name) for name in _ROLES}, today)
        if session.limit is not None and session.limit.hides(state["roles"]):
            return _refused(row, "roles_unseen")
        person = _Person(state["id"], None, state, own=True)
        people.add(person)
        result = RowResult(row.number, "created", record_id=person.id)
        result.changes = {name: [None, value] for name, value in plain.items() if value}
        person.last = person.made = result
        result.record_version = 1
        return result

    async def finished(self, session: WriteSession, import_id: UUID) -> None:
        """One fact for all of them."""
        bulk.tell(session, f"import:{import_id}")

    async def undo(self, session: WriteSession, import_id: UUID, rows: Sequence[Journal]) -> dict[int, str]:
        """Take rows back. See `contact_undo`."""
        return await contact_undo.undo(session, import_id, rows)


_NAMING = (
    "given_name",
    "family_name",
    "organization_name",
    "other_names",
    "emails",
    "phones",
    "handles",
    "external_ids",
)
_ROLES = ("roles", "role_details")


def _keys(facts: Facts) -> Iterable[tuple[str, str]]:
    yield from (("external", f"{system}\n{own}") for system, own in facts.external_ids)
    yield from (("email", address) for address in facts.emails)
    yield from (("phone", number) for number in facts.phones)


def _find(row: ParsedRow, people: _People) -> tuple[_Person | None, str | None]:
    """Who the row is, and by what: our own id, an external id, then e-mail or phone with the same name."""
    facts: Facts = row.facts
    own = None if facts.id is None else people.survivors.get(facts.id, facts.id)
    if own in people.by_id:
        return people.by_id[own], "id"
    named = {one.id: one for key in _keys(facts) if key[0] == "external" for one in people.by_key.get(key, ())}
    if len(named) > 1:
        return None, "ids_disagree"
    if named:
        return next(iter(named.values())), "external_id"
    for kind in ("email", "phone"):
        for key in _keys(facts):
            if key[0] != kind:
                continue
            for one in people.by_key.get(key, ()):
                if same_name(row.values, one.state) and not other_record(facts.external_ids, one.state):
                    return one, kind
    return None, None


def _update(
    session: WriteSession, row: ParsedRow, person: _Person, people: _People, result: RowResult, today: str
) -> RowResult:
    result.record_id, result.own = person.id, person.own
    try:
        changes = changes_of(person.state, row.values, today)
    except TooMany as error:
        name = str(error)
        if name == "organization_name":
            return _refused(row, name)
        said = f"The contact would have more {name.replace('_', ' ')} than it may."
        result.outcome, result.errors = "failed", [CellError("", "too_many", said)]
        return result
    if not changes:
        result.reason = "unchanged"
        return result
    if session.limit is not None and session.limit.hides(changes.get("roles", ())):
        return _refused(row, "roles_unseen")
    result.outcome = "updated"
    result.changes = {name: [person.state[name], value] for name, value in changes.items()}
    version = person.state["version"]
    person.state = bulk.changed(person.state, changes, session.now)
    # However many rows change a contact in one chunk, it is written once.
    person.state["version"] = version if person.before is None else person.before["version"] + 1
    people.index(person)
    person.last = result
    result.record_version = person.state["version"]
    return result


def _settle(person: _Person) -> None:
    """The last row that touched a contact knows the version it has now."""
    if person.last is not None:
        person.last.record_version = person.state["version"]


def _refused(row: ParsedRow, code: str) -> RowResult:
    return RowResult(row.number, "failed", errors=[CellError("", code, _WORDS[code])])
