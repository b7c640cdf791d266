"""Monobank's personal API: what comes into a jar or an account. Nothing is signed, so the address holds a secret; and
who gave is only what the donor wrote, so every gift waits to be matched."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from crm_api.kit.clock import from_unix
from crm_api.payments.abilities import ListedPage, Refused
from crm_api.payments.provider import (
    Account,
    Answer,
    BaseProvider,
    Delivery,
    Envelope,
    Interpretation,
    Outside,
    PaymentOutcome,
    SignatureInvalid,
)
from crm_api.payments.providers import gateway
from crm_api.payments.providers.exact import decimal
from crm_api.payments.providers.gateway import label, literals, seconds, whole
from crm_api.payments.providers.monobank_currencies import NUMBERS, by_number
from crm_api.payments.providers.reading import at, ignore, mapping, text

if TYPE_CHECKING:
    import httpx

_KIND = "StatementItem"
_FROM = re.compile(r"^(Від|От|From):\s*", re.IGNORECASE)
_WINDOW = timedelta(days=31)
_FULL_PAGE = 500
"""As many rows as the bank gives at once, the newest first; a page this long may be cut off."""


class MonobankPersonalCredentials(BaseModel):
    """What a charity enters for a jar or account of its own."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    secret: str = Field(pattern=r"^[!-~]+$", max_length=255, repr=False)
    """Made up by the charity: the end of the address that the bank is given."""
    token: str | None = Field(default=None, pattern=r"^[!-~]+$", max_length=255, repr=False)
    """The personal ``X-Token``, where the statement is to be read, too."""
    account: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]+$", max_length=64)
    """The jar or account whose statement is read; the main account unless told."""


class MonobankPersonalProvider(BaseProvider):
    """Rows of a statement in our words."""

    name = "monobank_personal"
    credentials: type[BaseModel] = MonobankPersonalCredentials
    secret: str | None = "secret"  # noqa: S105 - a name

    async def check(self, delivery: Delivery, accounts: Sequence[Account], *, now: datetime, outside: Outside) -> None:
        """The secret stands at the end of the path, or is a value of the query."""
        said = [value.encode("utf-8", "replace") for value in (delivery.tail, *delivery.query.values()) if value]
        if not said:
            raise SignatureInvalid("secret_missing")
        fits = False
        for account in accounts:
            for value in said:
                fits |= hmac.compare_digest(account["secret"].encode(), value)
        if not fits:
            raise SignatureInvalid("signature_mismatch")

    def envelope(self, body: bytes) -> Envelope:
        """A row of the statement, by its id."""
        try:
            payload = literals(body)
        except ValueError:
            payload = None
        item = at(payload, "data", "statementItem")
        return gateway.envelope(
            body, text(at(payload, "type"), 128), seconds(at(item, "time")), label(at(item, "id")), mode=None
        )

    def answer(self, delivery: Delivery, account: Account, *, now: datetime) -> Answer:
        """Exactly 200, within five seconds: else the bank switches the webhook off after two more tries."""
        return gateway.ACCEPTED

    def parse(self, body: bytes) -> Any:
        """JSON, its numbers as printed."""
        return literals(body)

    def interpret(self, payload: Any) -> Interpretation:
        """Money that came in is a gift; what went out is none of our business."""
        if at(payload, "type") != _KIND:
            return ignore("unknown_type")
        return _row(at(payload, "data", "statementItem"))

    async def list_payments(
        self, client: httpx.AsyncClient, account: Account, since: datetime, until: datetime, cursor: str | None
    ) -> ListedPage:
        """The statement, a month a page. The bank answers one question a minute and 429 to the next, so the rest of a
        long time comes with later tries. Raises `Refused` without a token."""
        if not account.get("token"):
            raise Refused("token_missing", "Add the personal token to the connection: only it reads the statement.")
        from crm_api.payments.providers.gateway_api import answered

        begin, end, after = _span(since, until, cursor)
        path = f"/personal/statement/{account.get('account') or '0'}/{int(begin.timestamp())}/{int(end.timestamp())}"
        response = await client.get(path, headers={"X-Token": account["token"]})
        rows = answered(response)
        if not response.is_success or not isinstance(rows, list):
            raise Refused(f"http_{response.status_code}")
        items = tuple(one for row in rows if (one := gateway.listed(_row(row))) is not None)
        oldest = seconds(at(rows[-1], "time")) if len(rows) >= _FULL_PAGE else None
        if oldest is not None and begin < oldest < end:
            return ListedPage(items, "-".join(str(int(one.timestamp())) for one in (begin, oldest, after)))
        return ListedPage(items, str(int(after.timestamp())) if after < until else None)

    def sample(self, event_type: str, *, now: datetime, seed: str) -> dict[str, Any]:
        """A top-up, or something paid from the same account."""
        if event_type not in _SAMPLES:
            raise gateway.unknown_sample(_SAMPLES)
        chosen = gateway.Seed(seed, now)
        first, family, _, amount = chosen.donor
        kopiykas = amount * 100 * _SAMPLES[event_type]
        item = {
            "id": f"sim{chosen.number('id', 10**15):015d}{'' if kopiykas > 0 else 'out'}",
            "time": chosen.unix,
            "description": f"Від: {first} {family[:1]}." if kopiykas > 0 else "Поповнення мобільного",
            "mcc": 4829,
            "originalMcc": 4829,
            "hold": False,
            "amount": kopiykas,
            "operationAmount": kopiykas,
            "currencyCode": NUMBERS["UAH"],
            "commissionRate": 0,
            "cashbackAmount": 0,
            "balance": 1_000_000 + kopiykas,
            "comment": f"На генератор D-{chosen.number('comment', 10**4)}",
        }
        return {"type": _KIND, "data": {"account": "simulatedJar", "statementItem": item}}

    def signed(self, payload: Any, account: Account, *, now: datetime) -> Delivery:
        """Nothing is signed: the secret stands in the address."""
        return Delivery(orjson.dumps(payload), {"content-type": "application/json"}, tail=account["secret"])


def _row(item: Any) -> Interpretation:
    """A row of a statement. One that is the money of an acquiring invoice names that invoice: it is the same gift."""
    row = mapping(item)
    subject, moment = label(row.get("id")), seconds(row.get("time"))
    number, currency = decimal(row.get("amount")), by_number(row.get("currencyCode"))
    if subject is None:
        return ignore("no_reference")
    if moment is None:
        return ignore("malformed")
    if number is not None and number <= 0:
        return ignore("not_incoming")
    amount = whole(row.get("amount"), currency)
    if amount is None:
        return ignore("bad_amount")
    invoice = label(row.get("invoiceId"))
    twins = (f"monobank:{invoice}",) if invoice else ()
    return Interpretation(
        PaymentOutcome(
            refs=(subject, *twins),
            entries=(gateway.charge(subject, moment, amount.amount),),
            occurred_at=moment,
            creates=True,
            amount=amount,
            method="bank_transfer",
            twins=twins,
            needs_matching=True,
            hint=_hint(row),
        )
    )


def _hint(row: dict[str, Any]) -> str | None:
    """All that was written about who gave and what for."""
    who = text(row.get("counterName"), 200) or text(_FROM.sub("", text(row.get("description"), 200) or ""), 200)
    said = (who, text(row.get("comment"), 300), text(row.get("counterEdrpou"), 20), text(row.get("counterIban"), 40))
    return " · ".join(dict.fromkeys(part for part in said if part)) or None


def _span(since: datetime, until: datetime, cursor: str | None) -> tuple[datetime, datetime, datetime]:
    """What to ask for next, from when to when, and where the month after it begins. A cursor is where a month begins,
    or these three for the older part of a page that was cut off."""
    times = [from_unix(int(part)) for part in cursor.split("-")] if cursor else [since]
    if len(times) == 3:
        return times[0], times[1], times[2]
    end = min(times[0] + _WINDOW, until)
    return times[0], end, end


_SAMPLES = {"StatementItem": 1, "StatementItem.outgoing": -1}
