"""What a letter is filled in with, and the e-mail that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from uuid import UUID

from crm_api.communications.channels.channel import Attachment, OutgoingEmail, message_id_of
from crm_api.communications.deliveries import receipts
from crm_api.communications.templates.render import RenderedLetter, format_date, format_money
from crm_api.kit.db import Row, RowLike
from crm_api.kit.money import Money


def context_of(row: Row, retry_url: str) -> dict[str, Any]:
    """What every letter is filled in with, and what it says of its gift and receipt."""
    language = row["language"]
    gift: dict[str, Any] = {"is_recurring": row["plan_id"] is not None}
    if row["amount"] is not None:
        gift |= {
            "amount_text": format_money(Money(row["amount"], row["currency"]), language),
            "date_text": format_date(row["gift_date"], language),
            "fund_name": row["fund_name"],
            "campaign_name": row["campaign_name"],
        }
        if row["refunded"]:
            gift["refunded_text"] = format_money(Money(row["refunded"], row["currency"]), language)
    named = row["given_name"] or row["family_name"] or row["contact_kind"] == "organization"
    context: dict[str, Any] = {
        "organization": {
            "name": row["organization_name"],
            "website": row["website"],
            "reply_email": row["reply_email"],
            "postal_address": row["postal_address"],
        },
        "donor": {
            "greeting_name": row["given_name"] or (row["display_name"] if named else None),
            "name": row["display_name"] if named else None,
        },
        "gift": gift,
        "receipt": receipts.told(row),
        "language": language,
    }
    if (link := return_link(retry_url, row["campaign_code"], gift_id=row["gift_id"])) and row["gift_id"] is not None:
        context["retry_url"] = link
    return context


_IDS = ("gift_id", "plan_id", "pledge_id")


def return_link(pattern: str, campaign: str | None, **ids: UUID | None) -> str | None:
    """Where the donor can pay or come back: `CRM_RETRY_URL`, filled in. None where there is no such place, or it asks
    for ids of which this letter has none."""
    named = [name for name in _IDS if f"{{{name}}}" in pattern]
    if not pattern or (named and not any(ids.get(name) for name in named)):
        return None
    for name in named:
        pattern = pattern.replace(f"{{{name}}}", str(ids.get(name) or ""))
    return pattern.replace("{campaign}", quote(campaign or "", safe=""))


def outgoing(
    row: RowLike,
    recipient: str,
    letter: RenderedLetter,
    mail_from: str,
    more: Mapping[str, str] | None = None,
    attached: tuple[Attachment, ...] = (),
) -> OutgoingEmail:
    """The letter as the mail server gets it."""
    return OutgoingEmail(
        delivery_id=row["id"],
        from_name=row["organization_name"],
        from_email=mail_from,
        to_email=recipient,
        to_name=row["display_name"] if row["given_name"] or row["family_name"] else "",
        reply_to=row["reply_email"],
        subject=letter.subject,
        text=letter.text,
        html=letter.html,
        language=row["language"],
        message_id=message_id_of(row["id"], mail_from.rpartition("@")[2]),
        date=row["created_at"],
        headers={"X-CRM-Letter": row["kind"], **(more or {})},
        attachments=attached,
    )
