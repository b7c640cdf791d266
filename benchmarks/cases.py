"""The requests of each case, as bytes: made before the clock starts, drawn uniformly with a fixed seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

import orjson

from benchmarks.dataset import random_cities, random_contacts
from benchmarks.plan import CITIES, Plan
from benchmarks.stage import WEBHOOK_SECRET
from crm_api.payments.providers import PROVIDERS, STRIPE


@dataclass(frozen=True, slots=True)
class Target:
    """What requests of an application need to be accepted."""

    app: str
    port: int
    token: str
    connection_id: str


def _request(target: Target, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", "accept: application/json"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _authorization(target: Target) -> dict[str, str]:
    return {} if target.app == "raw" else {"authorization": f"Bearer {target.token}"}


def _get_contact(target: Target, plan: Plan, seed: int, count: int) -> list[bytes]:
    headers = _authorization(target)
    return [_request(target, "GET", f"/v1/contacts/{one}", b"", headers) for one in random_contacts(plan, seed, count)]


def _donor_profile(target: Target, plan: Plan, seed: int, count: int) -> list[bytes]:
    headers = _authorization(target)
    return [
        _request(target, "GET", f"/v1/contacts/{one}/donor-profile", b"", headers)
        for one in random_contacts(plan, seed, count)
    ]


def _list_contacts(target: Target, plan: Plan, seed: int, count: int) -> list[bytes]:
    headers = _authorization(target)
    return [
        _request(target, "GET", f"/v1/contacts?city={quote(one)}&limit=50", b"", headers)
        for one in random_cities(seed, count)
    ]


def new_contact(draw: random.Random) -> dict[str, Any]:
    """The body of a new contact."""
    number = draw.randrange(10**9)
    return {
        "kind": "person",
        "given_name": draw.choice(("Олена", "Nino", "María", "John")),
        "family_name": f"Bench-{number}",
        "emails": [{"address": f"bench{number}@example.org", "is_primary": True}],
        "phones": [{"number": f"+380{draw.randrange(500_000_000, 509_999_999)}"}],
        "addresses": [{"city": f"City {draw.randrange(CITIES):03d}", "country": "UA"}],
        "language": "uk",
        "external_ids": [],
        "tags": ["bench"],
        "custom": {},
    }


def _json_posts(target: Target, path: str, bodies: list[dict[str, Any]]) -> list[bytes]:
    headers = {**_authorization(target), "content-type": "application/json"}
    return [_request(target, "POST", path, orjson.dumps(body), headers) for body in bodies]


def _create_contact(target: Target, plan: Plan, seed: int, count: int) -> list[bytes]:
    draw = random.Random(seed)
    return _json_posts(target, "/v1/contacts", [new_contact(draw) for _ in range(count)])


def new_donation(draw: random.Random, contact_id: str) -> dict[str, Any]:
    """The body of a new donation."""
    return {
        "contact_id": contact_id,
        "amount": {"amount": draw.randrange(500, 50_000), "currency": "USD"},
        "method": "bank_transfer",
        "received_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _record_donation(target: Target, plan: Plan, seed: int, count: int) -> list[bytes]:
    draw = random.Random(seed)
    bodies = [new_donation(draw, one) for one in random_contacts(plan, seed, count)]
    return _json_posts(target, "/v1/donations", bodies)


def new_event(seed: str, *, donor: str | None = None) -> bytes:
    """A succeeded payment as Stripe would tell it, of a donor never seen before."""
    now = datetime.now(UTC)
    event = PROVIDERS["stripe"].sample("payment_intent.succeeded", now=now, seed=seed)
    event["livemode"] = True
    intent = event["data"]["object"]
    intent |= {"livemode": True, "currency": "usd"}
    if donor is not None:
        intent["receipt_email"] = donor
    return orjson.dumps(event)


def webhook(target: Target, body: bytes) -> bytes:
    """The signed delivery of an event."""
    headers = STRIPE.sign(body, secret=WEBHOOK_SECRET, now=datetime.now(UTC))
    return _request(target, "POST", f"/v1/payments/webhooks/stripe/{UUID(target.connection_id)}", body, headers)


def _webhook_ingest(target: Target, plan: Plan, seed: int, count: int) -> list[bytes]:
    return [webhook(target, new_event(f"{seed}/{number}")) for number in range(count)]


def donation(target: Target, draw: random.Random, contact_id: str) -> bytes:
    """One donation, as a request."""
    return _json_posts(target, "/v1/donations", [new_donation(draw, contact_id)])[0]


MAKERS: dict[str, Callable[[Target, Plan, int, int], list[bytes]]] = {
    "get_contact": _get_contact,
    "list_contacts": _list_contacts,
    "create_contact": _create_contact,
    "record_donation": _record_donation,
    "donor_profile": _donor_profile,
    "webhook_ingest": _webhook_ingest,
}
REPEATABLE = frozenset({"get_contact", "list_contacts", "donor_profile"})
"""Cases whose requests may be sent again when they run out; a write sent twice would be another thing."""
