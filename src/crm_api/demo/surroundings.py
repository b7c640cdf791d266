"""Loading what is around the gifts: own fields before the contacts; families, ties, touches and duplicates after."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any
from uuid import UUID

from crm_api.contacts.bulk import Change, by_ids, changed, lock_many, update_many
from crm_api.contacts.consents.policy import PURPOSES
from crm_api.contacts.consents.schemas import ConsentCreate, ListSetting, PrivacySettings, PurposeSetting
from crm_api.contacts.consents.service import record_consent, save_settings, settings_of
from crm_api.contacts.custom_fields.defining import create_field
from crm_api.contacts.custom_fields.schemas import CustomFieldCreate
from crm_api.contacts.dedupe.candidates import find_candidates_of_many
from crm_api.contacts.dedupe.queue import put_aside
from crm_api.contacts.dedupe.rules import rules_of
from crm_api.contacts.households.schemas import HouseholdCreate
from crm_api.contacts.households.service import create_household
from crm_api.contacts.interactions.recording import NewInteraction, Participant, record_interactions
from crm_api.contacts.relationships.schemas import RelationshipCreate
from crm_api.contacts.relationships.service import create_relationship, seed_missing
from crm_api.contacts.roles import current
from crm_api.demo.people import known
from crm_api.demo.script import Script
from crm_api.demo.touches import Todo, Touch
from crm_api.kit import clock
from crm_api.kit.crypto import Vault
from crm_api.kit.db import WriteSession
from crm_api.tasks.schemas import TaskCreate, TaskPatch
from crm_api.tasks.service import create_task, patch_task


async def prepare_fields(session: WriteSession) -> None:
    """What contacts need to be there first: the fund's own fields, the types of relationships, its mailing lists."""
    await seed_missing(session)
    for item in known()["circle"]["custom_fields"]:
        await create_field(session, CustomFieldCreate.model_validate(item))
    await session.flush()
    privacy = await settings_of(session)
    had = {item["code"] for item in privacy["lists"]}
    fresh = [item for item in known()["touches"]["lists"] if item["code"] not in had]
    body = PrivacySettings(
        purposes=[
            PurposeSetting(**item) for item in privacy["purposes"] if PURPOSES.get(item["code"]) != item["legal_basis"]
        ],
        lists=[ListSetting(**item) for item in [*privacy["lists"], *fresh]],
        retention_years=privacy["retention_years"],
    )
    await save_settings(session, body)


class Surroundings:
    """One load, after the contacts are written."""

    def __init__(
        self,
        session: WriteSession,
        script: Script,
        contacts: Mapping[int, UUID],
        members: Mapping[str, UUID],
        vault: Vault,
    ) -> None:
        self.session = session
        self.script = script
        self.contacts = contacts
        self.members = members
        self.vault = vault

    async def families(self) -> None:
        """Households, relationships and affiliations, and roles that have ended."""
        session = self.session
        for home in self.script.circle.homes:
            session.now = home.since
            day = clock.local_date(home.since, session.tenant.timezone)
            people = [{"contact_id": self.contacts[one], "role": role, "since": day} for one, role in home.members]
            body = {"members": people, "language": home.language, "address": dict(home.address)}
            await create_household(session, HouseholdCreate.model_validate(body))
        for tie in sorted(self.script.circle.ties, key=lambda one: (one.moment, one.first, one.second)):
            session.now = tie.moment
            ends = {"from_contact_id": self.contacts[tie.first], "to_contact_id": self.contacts[tie.second]}
            await create_relationship(session, RelationshipCreate.model_validate({**tie.body, **ends}))
        session.now = self.script.ends
        await session.flush()
        await self._end_roles()

    async def _end_roles(self) -> None:
        session, ended = self.session, {self.contacts[one]: items for one, items in self.script.circle.ended.items()}
        today = clock.local_date(session.now, session.tenant.timezone).isoformat()
        changes = []
        for contact_id, before in (await lock_many(session, ended)).items():
            details = ended[contact_id]
            roles = current(details, today)
            after = changed(before, {"role_details": details, "roles": roles}, session.now)
            changes.append(Change(before, after))
        await update_many(session, changes)
        await session.flush()

    async def interactions(self) -> None:
        """Those of a week were written down with its last one."""
        for _, group in groupby(self.script.touches.interactions, key=lambda one: one.moment.isocalendar()[:2]):
            together = list(group)
            self.session.now = together[-1].moment
            await record_interactions(self.session, [self._interaction(one) for one in together])
        await self.session.flush()

    def _interaction(self, one: Touch) -> NewInteraction:
        mention = self.members[one.mention] if one.mention else None
        theirs = {"inbound": "sender", "outbound": "recipient"} if one.kind == "message" else {
            "inbound": "caller", "outbound": "callee"}  # fmt: skip
        ours = {"sender": "recipient", "recipient": "sender", "caller": "callee", "callee": "caller"}
        role = "about" if one.kind == "note" else theirs.get(one.direction, "participant")
        people = [Participant(contact_id=self.contacts[number], role=role) for number in one.contacts]
        return NewInteraction(
            kind=one.kind,
            participants=[*people, Participant(member_id=self.members[one.member], role=ours.get(role, "participant"))],
            direction=one.direction,
            channel=one.channel,
            subject=one.subject,
            body=one.body.replace("{mention}", f"@[{mention}]") if one.body and mention else one.body,
            outcome=one.outcome,
            at=one.moment,
            duration_seconds=one.seconds,
            sensitivity="beneficiary_sensitive" if one.sensitive else "donor_sensitive",
            mentions=[mention] if mention else [],
        )

    async def consents(self) -> None:
        """What people said about being contacted, when they said it."""
        for said in self.script.touches.consents:
            self.session.now = said.moment
            body = ConsentCreate.model_validate({**said.body, "at": said.moment})
            await record_consent(self.session, self.contacts[said.contact], body, vault=self.vault)
        await self.session.flush()

    async def tasks(self) -> None:
        """Tasks, then the end of those that are over."""
        over: list[tuple[UUID, Todo]] = []
        for todo in self.script.touches.todos:
            self.session.now = todo.moment
            values: dict[str, Any] = {
                "title": todo.title,
                "priority": todo.priority,
                "contact_id": self.contacts[todo.contact] if todo.contact is not None else None,
                "assignee_id": self.members[todo.assignee],
                "due_on": todo.due_on,
                "remind_at": todo.remind_at,
            }
            task = await create_task(self.session, TaskCreate.model_validate(values))
            if todo.done or todo.canceled:
                over.append((task["id"], todo))
        await self.session.flush()
        for task_id, todo in over:
            self.session.now = todo.done or todo.canceled or self.script.ends
            body = TaskPatch(status="done") if todo.done else TaskPatch(status="canceled")
            await patch_task(self.session, task_id, body, expected=None)
        await self.session.flush()

    async def duplicates(self) -> int:
        """The review queue as a sweep would fill it, of those who came in twice; how many pairs."""
        session = self.session
        session.now = self.script.ends
        twins = [self.contacts[one.number] for one in self.script.circle.others if one.why == "twin"]
        rows = await by_ids(session, twins)
        rules = await rules_of(session)
        found = await find_candidates_of_many(session, [rows[one] for one in twins], rules=rules)
        pairs = [
            (one, other.contact_id, other.match)
            for one, candidates in zip(twins, found, strict=True)
            for other in candidates
        ]
        return await put_aside(session, pairs, origin="sweep", rules_version=rules.version)
