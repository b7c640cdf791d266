"""Whom the rows of gifts name: people who are there, found by a few statements for all rows, and those to be made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from crm_api.contacts import bulk
from crm_api.contacts.schemas import ContactPatch
from crm_api.contacts.service import new_row
from crm_api.donations.gifts.people import People, look_up
from crm_api.kit import clock
from crm_api.kit.db import WriteSession
from crm_api.transfers.imports import drafts
from crm_api.transfers.imports.contact_merge import changes_of, other_record, same_name
from crm_api.transfers.imports.gift_rows import Named
from crm_api.transfers.imports.kinds import Chunk, ParsedRow

_WORDS = {
    "unknown_contact": "There is no such contact. Import contacts first, or say options.create_contacts.",
    "contact_unseen": "The row names a contact that you do not see. Leave it out, or ask who sees all.",
    "contact_erased": "This person was erased: nothing can be recorded of them any more.",
    "email_ambiguous": "Several contacts have this e-mail. Add the donor's name or contact_external_id.",
    "no_contact": "The row names nobody. Give contact_external_id or email, or is_anonymous with yes.",
    "invalid_contact": "No contact can be made of this row: see the e-mail and the names.",
    "no_names": "A contact that is to be made needs at least an e-mail, an external id or a name.",
}


class Nobody(ValueError):
    """A row names nobody whom a gift can be given to; the text is a code of `_WORDS`."""

    @property
    def detail(self) -> str:
        """What to do."""
        return _WORDS[str(self)]


@dataclass(slots=True)
class Donors:
    """Everybody the rows of a chunk may name, by what they are found by."""

    session: WriteSession
    create: bool
    people: People
    by_key: dict[tuple[str, str], list[UUID]] = field(default_factory=dict)
    states: dict[UUID, Mapping[str, Any]] = field(default_factory=dict)
    """Contacts whose names decide, drafts of a dry run, and those that this chunk makes."""
    supposed: set[UUID] = field(default_factory=set)
    made: dict[UUID, dict[str, Any]] = field(default_factory=dict)

    def find(self, who: Named) -> UUID | None:
        """The contact; None where there is none. `Nobody` where it cannot be told, or may not be named."""
        if who.id is not None:
            return self._living(who.id, missing="unknown_contact")
        if who.external_id is not None:
            held = self.by_key.get(("external", "\n".join(who.external_id)))
            if held:
                return self._living(held[0], missing="contact_unseen")
        if who.email is not None:
            return self._by_email(who)
        return None

    def _by_email(self, who: Named) -> UUID | None:
        found: list[UUID] = []
        for one in self.by_key.get(("email", who.email or ""), ()):
            try:
                own = self._living(one, missing="contact_unseen")
            except Nobody:
                continue
            state = self.states.get(own)
            wrong = state is not None and (
                not same_name(who.names, state) or (who.external_id and other_record([who.external_id], state))
            )
            if own not in found and not wrong:
                found.append(own)
        if len(found) > 1 and not who.names:
            raise Nobody("email_ambiguous")
        return found[0] if found else None

    def _living(self, contact_id: UUID, *, missing: str) -> UUID:
        if contact_id in self.made or contact_id in self.supposed:
            return contact_id
        row = self.people.rows.get(contact_id)
        if row is None:
            raise Nobody(missing)
        if row["erased_at"] is not None:
            raise Nobody("contact_erased")
        survivor: UUID = row["survivor"]
        return survivor

    def make(self, who: Named, *, donor: bool) -> UUID:
        """A new contact of what the row says of it; `donor`: they are one from the first."""
        body: dict[str, Any] = {"kind": "person", **who.names}
        if "organization_name" in body and not {"given_name", "family_name"} & body.keys():
            body["kind"] = "organization"
        if who.address is not None:
            body["emails"] = [{"address": who.address}]
        if who.external_id is not None:
            body["external_ids"] = [{"system": who.external_id[0], "id": who.external_id[1]}]
        if len(body) == 1:
            raise Nobody("no_names")
        try:
            values = ContactPatch.model_validate_json(orjson.dumps(body), strict=True).stored()
        except ValidationError:
            raise Nobody("invalid_contact") from None
        plain = {name: value for name, value in values.items() if value is not None}
        state = new_row(plain, now=self.session.now, source="import")
        today = clock.local_date(self.session.now, self.session.tenant.timezone).isoformat()
        state |= changes_of(state, {"roles": ["donor"] if donor else []}, today)
        if self.session.limit is not None and self.session.limit.hides(state["roles"]):
            raise Nobody("contact_unseen")
        self.made[state["id"]] = state
        self._index(state)
        return UUID(str(state["id"]))

    def _index(self, state: Mapping[str, Any]) -> None:
        self.states[state["id"]] = state
        for key in drafts.keys_of(state):
            held = self.by_key.setdefault(key, [])
            if state["id"] not in held:
                held.append(state["id"])

    def forget(self, contact_id: UUID) -> None:
        """Take back a contact that was to be made: its row has failed after all."""
        self.made.pop(contact_id)
        self.states.pop(contact_id)
        for held in self.by_key.values():
            if contact_id in held:
                held.remove(contact_id)

    def suppose(self, found: Mapping[UUID, tuple[bool, dict[str, Any]]]) -> None:
        """Let a dry run find whom earlier chunks would have made."""
        for contact_id, (_, state) in found.items():
            self.supposed.add(contact_id)
            self._index(state)


def _keys(named: Iterable[Named]) -> set[tuple[str, str]]:
    keys = set()
    for who in named:
        if who.external_id is not None:
            keys.add(("external", "\n".join(who.external_id)))
        if who.email is not None:
            keys.add(("email", who.email))
    return keys


async def gather(session: WriteSession, chunk: Chunk, rows: Sequence[ParsedRow]) -> Donors:
    """Whoever the rows may name: holders of their ids and e-mails, those that a dry run supposes included. A merge of
    any of them waits for this transaction."""
    named = [one for row in rows for one in (row.facts.donor, row.facts.credited) if one.anybody]
    keys = _keys(named)
    external = {tuple(value.split("\n", 1)) for kind, value in keys if kind == "external"}
    held = await bulk.holders(session, external_ids=external, keys=[key for key in keys if key[0] == "email"])  # type: ignore[arg-type]
    ids = {one.contact_id for one in held} | {who.id for who in named if who.id is not None}
    donors = Donors(session, chunk.options.create_contacts, await look_up(session, ids))
    for one in held:
        donors.by_key.setdefault((one.kind, one.value), []).append(one.contact_id)
    wanted = _names_decide(donors, named)
    donors.states.update(await bulk.by_ids(session, wanted))
    if chunk.dry_run:
        donors.suppose(await drafts.find(session, chunk.import_id, keys, set()))
    return donors


def _names_decide(donors: Donors, named: Iterable[Named]) -> set[UUID]:
    """Contacts found by e-mail whose names, or ids elsewhere, are to be compared with the row's."""
    wanted: set[UUID] = set()
    for who in named:
        if who.email is not None and (who.names or who.external_id is not None):
            for one in donors.by_key.get(("email", who.email), ()):
                row = donors.people.rows.get(one)
                if row is not None:
                    wanted.add(row["survivor"])
    return wanted
