"""What a checkout is for: which connection makes its page, and what its gift says of fund, campaign and origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.contacts.service import contact_to_name
from crm_api.donations.gifts.attribution import attribute, check_covered
from crm_api.donations.gifts.details import stored
from crm_api.kit.crypto import SecretsUnreadable, Vault
from crm_api.kit.db import ReadSession, Statement, WriteSession, prepare
from crm_api.kit.problems import Conflict, Forbidden, Invalid, NotFound
from crm_api.payments.abilities import OffersCheckout
from crm_api.payments.checkouts.schemas import CheckoutCreate
from crm_api.payments.connections.service import OpenConnection, open_connection
from crm_api.payments.providers import PROVIDERS

_CONNECTIONS = prepare(
    text(
        "SELECT * FROM payment_connections WHERE organization_id = :organization_id "
        "AND (id = :id OR (CAST(:id AS uuid) IS NULL AND status = 'active')) ORDER BY created_at, id"
    )
)


def _coded(table: str) -> Statement:
    return prepare(
        text(
            f"SELECT id, code FROM {table} WHERE organization_id = :organization_id "
            "AND (id = CAST(:id AS uuid) OR code = CAST(:code AS text))"
        )
    )


_FUND, _CAMPAIGN = _coded("funds"), _coded("campaigns")


def offers(opened: OpenConnection) -> bool:
    """Whether a connection can make pages: its provider does, and its credentials allow it."""
    provider = PROVIDERS[opened.provider]
    may: Any = getattr(provider, "offers", None)
    return isinstance(provider, OffersCheckout) and (may is None or bool(may(opened.credentials)))


async def choose_connection(session: ReadSession, vault: Vault, body: CheckoutCreate) -> OpenConnection:
    """The connection that is to make the page: the one named, else the only one that can."""
    rows = await session.fetch(_CONNECTIONS, id=body.connection_id)
    opened = []
    for row in rows:
        if body.provider is None or row["provider"] == body.provider:
            try:
                opened.append(open_connection(vault, session.tenant, row))
            except SecretsUnreadable:
                continue
    able = [one for one in opened if one.status == "active" and offers(one)]
    if body.connection_id is not None and not able:
        if not rows:
            raise NotFound.reference("connection_id")
        said = "This connection makes no pages: it is disabled, its provider has none, or its credentials do not do."
        raise Invalid.at("/connection_id", "no_checkout", said)
    if not able:
        said = "No active connection can make a page: connect a provider that has checkouts, with the key it needs."
        raise Conflict(said, code="no_checkout")
    if len(able) > 1:
        said = "Several connections can make the page: say which by connection_id."
        raise Invalid.at("/connection_id", "ambiguous_connection", said)
    provider = PROVIDERS[able[0].provider]
    if body.every is not None and body.every not in getattr(provider, "recurring", ()):
        others = sorted(name for name, one in PROVIDERS.items() if body.every in getattr(one, "recurring", ()))
        said = (
            f"Pages of {able[0].provider} cannot start a gift every {body.every}. Name a connection of "
            f"{' or '.join(others)} by connection_id, or leave every out for a single gift."
        )
        raise Invalid.at("/every", "not_offered", said)
    return able[0]


@dataclass(frozen=True, slots=True)
class Purpose:
    """What the gift of a checkout says from the beginning."""

    contact_id: UUID | None
    fund_id: UUID | None
    fund_code: str | None
    campaign_id: UUID | None
    campaign_code: str | None
    details: Mapping[str, Any]
    """Columns of the gift that say where it came from."""

    def metadata(self) -> dict[str, str]:
        """What comes back with the payments of a plan, so that later ones are attributed too."""
        said = {
            "contact_id": str(self.contact_id) if self.contact_id else None,
            "campaign_code": self.campaign_code,
            "fund_code": self.fund_code,
        }
        return {name: value for name, value in said.items() if value is not None}


async def purpose_of(session: WriteSession, body: CheckoutCreate, *, publishable: bool) -> Purpose:
    """Look up what the body names; 404 at the member for what there is not."""
    check_covered(body.donor_covered_fee, body.amount.amount, body.amount.currency)
    if publishable and body.contact_id is not None:
        raise Forbidden(
            "A publishable key cannot say who gives: send donor, or ask your server to begin the payment.",
            code="missing_scope",
            scope="donations:write",
        )
    contact_id = None if body.contact_id is None else await contact_to_name(session, body.contact_id)
    fund = await _named(session, _FUND, "fund", body.fund_id, body.fund_code)
    campaign = await _named(session, _CAMPAIGN, "campaign", body.campaign_id, body.campaign_code)
    said: dict[str, Any] = {
        "campaign_id": campaign[0],
        "appeal_id": body.appeal_id,
        "source_code": body.source_code,
        "channel": None,
    }
    if body.appeal_id is not None or body.source_code is not None:
        said = await attribute(session, said)
        if said["campaign_id"] != campaign[0]:
            campaign = await _named(session, _CAMPAIGN, "campaign", said["campaign_id"], None)
    details = {
        **{name: said[name] for name in ("appeal_id", "source_code", "channel")},
        "utm": stored(body.utm),
        "donor_covered_fee": body.donor_covered_fee.amount if body.donor_covered_fee else None,
    }
    return Purpose(contact_id, *fund, *campaign, {name: value for name, value in details.items() if value is not None})


async def _named(
    session: ReadSession, statement: Statement, what: str, row_id: UUID | None, code: str | None
) -> tuple[UUID | None, str | None]:
    if row_id is None and code is None:
        return None, None
    row = await session.fetch_row(statement, id=row_id, code=code)
    if row is None:
        raise NotFound.reference(f"{what}_id" if row_id is not None else f"{what}_code")
    return row["id"], row["code"]
