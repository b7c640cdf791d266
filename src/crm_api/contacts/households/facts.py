"""What can happen to households."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class HouseholdChanged(Fact):
    """A household or who belongs to it has changed."""

    household_id: UUID


class HouseholdPatternChanged(Fact):
    """Households of a language are named another way; `after` is the last one that is done already."""

    after: UUID | None = None
