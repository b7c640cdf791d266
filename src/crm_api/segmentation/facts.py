"""What segmentation finds out."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm_api.outbox.facts import Fact


class SegmentDefined(Fact):
    """A segment was made, or its rule changed: everybody is to be looked at."""

    segment_id: UUID
    version: int


class ContactSegmentsChanged(Fact):
    """A contact entered or left segments; written once per transition."""

    contact_id: UUID
    entered: tuple[UUID, ...]
    left: tuple[UUID, ...]


class SegmentReckoned(Fact):
    """Everybody was looked at, and some came or went; `segment_changes` of that moment says who."""

    segment_id: UUID
    entered: int
    left: int
    at: datetime


class SegmentsDue(Fact):
    """Rules with dates that move are to be looked at anew."""

    occurrence: datetime
