"""A provider event without the person: what stays is its shape, its ids, amounts, codes and times. Pure.

What stays is enough for the event to mean the same when it is replayed, except who it came from.
"""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

import orjson

_ID = re.compile(r"[a-z]{1,12}_[A-Za-z0-9_]{4,80}")
_CODES = frozenset(
    [
        "object", "type", "status", "currency", "api_version", "livemode", "reason", "billing_reason",
        "collection_method", "interval", "failure_code", "code", "decline_code", "outcome_type", "network_status",
        "payment_status", "mode", "balance_type", "reporting_category", "capture_method", "confirmation_method",
        "usage", "billing_scheme", "recurring_type", "funding", "brand", "cancellation_reason",
        "action", "err_code", "errCode", "paytype", "paymentMethod", "paymentSystem", "payment_system",
        "transactionStatus", "order_status", "response_status", "tran_type",
        "event", "event_type", "resource_type", "currency_code", "raw_currency_code", "state", "intent", "rel",
        "outcome_code", "tenure_type", "interval_unit", "donation_type", "frequency", "frequency_unit",
        "payment_method", "method", "provider",
    ]
)  # fmt: skip
"""Members whose text is a code of the provider's."""
_WHO = frozenset(
    [
        "customer", "customer_account", "client_reference_id", "client_secret", "fingerprint",
        "cardToken", "card_token", "recToken", "rectoken", "walletId", "ip",
        "donor", "payer", "subscriber", "payer_id", "supporter_id", "contact_id", "custom_id",
        "phone", "email", "sender_phone", "sender_email", "sender_cell_phone", "sender_account",
    ]
)  # fmt: skip
"""Members whose id or number names the person."""
_REFS = frozenset(
    [
        "invoiceId", "reference", "extRef", "orderReference", "order_id", "parent_order_id", "payment_id",
        "merchantAccount", "merchant_id", "public_key", "account",
        "id", "refund_id", "dispute_id", "plan_id", "sale_id", "capture_id", "billing_agreement_id",
        "seller_transaction_id", "stripe_charge_id", "paypal_transaction_id", "campaign_code", "fund_code",
    ]
)  # fmt: skip
"""Members whose text names a payment, an order or our own account, whatever it looks like."""
_NUMBERS = frozenset(
    [
        "amount", "refund_amount", "refundAmount", "reversal_amount", "receiver_commission", "fee",
        "err_code", "errCode", "response_code", "create_date", "end_date", "version",
        "value", "total", "quantity", "amount_refunded", "converted_amount", "processing_fee",
    ]
)  # fmt: skip
"""Members whose numbers may be printed as text."""
_TIMES = frozenset(
    [
        "createdDate", "modifiedDate", "order_time", "timestamp", "time",
        "create_time", "update_time", "status_update_time", "start_time", "next_billing_time",
        "donation_date", "started_at", "last_donation_date", "next_donation_date", "next_processing_date",
        "purchased_at", "refunded_at", "transacted_at", "created_at", "updated_at", "failed_at", "ended_at",
        "next_date",
    ]
)  # fmt: skip
_OWN_WORDS = frozenset(
    ["metadata", "custom_fields", "shipping", "billing_details", "customer_details", "receipt_email"]
)
"""Members that people and programs write what they like into."""
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,40}")
_REF = re.compile(r"(?!cus_)[A-Za-z0-9_.:-]{1,128}")
_LINK = re.compile(r"https://[a-z.-]*paypal\.com/v[0-9]/[A-Za-z0-9/_-]{1,200}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,12})?")
_TIME = re.compile(r"[0-9][0-9:.TZ+ -]{7,39}")
_DEEPEST = 60
_NOTE = b'{"erased":true}'
_MOST_FIELDS = 200


def scrub(body: bytes | None) -> bytes | None:
    """The event's stub, a form where it was a form; of what is neither JSON nor a form only a note that there was
    something. A stub stays as it is."""
    if body is None:
        return None
    document = _json(body)
    if document is None:
        try:
            text = body.decode()
            document = _json(unquote_plus(text).strip().removesuffix("="))  # JSON taken for the name of a field
        except ValueError:
            return _NOTE
    if document is not None:
        return orjson.dumps(_scrubbed(document, "", 0))
    try:
        fields = parse_qsl(text, strict_parsing=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return _NOTE
    kept = [(name, value) for name, one in fields if _CODE.fullmatch(name) and (value := _scrubbed(one, name, 0))]
    return urlencode(kept).encode() or _NOTE


def _json(text: str | bytes) -> Any:
    """An object or a list out of its JSON."""
    try:
        found = orjson.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict | list) else None


def _scrubbed(value: Any, name: str, depth: int) -> Any:
    if depth > _DEEPEST or name in _OWN_WORDS or name in _WHO:
        return {} if isinstance(value, dict) else None
    if isinstance(value, dict):
        if value.get("object") == "customer":
            return {"object": "customer"}
        kept = {key: _scrubbed(item, key, depth + 1) for key, item in value.items() if _CODE.fullmatch(key)}
        return {**kept, **_id_of_row(value)} if name == "statementItem" else kept
    if isinstance(value, list):
        return [_scrubbed(item, name, depth + 1) for item in value]
    if not isinstance(value, str):
        return value
    if name == "data":
        return _scrubbed_inside(value, depth)
    if _stays(value, name):
        return value
    return value if _ID.fullmatch(value) and not value.startswith("cus_") else None


def _stays(text: str, name: str) -> bool:
    """Whether the member's name says that such a text names no person."""
    return bool(
        (name in _CODES and _CODE.fullmatch(text))
        or (name in _REFS and _REF.fullmatch(text))
        or (name in _NUMBERS and _NUMBER.fullmatch(text))
        or (name in _TIMES and _TIME.fullmatch(text))
        or (name == "href" and _LINK.fullmatch(text))
    )


def _id_of_row(row: dict[str, Any]) -> dict[str, str]:
    """The id of a bank statement's row."""
    found = row.get("id")
    return {"id": found} if isinstance(found, str) and _REF.fullmatch(found) else {}


def _scrubbed_inside(text: str, depth: int) -> str | None:
    """A document within the document, in base64 (LiqPay's `data`, Fondy's protocol 2.0)."""
    try:
        document = _json(base64.b64decode(text.replace(" ", "+"), validate=True))
    except ValueError:
        return None
    if document is None:
        return None
    return base64.b64encode(orjson.dumps(_scrubbed(document, "", depth + 1))).decode()
