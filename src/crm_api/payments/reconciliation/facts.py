"""What can happen to reconciliations."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm_api.outbox.facts import Fact


class ReconciliationDue(Fact):
    """A reconciliation is to be carried out."""

    reconciliation_id: UUID


class NightlyReconciliationDue(Fact):
    """Every connection that can list its payments is to be compared."""

    occurrence: datetime
