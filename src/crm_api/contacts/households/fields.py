"""What households and their members can be filtered and sorted by."""

from __future__ import annotations

from crm_api.contacts.households.models import ROLES, STATUSES, household_members, households
from crm_api.kit.fields import Catalogue, Field

_OF_MEMBER = (household_members.c.household_id, household_members.c.contact_id)

HOUSEHOLDS = Catalogue(
    resource="households",
    table=households,
    default_sort="-id",
    fields=(
        Field("id", "uuid", households.c.id, sortable=True),
        Field(
            "contact_id",
            "uuid",
            sources=((*_OF_MEMBER, household_members.c.until),),
            description="The household this contact belongs to.",
        ),
        Field(
            "ever_contact_id",
            "uuid",
            sources=(_OF_MEMBER,),
            description="Households this contact belongs or has belonged to.",
        ),
        Field("status", "choice", households.c.status, choices=STATUSES),
        Field("all_deceased", "boolean", households.c.all_deceased),
        Field("created_at", "instant", households.c.created_at, sortable=True),
    ),
)

HOUSEHOLD_MEMBERS = Catalogue(
    resource="household-members",
    table=household_members,
    default_sort="-since",
    fields=(
        Field("id", "uuid", household_members.c.id, sortable=True),
        Field("household_id", "uuid", household_members.c.household_id, filterable=False),
        Field("contact_id", "uuid", household_members.c.contact_id),
        Field("role", "choice", household_members.c.role, choices=ROLES),
        Field("since", "date", household_members.c.since, sortable=True),
        Field("until", "date", household_members.c.until, description="The day a membership ended."),
    ),
)
