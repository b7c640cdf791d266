"""Changing what a gift says of its donor, purpose and origin; and writing it from another system, by its id there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from crm_api.contacts.service import contact_to_name
from crm_api.donations.allocations import service as allocations
from crm_api.donations.allocations.schemas import Allocation
from crm_api.donations.gifts import repository
from crm_api.donations.gifts.attribution import attribute, check_covered, check_details, check_new, check_split
from crm_api.donations.gifts.corrections import adjust
from crm_api.donations.gifts.details import stored
from crm_api.donations.gifts.schemas import AdjustmentCreate, DonationCreate, DonationDetails, DonationPatch
from crm_api.donations.gifts.service import record_by_hand, settle, shown_whole
from crm_api.kit.db import Row, WriteSession
from crm_api.kit.problems import Conflict, NotFound
from crm_api.kit.schemas import ExternalId
from crm_api.kit.updates import check_version

_PLAIN = ("fund_id", "campaign_id", "channel", "note", "is_anonymous", "method")
_ORIGIN = frozenset({"campaign_id", "appeal_id", "source_code", "channel"})


async def patch_gift(
    session: WriteSession, gift_id: UUID, body: DonationPatch, *, expected: int | None
) -> dict[str, Any]:
    """Apply a merge patch; the gift as the API shows it. Its figures follow from its entries and stay what they are."""
    row = await _locked(session, gift_id)
    check_version(row["version"], expected)
    changes = await _changes(session, row, body, body.model_fields_set)
    check_split(body.fund_id, body.allocations, row["amount"], row["currency"])
    after = await settle(session, row, changes, touched=["allocations"] if _resplits(body) else ())
    await _split(session, after, body)
    return await shown_whole(session, after)


async def _locked(session: WriteSession, gift_id: UUID) -> Row:
    row = await repository.lock(session, gift_id)
    if row is None or row["superseded_by"] is not None:
        raise NotFound("There is no such donation.")
    return row


def _resplits(body: DonationDetails) -> bool:
    return "allocations" in body.model_fields_set


async def _split(session: WriteSession, gift: Mapping[str, Any], body: DonationDetails) -> None:
    """Write the parts that a changed gift was said to have."""
    if body.model_fields_set & {"allocations", "fund_id"}:
        await allocations.drop(session, gift["id"])
        if gift["is_split"]:
            allocations.add(session, gift, body.allocations or ())
            await session.flush()


async def _changes(
    session: WriteSession, row: Row, body: DonationPatch | DonationCreate, sent: set[str]
) -> dict[str, Any]:
    """Columns of the members that were sent, checked against each other and the gift."""
    changes: dict[str, Any] = {name: getattr(body, name) for name in _PLAIN if name in sent}
    method = changes.get("method", row["method"])
    if method != row["method"] and row["provider"] is not None:
        raise Conflict("The provider says how this gift was paid.", code="correct_at_provider")
    if "method_details" in sent:
        check_details(method, body.method_details)
        changes["method_details"] = stored(body.method_details)
    elif method != row["method"]:
        changes["method_details"] = None
    if "utm" in sent:
        changes["utm"] = stored(body.utm)
    if "contact_id" in sent:
        changes["contact_id"] = None if body.contact_id is None else await contact_to_name(session, body.contact_id)
    if "donor_covered_fee" in sent:
        check_covered(body.donor_covered_fee, row["amount"], row["currency"])
        changes["donor_covered_fee"] = None if body.donor_covered_fee is None else body.donor_covered_fee.amount
    if "external_ids" in sent:
        changes["external_ids"] = await _external_ids(session, row, body)
    if sent & _ORIGIN:
        changes |= await _origin(session, row, {name: getattr(body, name) for name in _ORIGIN & sent})
    return changes | _purpose(body.allocations, sent)


def _purpose(parts: Sequence[Allocation] | None, sent: set[str]) -> dict[str, Any]:
    """Fund and whether the gift is split. One part of all of it is the same as a fund."""
    if parts is not None and len(parts) == 1:
        return {"fund_id": parts[0].fund_id, "is_split": False}
    if parts is not None:
        return {"fund_id": None, "is_split": True}
    if "allocations" in sent and "fund_id" not in sent:
        return {"fund_id": None, "is_split": False}
    return {"is_split": False} if "fund_id" in sent else {}


async def _origin(session: WriteSession, row: Row, said: dict[str, Any]) -> dict[str, Any]:
    """Campaign, appeal, source code and channel after a change. Whoever moves a gift to another campaign takes it out
    of its appeal; a new appeal brings its campaign."""
    if said.get("appeal_id") is None and said.get("source_code") is None:
        leaves = "campaign_id" in said and said["campaign_id"] != row["campaign_id"]
        return {**said, "appeal_id": None} if leaves else said
    found = await attribute(session, said)
    changed = {name: value for name, value in found.items() if name in said or value is not None}
    if "channel" not in said and row["channel"] is not None:
        changed.pop("channel", None)
    return changed


async def _external_ids(session: WriteSession, row: Row, body: DonationPatch | DonationCreate) -> list[dict[str, str]]:
    """The ids that were sent, written beside the gift too; an upsert's own is among them."""
    after = [item.model_dump() for item in body.external_ids or ()]
    await repository.replace_external_ids(session, row["id"], after)
    return after


async def upsert_by_external_id(
    session: WriteSession, system: str, external_id: str, body: DonationCreate
) -> tuple[dict[str, Any], bool]:
    """Record or change the gift with an id in another system; whether it was recorded.

    Members that are not sent stay as they are; the external id itself is always kept. Another amount or time of receipt
    than before is an adjustment.
    """
    await repository.lock_external_id(session, system, external_id)
    own = {"system": system, "id": external_id}
    found = await repository.by_external_id(session, system, external_id)
    check_new(body)
    sent = set(body.model_fields_set)
    if found is None:
        given = [item.model_dump() for item in body.external_ids]
        return await record_by_hand(session, _with_ids(body, [own, *(one for one in given if one != own)])), True
    row = await _locked(session, found)
    if "external_ids" in sent:
        kept = list(row["external_ids"])
        given = [item.model_dump() for item in body.external_ids]
        body = _with_ids(body, [*kept, *(one for one in given if one not in kept)])
    changes = await _changes(session, row, body, sent)
    after: dict[str, Any] = dict(row)
    if _states_money(row, body, sent):
        if row["provider"] is not None:
            said = "The provider says how much this gift is and when it came: leave both as they are."
            raise Conflict(said, code="correct_at_provider")
        received = body.received_at if "received_at" in sent else None
        right = AdjustmentCreate(amount=body.amount, received_at=received, reason="entered_in_error")
        after = await adjust(session, row, right, changes)
    else:
        after = await settle(session, row, changes, touched=["allocations"] if _resplits(body) else ())
    await _split(session, after, body)
    return await shown_whole(session, after), False


def _states_money(row: Row, body: DonationCreate, sent: set[str]) -> bool:
    """Whether the body says another amount or time of receipt than the gift has."""
    other = (body.amount.amount, body.amount.currency) != (row["amount"], row["currency"])
    return other or ("received_at" in sent and body.received_at not in {None, row["received_at"]})


def _with_ids(body: DonationCreate, ids: Sequence[Mapping[str, str]]) -> DonationCreate:
    return body.model_copy(update={"external_ids": [ExternalId(**item) for item in ids]})
