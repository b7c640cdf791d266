"""What clients send and get of erasures and subject exports."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from pydantic import ConfigDict

from crm_api.kit.schemas import Input, Output


class ErasureCreate(Input):
    """Without `confirm` only the plan is made."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"confirm": False}, {"confirm": True}]})

    confirm: bool = False


class PlannedTable(Output):
    """What happens to a person's rows of one table: `erase` (deleted), `anonymise` (they stay without what names the
    person) or `retain` (they stay). `until` is the last day that `ground` gives, where it gives one."""

    table: str
    action: str
    rows: int
    columns: list[str]
    ground: str | None
    until: date | None


class ErasurePlan(Output):
    """What an erasure does. `contact_ids` are all contacts the person has been; `outside` is what it cannot reach."""

    contact_ids: list[UUID]
    tables: list[PlannedTable]
    files: int
    outside: list[str]


class ErasureRead(Output):
    """An erasure, or with `state` `planned` what it would be. `progress` goes from 0 to 1; `reason` says why it
    failed."""

    id: UUID | None
    contact_id: UUID
    state: str
    progress: float
    reason: str | None
    plan: ErasurePlan
    created_at: datetime | None
    finished_at: datetime | None


class Download(Output):
    """An address that works without credentials for some minutes."""

    url: str
    expires_at: datetime


class SubjectExportRead(Output):
    """An archive of all that is kept of a person. `download` is there once it `succeeded`, until `expires_at`, when the
    archive is deleted."""

    id: UUID
    contact_id: UUID
    state: str
    progress: float
    reason: str | None
    size: int | None
    expires_at: datetime | None
    download: Download | None
    created_at: datetime
    finished_at: datetime | None
