"""Many gifts recorded at once: everything they refer to is looked up set-wise, and each fails or stands for itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from pydantic import ConfigDict
from sqlalchemy import text

from crm_api.donations.gifts.attribution import appeals_named, attributed, check_new
from crm_api.donations.gifts.people import People, look_up
from crm_api.donations.gifts.schemas import DonationCreate
from crm_api.donations.gifts.service import record_said
from crm_api.kit import batch
from crm_api.kit.db import RowLike, WriteSession, prepare
from crm_api.kit.problems import Conflict, Invalid, NotFound, Problem
from crm_api.kit.schemas import Input
from crm_api.organizations.rates.service import remember_rates

_PURPOSES = prepare(
    text(
        """
        SELECT id FROM funds WHERE organization_id = :organization_id AND id = ANY(CAST(:funds AS uuid[]))
        UNION ALL
        SELECT id FROM campaigns WHERE organization_id = :organization_id AND id = ANY(CAST(:campaigns AS uuid[]))
        """
    )
)
_TAKEN = prepare(
    text(
        """
        SELECT e.system, e.external_id FROM jsonb_to_recordset(:ids) AS r(system text, id text)
        JOIN gift_external_ids e ON e.organization_id = :organization_id AND e.system = r.system
            AND e.external_id = r.id
        """
    )
)


class DonationItem(Input):
    """Record a gift."""

    op: Literal["create"]
    body: DonationCreate


class DonationBatch(batch.Batch):
    """Gifts to be recorded: each is `{"op": "create", "body": …}`, or the gift itself, as `POST /v1/donations` takes
    it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {"amount": {"amount": 12550, "currency": "UAH"}, "method": "cash"},
                        {
                            "op": "create",
                            "body": {
                                "amount": {"amount": 50000, "currency": "UAH"},
                                "method": "cheque",
                                "method_details": {"cheque": {"number": "001542"}},
                            },
                        },
                    ],
                    "atomic": False,
                }
            ]
        }
    )


MODELS: dict[str, type[Input]] = {"create": DonationItem}


@dataclass(slots=True)
class _Known:
    """What the gifts of a batch refer to."""

    people: People
    purposes: set[UUID]
    appeals: Sequence[RowLike]
    taken: set[tuple[str, str]]


async def _read(session: WriteSession, bodies: Sequence[DonationCreate]) -> _Known:
    funds = {one.fund_id for one in bodies} | {part.fund_id for one in bodies for part in one.allocations or ()}
    campaigns = {one.campaign_id for one in bodies}
    purposes = {"funds": sorted(funds - {None}, key=str), "campaigns": sorted(campaigns - {None}, key=str)}
    ids = [item.model_dump() for one in bodies for item in one.external_ids]
    appeal_ids = [one.appeal_id for one in bodies if one.appeal_id is not None]
    codes = [one.source_code for one in bodies if one.source_code is not None]
    return _Known(
        people=await look_up(session, [one.contact_id for one in bodies]),
        purposes={row["id"] for row in await session.fetch(_PURPOSES, **purposes)} if any(purposes.values()) else set(),
        appeals=await appeals_named(session, appeal_ids, codes),
        taken={(row["system"], row["external_id"]) for row in await session.fetch(_TAKEN, ids=ids)} if ids else set(),
    )


def _check(body: DonationCreate, known: _Known, currency: str | None) -> None:
    """Raise what would be in the way of this gift alone."""
    if currency is not None and body.amount.currency != currency:
        raise Invalid.at("/amount/currency", "currency_mismatch", f"The batch is in {currency}.")
    check_new(body)
    named: list[tuple[str, UUID | None]] = [("fund_id", body.fund_id), ("campaign_id", body.campaign_id)]
    named += [(f"allocations/{place}/fund_id", part.fund_id) for place, part in enumerate(body.allocations or ())]
    for member, row_id in named:
        if row_id is not None and row_id not in known.purposes:
            raise NotFound.reference(member)
    own = {(item.system, item.id) for item in body.external_ids}
    if own & known.taken or len(own) < len(body.external_ids):
        raise Conflict("Another gift has one of these external ids.", code="external_id_taken")


async def record_many(
    session: WriteSession,
    body: DonationBatch,
    *,
    atomic: bool,
    batch_id: UUID | None = None,
    currency: str | None = None,
) -> dict[str, Any]:
    """Record the gifts of a batch; what became of each. An `atomic` one with a failure is `Invalid`. In an open batch
    of gifts (`batch_id`) they are pending, and all in its `currency`."""
    parsed = batch.parse_items(body, MODELS, plain="create")
    if atomic:
        batch.require_all(parsed.every)
    known = await _read(session, [item.body.body for item in parsed.good])
    remember_rates(session)
    for item in parsed.good:
        gift: DonationCreate = item.body.body
        try:
            _check(gift, known, currency)
            said = attributed(
                {name: getattr(gift, name) for name in ("campaign_id", "appeal_id", "source_code", "channel")},
                known.appeals,
            )
            contact_id = known.people.name(gift.contact_id)
            row = await record_said(session, gift, said, batch_id=batch_id, contact_id=contact_id)
        except Problem as problem:
            problem.errors = tuple(one._replace(pointer=f"/body{one.pointer}") for one in problem.errors)
            item.fail(problem)
            continue
        known.taken |= {(one.system, one.id) for one in gift.external_ids}
        item.status, item.id, item.version = 201, row["id"], 1
    if atomic:
        batch.require_all(parsed.every)
    return batch.answer(parsed.every)
