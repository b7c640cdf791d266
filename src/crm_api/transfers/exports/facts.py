"""What can happen to exports."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class ExportDue(Fact):
    """An export is to be written."""

    export_id: UUID
