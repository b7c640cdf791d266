"""Whether a letter may go to a person, where it goes, and by what right.

Every letter asks, when it is decided and again when it is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from crm_api.contacts.consents import unsubscribe
from crm_api.contacts.consents.gate import FACTS as FACTS
from crm_api.contacts.consents.gate import verdict
from crm_api.contacts.consents.rules import TRANSACTIONAL, Verdict
from crm_api.kit.crypto import Vault
from crm_api.kit.db import RowLike

PURPOSES: Mapping[str, str] = dict.fromkeys(
    (
        "welcome",
        "thank_you",
        "payment_failed",
        "refund_confirmed",
        "receipt",
        "card_expiring",
        "plan_payment_missed",
        "plan_given_up",
        "pledge_overdue",
    ),
    TRANSACTIONAL,
)
"""Kind of letter → what it is for. Letters about somebody's own gift or promise rest on the contract."""
_REFUSED = {
    "deceased": "the contact is deceased",
    "do_not_contact": "the contact asked not to be contacted",
    "erased": "the contact was erased",
    "withdrawn": "the contact has unsubscribed from such letters",
    "objected": "the contact objected to such letters",
    "no_consent": "the contact has not consented to such letters",
}
_NO_ADDRESS = "the contact has no usable primary e-mail address"


def address(contact: RowLike, purpose: str, list_: str | None, now: datetime) -> tuple[str | None, str | None, Verdict]:
    """Where a letter of this purpose goes, or why nowhere; and what permits it. The row must hold `FACTS`."""
    permit = verdict(contact, "email", purpose, now, list_=list_)
    if not permit.allowed:
        return None, _REFUSED.get(permit.reason, _NO_ADDRESS), permit
    # Never "the next one": other addresses may have come with a payment, and nobody has shown that they are hers.
    return str(next(item["address"] for item in contact["emails"] if item["is_primary"])), None, permit


def right(permit: Verdict) -> dict[str, Any]:
    """What a message keeps of the permission it was sent by."""
    allowed = permit.allowed
    return {
        "legal_basis": permit.legal_basis if allowed else None,
        "consent_event_id": permit.event_id if allowed else None,
    }


def further_headers(row: RowLike, vault: Vault, public_url: str) -> dict[str, str]:
    """The way out, on every letter that is not about the person's own doing (RFC 2369, RFC 8058)."""
    if row["purpose"] == TRANSACTIONAL:
        return {}
    ticket = unsubscribe.Ticket(row["organization_id"], row["contact_id"], row["purpose"], row["list"])
    return unsubscribe.headers(public_url, unsubscribe.make_token(vault, ticket))
