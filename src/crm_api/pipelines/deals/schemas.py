"""What clients send and get of deals."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict

from crm_api.kit.schemas import Input, Money, Name, NotNull, Output, PositiveMoney, Versioned


def _columns(body: DealCreate | DealPatch, names: set[str]) -> dict[str, Any]:
    values = {name: getattr(body, name) for name in names}
    if "amount" in values:
        money: PositiveMoney | None = values["amount"]
        values["amount"], values["currency"] = (None, None) if money is None else (money.amount, money.currency)
    return values


class DealCreate(Input):
    """A new deal. Without `stage_id` it begins in the pipeline's first open stage."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "pipeline_id": "01989c5e-0f5a-7c3e-9a53-6f1d2b7c8e90",
                    "contact_id": "01989c5e-1b2c-7d3e-8a53-6f1d2b7c8e91",
                    "title": "Ambulance for Kharkiv",
                    "amount": {"amount": 250000000, "currency": "UAH"},
                    "expected_on": "2027-03-31",
                }
            ]
        }
    )

    pipeline_id: UUID
    stage_id: UUID | None = None
    contact_id: UUID | None = None
    title: Name
    amount: PositiveMoney | None = None
    expected_on: date | None = None
    owner_member_id: UUID | None = None

    def stored(self) -> dict[str, Any]:
        """Column values."""
        return _columns(self, set(type(self).model_fields))


class DealPatch(Input):
    """Changes to a deal (JSON merge patch). Its stage changes by `POST /v1/deals/{id}/move`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"title": "Two ambulances", "expected_on": "2027-04-30"}]}
    )

    contact_id: UUID | None = None
    title: Annotated[Name | None, NotNull] = None
    amount: PositiveMoney | None = None
    expected_on: date | None = None
    owner_member_id: UUID | None = None

    def stored(self) -> dict[str, Any]:
        """Column values of the members that were sent."""
        return _columns(self, self.model_fields_set)


class DealMove(Input):
    """Where a deal goes: a stage of its own pipeline."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"stage_id": "01989c5e-2c3d-7e4f-9b64-7a2e3c8d9fa2"}]})

    stage_id: UUID


class DealRead(Versioned):
    """A deal: something that may come true, on its way through a pipeline. `status` follows from its stage."""

    pipeline_id: UUID
    stage_id: UUID
    contact_id: UUID | None
    title: str
    amount: Money | None
    expected_on: date | None
    owner_member_id: UUID | None
    status: str
    entered_stage_at: datetime
    closed_at: datetime | None


class DealPage(Output):
    """A page of deals."""

    data: list[DealRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class DealMoveRead(Output):
    """One move of a deal; `from_stage_id` is null for the first."""

    id: UUID
    deal_id: UUID
    from_stage_id: UUID | None
    to_stage_id: UUID
    moved_at: datetime
    actor_kind: str
    actor_id: str


class DealMovePage(Output):
    """A page of moves."""

    data: list[DealMoveRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
