"""What the worker does for imports and exports."""

from __future__ import annotations

from datetime import timedelta

from crm_api.outbox.facts import Registry, Schedule, Subscriber
from crm_api.transfers import tidy
from crm_api.transfers.exports import work as exporting
from crm_api.transfers.exports.facts import ExportDue
from crm_api.transfers.imports import work as importing
from crm_api.transfers.imports.facts import ImportDue, TransfersTidyDue

_LONG = timedelta(hours=12)


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(
        Subscriber("transfers.import", (ImportDue,), outside=importing.work, on_dead=importing.gave_up, timeout=_LONG)
    )
    registry.subscribe(
        Subscriber(
            "transfers.export",
            (ExportDue,),
            outside=exporting.work,
            on_dead=exporting.gave_up,
            timeout=_LONG,
            max_attempts=4,
        )
    )
    registry.subscribe(Subscriber("transfers.tidy", (TransfersTidyDue,), outside=tidy.work, timeout=timedelta(hours=1)))
    registry.schedule(Schedule("transfers.tidy", TransfersTidyDue, every=timedelta(days=1), at_hour=5))
