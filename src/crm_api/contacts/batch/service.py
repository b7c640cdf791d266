"""Batches of contacts: the verbs of single contacts, carried out by a few statements for all items.

Items are taken in their order, in memory: a later item sees what an earlier one made. Then everything is written at
once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.contacts import bulk, roles
from crm_api.contacts.batch.schemas import MODELS, ContactBatch, CreateItem, UpdateItem
from crm_api.contacts.custom_fields import service as custom_fields
from crm_api.contacts.custom_fields import values as custom_values
from crm_api.contacts.schemas import ContactCreate
from crm_api.contacts.service import new_row
from crm_api.kit import batch, clock
from crm_api.kit.db import WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, Invalid, NotFound, Problem
from crm_api.kit.updates import check_version
from crm_api.organizations.service import contact_roles

_MEMBERS = prepare(
    text("SELECT id FROM members WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))")
)
_NO_MATCHING = "A batch creates what it is told; use POST /v1/contacts with on_match, or an import."


class _Work:
    """A batch being carried out."""

    def __init__(self, session: WriteSession, items: Sequence[batch.Item]) -> None:
        self.session = session
        self.items = items
        self.today = clock.local_date(session.now, session.tenant.timezone).isoformat()
        self.before: dict[UUID, Mapping[str, Any]] = {}
        self.state: dict[UUID, dict[str, Any]] = {}
        self.holder: dict[tuple[str, str], UUID] = {}
        """Who has an external id."""
        self.known_roles: Sequence[str] = ()
        self.members: set[UUID] = set()
        self.contacts: set[str] = set()

    async def read(self) -> None:
        """Everything the items refer to."""
        session = self.session
        bodies = [item.body.body for item in self.items]
        external = {(one.system, one.id) for body in bodies for one in body.external_ids or ()}
        external |= {(one.body.by_external_id.system, one.body.by_external_id.id) for one in self.items
                     if hasattr(one.body, "by_external_id")}  # fmt: skip
        for found in await bulk.holders(session, external_ids=external, keys=()):
            system, _, own = found.value.partition("\n")
            self.holder[system, own] = found.contact_id
        ids = {one.body.id for one in self.items if isinstance(one.body, UpdateItem)} | set(self.holder.values())
        self.before |= await bulk.lock_many(session, ids)
        self.state = {contact_id: dict(row) for contact_id, row in self.before.items()}
        if any(body.roles or body.role_details for body in bodies):
            self.known_roles = await contact_roles(session)
        owners = list({body.owner_member_id for body in bodies if body.owner_member_id is not None})
        if owners:
            self.members = {row["id"] for row in await session.fetch(_MEMBERS, ids=owners)}
        self.definitions = await custom_fields.definitions(session)
        named = {
            value
            for body in bodies
            for key, value in (body.custom or {}).items()
            if key in self.definitions and self.definitions[key].type == "reference" and isinstance(value, str)
        }
        wanted = [UUID(value) for value in named if len(value) == 36 and _is_uuid(value)]
        self.contacts = {str(contact_id) for contact_id in await bulk.by_ids(session, wanted)}

    def carry_out(self, item: batch.Item) -> None:
        """One item, in memory."""
        said = item.body
        if isinstance(said.body, ContactCreate) and said.body.on_match != "create":
            raise Invalid.at("/body/on_match", "not_in_batch", _NO_MATCHING)
        if isinstance(said, UpdateItem):
            state = self._living(said.id)
            check_version(state["version"], said.version)
            self._change(item, state, said.body.stored())
            return
        if isinstance(said, CreateItem):
            self._create(item, said.body.stored())
            return
        own = (said.by_external_id.system, said.by_external_id.id)
        stored = said.body.stored()
        found = self.holder.get(own)
        if found is None:
            stored["external_ids"] = [said.by_external_id.model_dump(), *stored["external_ids"]]
            self._create(item, stored)
            return
        sent = {name: value for name, value in stored.items() if name in said.body.model_fields_set - {"source"}}
        state = self._living(found)
        if "external_ids" in sent:
            kept = list(state["external_ids"])
            sent["external_ids"] = kept + [one for one in sent["external_ids"] if one not in kept]
        self._change(item, state, sent)

    def _living(self, contact_id: UUID) -> dict[str, Any]:
        state = self.state.get(contact_id)
        if state is None:
            raise batch.missing("contact")
        if state["merged_into"] is not None:
            survivor = str(state["merged_into"])
            said = f"This contact was merged into {survivor}. Use that id from now on."
            raise Conflict(said, code="contact_merged", survivor_id=survivor)
        if state["erased_at"] is not None:
            raise Conflict("This person was erased: nothing can be recorded of them any more.", code="contact_erased")
        return state

    def _create(self, item: batch.Item, stored: dict[str, Any]) -> None:
        stored["external_ids"] = list({(one["system"], one["id"]): one for one in stored["external_ids"]}.values())
        values = self._checked(stored, {"role_details": [], "custom": {}, "custom_sensitive": {}}, new=True)
        self._free(values["external_ids"], None)
        state = new_row(values, now=self.session.now, source="api")
        self.state[state["id"]] = state
        self._hold(state)
        item.status, item.id, item.version = 201, state["id"], 1

    def _change(self, item: batch.Item, state: dict[str, Any], sent: dict[str, Any]) -> None:
        values = self._checked(sent, state, new=False)
        changes = {name: value for name, value in values.items() if value != state[name]}
        if "external_ids" in changes:
            self._free(changes["external_ids"], state["id"])
        after = {**state, **changes}
        if after["kind"] == "organization" and not after["organization_name"]:
            raise Invalid.at("/body/organization_name", "missing", "An organization needs organization_name.")
        if changes:
            before = self.before.get(state["id"])
            version = state["version"]
            for one in state["external_ids"]:
                self.holder.pop((one["system"], one["id"]), None)
            state = bulk.changed(state, changes, self.session.now)
            state["version"] = version if before is None else before["version"] + 1  # written once, whatever happens
            self.state[state["id"]] = state
            self._hold(state)
        item.status, item.id, item.version = 200, state["id"], state["version"]

    def _hold(self, state: Mapping[str, Any]) -> None:
        self.holder |= {(one["system"], one["id"]): state["id"] for one in state["external_ids"]}

    def _free(self, external_ids: Sequence[Mapping[str, str]], own: UUID | None) -> None:
        for number, one in enumerate(external_ids):
            if self.holder.get((one["system"], one["id"]), own) != own:
                said = "Another contact has this external id. Change that one, or use upsert."
                error = Invalid.at(f"/body/external_ids/{number}", "external_id_taken", said).errors
                raise Conflict(said, code="external_id_taken", errors=error)

    def _checked(self, values: dict[str, Any], before: Mapping[str, Any], *, new: bool) -> dict[str, Any]:
        """Column values: roles, owner and custom fields checked against the organization."""
        values = dict(values)
        names, details, own = values.pop("roles", None), values.pop("role_details", None), values.pop("custom", None)
        owner = values.get("owner_member_id")
        if owner is not None and owner not in self.members:
            raise NotFound.reference("body/owner_member_id")
        if names is not None or details is not None:
            held = before["role_details"]
            after = roles.from_names(names, held, self.today) if names is not None else roles.tidy(details)
            said = {one["role"] for one in after} - {one["role"] for one in held}
            roles.check_known(said, self.known_roles, "body/roles" if names is not None else "body/role_details")
            values |= {"role_details": after, "roles": roles.current(after, self.today)}
        if own or new:
            values |= self._custom(own or {}, before, new=new)
        return values

    def _custom(self, sent: Mapping[str, Any], before: Mapping[str, Any], *, new: bool) -> dict[str, Any]:
        held = (before["custom"], before["custom_sensitive"])
        given = {key: value for key, value in sent.items() if value is not None or not new}
        checked = custom_values.check_values(
            self.definitions,
            given,
            before={**held[0], **held[1]},
            complete=new,
            scopes=self.session.actor.scopes,
            pointer="/body/custom",
        )
        for key, value in checked.items():
            if value is not None and self.definitions[key].type == "reference" and value not in self.contacts:
                said = "This reference names no contact of this organization."
                raise Invalid.at(f"/body/custom/{key}", "reference_not_found", said)
        custom, sensitive = custom_values.split(self.definitions, checked, held)
        return {"custom": custom, "custom_sensitive": sensitive}


def _is_uuid(text_: str) -> bool:
    try:
        UUID(text_)
    except ValueError:
        return False
    return True


async def carry_out(session: WriteSession, body: ContactBatch, *, atomic: bool) -> dict[str, Any]:
    """Create, change and upsert contacts; what became of each item. An `atomic` batch with a failure is `Invalid`."""
    parsed = batch.parse_items(body, MODELS, plain="create")
    if atomic:
        batch.require_all(parsed.every)
    work = _Work(session, parsed.good)
    if parsed.good:
        await work.read()
    for item in parsed.good:
        try:
            work.carry_out(item)
        except Problem as problem:
            item.fail(problem)
    if atomic:
        batch.require_all(parsed.every)
    await bulk.insert_many(session, [row for key, row in work.state.items() if key not in work.before])
    changes = [bulk.Change(row, work.state[key]) for key, row in work.before.items() if work.state[key] != row]
    await bulk.update_many(session, changes)
    for item in parsed.good:
        if item.id is not None:
            item.version = work.state[item.id]["version"]
    if any(item.problem is None for item in parsed.every):
        bulk.tell(session, f"batch:{new_id()}")
    return batch.answer(parsed.every)
