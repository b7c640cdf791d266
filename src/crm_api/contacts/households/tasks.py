"""What households do about facts: make names and greetings anew when what they are made of has changed."""

from __future__ import annotations

from uuid import UUID

from crm_api.contacts.dedupe.facts import ContactsMerged, ContactsUnmerged
from crm_api.contacts.facts import ContactsLoaded, ContactUpdated
from crm_api.contacts.households import service
from crm_api.contacts.households.facts import HouseholdPatternChanged
from crm_api.contacts.privacy.facts import ContactErased
from crm_api.kit.db import WriteSession
from crm_api.outbox.facts import Job, Registry, Subscriber

MADE_OF = frozenset(
    {
        "given_name", "middle_name", "family_name", "salutation", "formal_greeting", "informal_greeting",
        "display_name", "language", "deceased",
    }
)  # fmt: skip
"""Columns of a contact that its household's name and greetings are made of."""


async def follow_contact(session: WriteSession, job: Job) -> None:
    """A member has another name, or has died."""
    await service.settle_contacts(session, [UUID(job.payload["contact_id"])])


async def follow_merge(session: WriteSession, job: Job) -> None:
    """Members have become one contact, or two again."""
    await service.settle_merge(session, UUID(job.payload["merge_id"]), UUID(job.payload["survivor_id"]))


async def follow_erasure(session: WriteSession, job: Job) -> None:
    """A member was erased."""
    await service.settle_stale(session)


async def follow_pattern(session: WriteSession, job: Job) -> None:
    """Households are named another way, or many contacts have changed at once."""
    after = job.payload.get("after")
    await service.settle_following(session, None if after is None else UUID(after))


def _renamed(fact: ContactUpdated) -> bool:
    return bool(MADE_OF.intersection(fact.fields))


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber("contacts.name_household", (ContactUpdated,), handle=follow_contact, wants=_renamed))
    registry.subscribe(
        Subscriber("contacts.name_households_of_merge", (ContactsMerged, ContactsUnmerged), handle=follow_merge)
    )
    registry.subscribe(Subscriber("contacts.name_households_of_erased", (ContactErased,), handle=follow_erasure))
    registry.subscribe(
        Subscriber("contacts.name_households", (HouseholdPatternChanged, ContactsLoaded), handle=follow_pattern)
    )
