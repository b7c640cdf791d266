"""What can happen between us and what people send us."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class IntakeReceived(Fact):
    """A verified delivery of a source lies in the database."""

    delivery_id: UUID


class LeadNamed(Fact):
    """An event names a lead of an ad whose answers have to be asked for."""

    delivery_id: UUID
