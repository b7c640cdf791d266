"""Where a gift came from, and whether what is said of it fits together: funds, appeals, details of its method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.donations.allocations.schemas import Allocation, problem_of
from crm_api.donations.gifts.details import MethodDetails, foreign_to
from crm_api.donations.gifts.schemas import DonationCreate
from crm_api.kit.db import ReadSession, RowLike, prepare
from crm_api.kit.problems import Invalid, NotFound
from crm_api.kit.schemas import Money

_APPEALS = prepare(
    text(
        "SELECT id, code, campaign_id, channel FROM appeals WHERE organization_id = :organization_id "
        "AND (id = ANY(CAST(:ids AS uuid[])) OR code = ANY(CAST(:codes AS text[])))"
    )
)
MEMBERS = ("campaign_id", "appeal_id", "source_code", "channel")


async def appeals_named(session: ReadSession, ids: Iterable[UUID], codes: Iterable[str]) -> Sequence[RowLike]:
    """The appeals with any of these ids and codes; nothing is asked where none is named."""
    wanted, known = sorted(set(ids)), sorted(set(codes))
    return await session.fetch(_APPEALS, ids=wanted, codes=known) if wanted or known else []


def attributed(said: Mapping[str, Any], appeals: Sequence[RowLike]) -> dict[str, Any]:
    """Campaign, appeal, source code and channel of a gift from what is said of them. A source code that is an appeal's
    own names that appeal; an appeal's campaign and channel are the gift's where none are said. Pure."""
    result = {name: said.get(name) for name in MEMBERS}
    if not appeals and result["appeal_id"] is None:
        return result
    if result["appeal_id"] is not None:
        appeal = next((one for one in appeals if one["id"] == result["appeal_id"]), None)
        if appeal is None:
            raise NotFound.reference("appeal_id")
    else:
        appeal = next((one for one in appeals if one["code"] == result["source_code"]), None)
        if appeal is not None and result["campaign_id"] not in {None, appeal["campaign_id"]}:
            appeal = None  # only a code; what was said outright counts
    if appeal is None:
        return result
    if result["campaign_id"] not in {None, appeal["campaign_id"]}:
        raise Invalid.at("/appeal_id", "appeal_of_other_campaign", "The appeal belongs to another campaign.")
    return {
        **result,
        "appeal_id": appeal["id"],
        "campaign_id": appeal["campaign_id"],
        "channel": result["channel"] or appeal["channel"],
    }


async def attribute(session: ReadSession, said: Mapping[str, Any]) -> dict[str, Any]:
    """The same for one gift; appeals are looked up where one is named."""
    ids = [said["appeal_id"]] if said.get("appeal_id") else []
    codes = [said["source_code"]] if said.get("source_code") else []
    return attributed(said, await appeals_named(session, ids, codes))


def check_new(body: DonationCreate) -> None:
    """422 where members of a new gift contradict each other."""
    amount, currency = body.amount.amount, body.amount.currency
    check_split(body.fund_id, body.allocations, amount, currency)
    check_details(body.method, body.method_details)
    check_covered(body.donor_covered_fee, amount, currency)


def check_split(fund_id: UUID | None, parts: Sequence[Allocation] | None, amount: int, currency: str) -> None:
    """422 where a split does not fit the gift."""
    if parts is None:
        return
    if fund_id is not None:
        raise Invalid.at("/fund_id", "fund_and_allocations", "Send either fund_id or allocations.")
    if (wrong := problem_of(parts, amount, currency)) is not None:
        raise Invalid.at(*wrong)


def check_details(method: str, details: MethodDetails | None) -> None:
    """422 where details are of another method than the gift's."""
    if (member := foreign_to(method, details)) is not None:
        said = f"These details belong to method {member}; the gift's is {method}."
        raise Invalid.at(f"/method_details/{member}", "details_of_other_method", said)


def check_covered(covered: Money | None, amount: int, currency: str) -> None:
    """422 where what the donor added for the fee is no part of the gift."""
    if covered is None:
        return
    if covered.currency != currency:
        raise Invalid.at("/donor_covered_fee/currency", "currency_mismatch", f"The gift is in {currency}.")
    if covered.amount > amount:
        said = "What the donor added for the fee is a part of the amount, and cannot be more."
        raise Invalid.at("/donor_covered_fee/amount", "exceeds_amount", said)
