"""Where a gift came from, as far as its payment says: columns of the gift, filled in where they are empty."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from crm_api.donations.gifts.attribution import attribute
from crm_api.kit.db import ReadSession
from crm_api.payments.provider import PaymentOutcome

COLUMNS = ("appeal_id", "source_code", "channel", "utm", "donor_covered_fee")
_UTM = ("source", "medium", "campaign", "term", "content")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_LONGEST = 200


def _clean(value: Any) -> str | None:
    text = " ".join(_CONTROL.sub(" ", value).split())[:_LONGEST] if isinstance(value, str) else ""
    return text or None


def _said(outcome: PaymentOutcome) -> dict[str, Any]:
    """Columns that the payment itself speaks of. Pure; what is not what it should be is left out."""
    source: Mapping[str, str] = outcome.source or {}
    utm = {name: found for name in _UTM if (found := _clean(source.get(f"utm_{name}")))}
    code = next((one for name in ("source_code", "appeal_code") if (one := _clean(source.get(name)))), None)
    fee = outcome.donor_covered_fee
    whole = outcome.amount.amount if outcome.amount else None
    return {
        "utm": utm or None,
        "source_code": code if code and _CODE.fullmatch(code) else None,
        "donor_covered_fee": fee if fee is not None and whole is not None and 0 < fee <= whole else None,
    }


async def details_of(
    session: ReadSession, outcome: PaymentOutcome, campaign_id: UUID | None
) -> tuple[UUID | None, dict[str, Any]]:
    """The campaign and the further columns of a new gift; only those that say something."""
    said = _said(outcome)
    if said["source_code"] is not None:
        named = {"campaign_id": campaign_id, "appeal_id": None, "source_code": said["source_code"], "channel": None}
        said |= await attribute(session, named)
        campaign_id = said.pop("campaign_id")
    return campaign_id, {name: value for name, value in said.items() if value is not None}


async def fill(session: ReadSession, changes: dict[str, Any], outcome: PaymentOutcome) -> None:
    """Fill what is empty among the columns of a gift that is about to be written."""
    if outcome.source is None and outcome.donor_covered_fee is None:
        return
    campaign_id, said = await details_of(session, outcome, changes["campaign_id"])
    changes["campaign_id"] = changes["campaign_id"] or campaign_id
    for name, value in said.items():
        if changes[name] is None:
            changes[name] = value
