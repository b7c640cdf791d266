"""What can happen to imports."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm_api.outbox.facts import Fact


class ImportDue(Fact):
    """An import has work to be done: its file to be looked at, its rows to be tried, written or taken back. Work begun
    under an older `generation` stops."""

    import_id: UUID
    generation: int


class TransfersTidyDue(Fact):
    """Files and journals of imports and exports that have served are to be removed."""

    occurrence: datetime
