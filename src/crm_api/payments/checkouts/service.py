"""Verbs of checkouts. A page is made in three steps: a row claims it, the provider makes it, its gift is recorded.

The row's id is our id at the provider, its idempotency key there, and the id of the gift. Whoever dies in between
leaves a claimed row; the same request, sent again with its Idempotency-Key, takes it over and is given the same page.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.donations.gifts import evidence
from crm_api.donations.gifts.balances import Entry
from crm_api.donations.gifts.service import PaymentFacts, record_gift
from crm_api.idempotency.service import Claim
from crm_api.kit import clock
from crm_api.kit.crypto import Vault
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.money import Money
from crm_api.kit.problems import Conflict, Invalid, NotFound
from crm_api.payments import apply as applying
from crm_api.payments import payers
from crm_api.payments.abilities import CheckoutLink, CheckoutOrder
from crm_api.payments.checkouts import limits, policy
from crm_api.payments.checkouts.models import checkouts
from crm_api.payments.checkouts.policy import Policy
from crm_api.payments.checkouts.purpose import Purpose, choose_connection, purpose_of
from crm_api.payments.checkouts.schemas import CheckoutCreate, CheckoutSettings
from crm_api.payments.connections.service import OpenConnection, get_connection, open_connection, webhook_path
from crm_api.payments.ours import our_ref
from crm_api.payments.polling import service as polling
from crm_api.payments.provider import Interpretation, Payer, PaymentOutcome
from crm_api.payments.uniting import canonical

LEASE = timedelta(seconds=60)
"""How long a request may take to make its page."""
_SAME_TIME = timedelta(seconds=2)
_TYPED = 35
"""How far what the donor typed on the charity's own page is to be trusted: less than on the provider's (see
`providers.stripe.payers`), more than what a card says."""
GIFT = """(SELECT g.{column} FROM gift_payment_refs r JOIN gifts g ON g.organization_id = r.organization_id
    AND g.id = r.gift_id WHERE r.organization_id = checkouts.organization_id
    AND r.connection_id = checkouts.connection_id AND r.ref = 'uuid:' || CAST(checkouts.id AS text))"""
"""A column of the gift that a checkout's payment is now: two gifts that turned out to be one payment are one since."""
_SHOWN = f"checkouts.*, {GIFT.format(column='id')} AS donation_id, {GIFT.format(column='status')} AS gift_status"
_GET = prepare(text(f"SELECT {_SHOWN} FROM checkouts WHERE organization_id = :organization_id AND id = :id"))
_BY_KEY = prepare(
    select(checkouts)
    .where(
        checkouts.c.organization_id == bindparam("organization_id"),
        checkouts.c.claimant == bindparam("claimant"),
        checkouts.c.idempotency_key == bindparam("key"),
    )
    .with_for_update(key_share=True)
)
_TAKE_OVER = prepare(
    text("UPDATE checkouts SET claimed_until = :until WHERE organization_id = :organization_id AND id = :id")
)
_GIVE_BACK = prepare(
    text(
        "UPDATE checkouts SET claimed_until = :now, updated_at = :at, reason = :reason, "
        "state = CASE WHEN idempotency_key IS NULL OR :final THEN 'refused' ELSE state END, "
        "idempotency_key = CASE WHEN :final THEN NULL ELSE idempotency_key END "
        "WHERE organization_id = :organization_id AND id = :id AND state = 'claimed'"
    )
)
_OPEN = prepare(
    text(
        "UPDATE checkouts SET state = 'open', url = :url, gift_id = :gift_id, expires_at = :expires_at, reason = NULL, "
        "updated_at = :now, version = version + 1 WHERE organization_id = :organization_id AND id = :id "
        "AND state = 'claimed'"
    )
)
_SAVE = prepare(
    text(
        "UPDATE organizations SET settings = settings || jsonb_build_object(CAST(:key AS text), "
        "CAST(:value AS jsonb)), version = version + 1, updated_at = :now WHERE id = :organization_id"
    )
)
_UNPAID = {"pending", "failed", "canceled"}


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a checkout."""

    publishable: bool
    address: str | None
    public_url: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row that has the right to a page, and what the page is made of. `done`: it has its page already."""

    id: UUID
    connection: OpenConnection
    order: CheckoutOrder
    purpose: Purpose
    begun_at: datetime
    expires_at: datetime
    done: bool = False


# Making


async def claim(session: WriteSession, vault: Vault, asked: Asked, body: CheckoutCreate, key: Claim | None) -> Claimed:
    """Take a row for the page, or take over the one that an earlier try with the same key has left."""
    chosen = await policy.load(session)
    _check_body(session, chosen, body)
    row: RowLike | None = await _earlier(session, key) if key is not None else None
    if row is not None:
        connection = open_connection(vault, session.tenant, await get_connection(session, row["connection_id"]))
    else:
        connection = await choose_connection(session, vault, body)
    purpose = await purpose_of(session, body, publishable=asked.publishable)
    if row is None:
        row = await _new_row(session, vault, chosen, asked, body, connection, key)
    elif row["state"] == "claimed":
        await session.execute(_TAKE_OVER, id=row["id"], until=clock.utc_now() + LEASE)
    order = _order(chosen, row, body, connection, purpose, asked.public_url)
    done = row["state"] != "claimed"
    return Claimed(row["id"], connection, order, purpose, row["created_at"], row["expires_at"], done)


def _check_body(session: ReadSession, chosen: Policy, body: CheckoutCreate) -> None:
    test = session.tenant.mode == "test"
    for name in ("success_url", "cancel_url"):
        chosen.check_return(f"/{name}", getattr(body, name), test=test)
    smallest = chosen.smallest(body.amount.currency)
    if body.amount.amount < smallest:
        said = f"The smallest gift in {body.amount.currency} is {smallest} minor units."
        raise Invalid.at("/amount/amount", "below_minimum", said)


async def _earlier(session: WriteSession, key: Claim) -> Row | None:
    """What an earlier try with this key has left; 409 while that one is still at work."""
    row = await session.fetch_row(_BY_KEY, claimant=key.principal, key=key.key)
    if row is None:
        return None
    if row["fingerprint"] != key.fingerprint:
        said = "This Idempotency-Key was used for another request. Use a new key for a new request."
        raise Invalid(said, code="idempotency_key_reused")
    if row["state"] == "claimed" and row["claimed_until"] > clock.utc_now():
        said = "A request with this Idempotency-Key is still running. Wait, then send it again."
        raise Conflict(said, code="idempotency_in_progress")
    return row


async def _new_row(
    session: WriteSession,
    vault: Vault,
    chosen: Policy,
    asked: Asked,
    body: CheckoutCreate,
    connection: OpenConnection,
    key: Claim | None,
) -> dict[str, Any]:
    email = body.donor.email if body.donor is not None else None
    address = asked.address if asked.publishable else None
    marks = limits.marks_of(vault, session.organization_id, address, email)
    await limits.check(session, chosen, connection.id, marks, publishable=asked.publishable)
    now = clock.utc_now()
    row: dict[str, Any] = {
        "id": new_id(),
        "connection_id": connection.id,
        "gift_id": None,
        "provider": connection.provider,
        "state": "claimed",
        "amount": body.amount.amount,
        "currency": body.amount.currency,
        "every": body.every,
        "url": None,
        "reason": None,
        "expires_at": session.now + timedelta(minutes=chosen.page_minutes),
        "asked_at": now,
        "claimed_until": now + LEASE,
        "claimant": key.principal if key is not None else "",
        "idempotency_key": key.key if key is not None else None,
        "fingerprint": key.fingerprint if key is not None else "",
        "actor_kind": session.actor.kind,
        "actor_id": session.actor.id,
        "address_mark": marks.address,
        "email_mark": marks.email,
        "version": 1,
        "created_at": session.now,
        "updated_at": session.now,
    }
    session.later(checkouts, **row)
    return row


def _order(
    chosen: Policy, row: RowLike, body: CheckoutCreate, connection: OpenConnection, purpose: Purpose, public_url: str
) -> CheckoutOrder:
    """What the provider is asked for; the same for every try of one row. The page's end is told in the machine's time,
    which is the provider's too."""
    donor = body.donor
    return CheckoutOrder(
        id=UUID(str(row["id"])),
        amount=Money(body.amount.amount, body.amount.currency),
        description=body.description or chosen.description,
        success_url=body.success_url.replace("{checkout_id}", str(row["id"])),
        cancel_url=body.cancel_url.replace("{checkout_id}", str(row["id"])),
        webhook_url=public_url.rstrip("/") + webhook_path(connection.provider, connection.id),
        email=donor.email if donor else None,
        name=donor.name if donor else None,
        language=donor.language if donor else None,
        every=body.every,
        metadata=purpose.metadata(),
        expires_at=row["asked_at"] + (row["expires_at"] - row["created_at"]),
    )


async def give_back(session: WriteSession, checkout_id: UUID, reason: str, *, final: bool) -> None:
    """The page was not made: the next try may begin at once, or, after a `final` no, begins anew."""
    await session.execute(_GIVE_BACK, id=checkout_id, now=clock.utc_now(), at=session.now, reason=reason, final=final)


async def open_page(session: WriteSession, claimed: Claimed, link: CheckoutLink, body: CheckoutCreate) -> None:
    """Record the page and the gift that is pending on it."""
    gift_id = await _record_pending(session, claimed, link, body)
    await session.flush()
    expires_at, wanted = claimed.expires_at, claimed.order.expires_at
    if link.expires_at is not None and wanted is not None and abs(link.expires_at - wanted) > _SAME_TIME:
        expires_at += link.expires_at - wanted  # the provider has its own idea of how long
    await session.execute(_OPEN, id=claimed.id, url=link.url, gift_id=gift_id, expires_at=expires_at, now=session.now)
    await polling.watch(session, gift_id, claimed.connection.id, ends_at=expires_at)
    record(session, "checkout.opened", "checkout", claimed.id)


async def _record_pending(session: WriteSession, claimed: Claimed, link: CheckoutLink, body: CheckoutCreate) -> UUID:
    """The gift of the page. An event may have come before us: then its gift is this one."""
    connection, purpose = claimed.connection, claimed.purpose
    refs = (*link.refs, our_ref(claimed.id))
    await evidence.lock_ids(session, connection.id, refs)
    outcome = PaymentOutcome(
        refs=refs,
        entries=(_begun(claimed),),
        occurred_at=claimed.begun_at,
        creates=True,
        amount=claimed.order.amount,
        payer=_payer(body),
        contact_id=str(purpose.contact_id) if purpose.contact_id else None,
        campaign_code=purpose.campaign_code,
        fund_code=purpose.fund_code,
        is_anonymous=body.is_anonymous,
        donor_covered_fee=purpose.details.get("donor_covered_fee"),
        source=_source(purpose),
    )
    if await evidence.gifts_named(session, connection.id, refs):
        applied = await applying.apply(session, connection.id, connection.provider, Interpretation(outcome))
        assert applied.gift_id is not None
        return applied.gift_id
    facts = PaymentFacts(
        amount=claimed.order.amount.amount,
        currency=claimed.order.amount.currency,
        contact_id=purpose.contact_id,
        fund_id=purpose.fund_id,
        campaign_id=purpose.campaign_id,
        connection_id=connection.id,
        provider=connection.provider,
        provider_payment_id=canonical(link.refs),
        payer=payers.told(replace(outcome, payer=payers.clean(outcome.payer))),
        is_anonymous=body.is_anonymous,
        details=purpose.details,
    )
    await record_gift(session, facts, outcome.entries, refs=refs, gift_id=claimed.id)
    return claimed.id


def _begun(claimed: Claimed) -> Entry:
    """That somebody is about to pay. To the second, as providers count, so that a refusal in this second is newer."""
    begun = claimed.begun_at.replace(microsecond=0)
    return Entry(
        kind="pending", key=f"pending:checkout:{claimed.id}", occurred_at=begun, amount=claimed.order.amount.amount
    )


def _payer(body: CheckoutCreate) -> Payer:
    donor = body.donor
    if donor is None or not (donor.email or donor.name):
        return Payer(language=donor.language if donor else None)
    return Payer(email=donor.email, name=donor.name, language=donor.language, rank=_TYPED)


def _source(purpose: Purpose) -> dict[str, str] | None:
    utm = {f"utm_{name}": value for name, value in (purpose.details.get("utm") or {}).items()}
    code = purpose.details.get("source_code")
    return {**utm, **({"source_code": code} if code else {})} or None


# Looking


def status_of(row: RowLike, now: datetime) -> str:
    """How a checkout stands, in a word for the page that waits for it. Pure."""
    if row["state"] in {"claimed", "refused"}:
        return {"claimed": "creating", "refused": "refused"}[row["state"]]
    gift, over = row["gift_status"], now >= row["expires_at"]
    if gift not in _UNPAID:
        return "succeeded"
    if gift == "canceled":
        return "expired" if over else "canceled"
    if gift == "pending" and row["state"] == "open" and not over:
        return "open"
    return str(gift)


def to_read(row: RowLike, now: datetime) -> dict[str, Any]:
    """A checkout as the API shows it: nothing personal."""
    status = status_of(row, now)
    names = ("id", "expires_at", "donation_id", "every", "connection_id", "provider", "reason", "created_at")
    return {
        **{name: row[name] for name in names},
        "status": status,
        "url": row["url"] if status in {"open", "failed"} and now < row["expires_at"] else None,
        "amount": {"amount": row["amount"], "currency": row["currency"]},
    }


async def get_checkout(session: ReadSession, checkout_id: UUID, *, own_only: bool) -> dict[str, Any]:
    """One checkout, or 404; with `own_only` also where another key has begun it."""
    row = await session.fetch_row(_GET, id=checkout_id)
    if row is None or (own_only and (row["actor_kind"], row["actor_id"]) != (session.actor.kind, session.actor.id)):
        raise NotFound("There is no such checkout.")
    return to_read(row, session.now)


# Settings


def settings_to_read(chosen: Policy) -> dict[str, Any]:
    """The organization's choices as the API shows them."""
    return {
        "allowed_origins": list(chosen.origins),
        "minimum": [{"amount": amount, "currency": currency} for currency, amount in sorted(chosen.minimum.items())],
        "page_minutes": chosen.page_minutes,
        "description": chosen.description,
        "limits": {name: getattr(chosen.limits, name) for name in chosen.limits.__slots__},
    }


async def settings_of(session: ReadSession) -> dict[str, Any]:
    """The organization's choices."""
    return settings_to_read(await policy.load(session))


async def save_settings(session: WriteSession, body: CheckoutSettings) -> dict[str, Any]:
    """Replace the organization's choices."""
    currencies = [one.currency for one in body.minimum]
    if len(set(currencies)) < len(currencies):
        raise Invalid.at("/minimum", "repeated", "Name each currency once.")
    value = body.model_dump(mode="json")
    await session.execute(_SAVE, key=policy.KEY, value=value, now=session.now)
    record(session, "organization.checkout_set", "organization", session.organization_id)
    return settings_to_read(policy.policy_of({policy.KEY: value}))
