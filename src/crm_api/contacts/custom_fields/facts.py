"""What can happen to custom fields."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class CustomFieldChanged(Fact):
    """Values and key rows of a field have to be brought to where its definition wants them; `run_id` is the walk that
    does it, and another walk of the same field ends it."""

    custom_field_id: UUID
    run_id: UUID
