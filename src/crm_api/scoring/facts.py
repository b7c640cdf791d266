"""What scoring finds out."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm_api.outbox.facts import Fact


class DonorStatusChanged(Fact):
    """A donor's status is another one now; written once per transition."""

    contact_id: UUID
    previous_status: str | None
    status: str
    rules_version: int
    change_id: UUID


class ScoringDue(Fact):
    """The nightly rebuild of an organization's scores is due."""

    occurrence: datetime
