"""What scoring finds out."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from crm_api.outbox.facts import Fact


class DonorStatusChanged(Fact):
    """A donor's status is another one now; written once per transition."""

    contact_id: UUID
    previous_status: str | None
    status: str
    rules_version: int
    change_id: UUID


class DonorsRefreshed(Fact):
    """Figures, status or scores of some donors were brought up to date after a gift or plan of theirs changed; told
    also where they came out as they were, since the gift is another."""

    contact_ids: tuple[UUID, ...]


class ScoringRebuilt(Fact):
    """Everybody's figures, statuses and scores were taken anew."""

    as_of: date


class DonorStatusRulesChanged(Fact):
    """Other rules for the donor status are in force."""

    version: int


class RfmSettingsChanged(Fact):
    """RFM is drawn another way."""


class ScoringRunAsked(Fact):
    """A run of scoring is to go on with its next part."""

    run_id: UUID


class PredictionsDue(Fact):
    """The weekly fit of the models of giving is due."""

    occurrence: datetime


class ScoringDue(Fact):
    """The nightly rebuild of an organization's scores is due."""

    occurrence: datetime
