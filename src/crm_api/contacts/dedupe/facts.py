"""What can happen to duplicates."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm_api.outbox.facts import Fact


class ContactsMerged(Fact):
    """Contacts were merged into one: what belonged to `retired_ids` belongs to `survivor_id` now."""

    merge_id: UUID
    survivor_id: UUID
    retired_ids: tuple[UUID, ...]


class ContactsUnmerged(Fact):
    """A merge was undone: `retired_ids` live again, with what they had."""

    merge_id: UUID
    survivor_id: UUID
    retired_ids: tuple[UUID, ...]


class MergeBatchDue(Fact):
    """The next part of a batch of merges is to be done."""

    batch_id: UUID
    position: int


class SweepDue(Fact):
    """The next part of a sweep for duplicates is to be done."""

    sweep_id: UUID
    part: int


class NightlySweepDue(Fact):
    """The nightly sweep is to begin."""

    occurrence: datetime
