"""Verbs of the queue of unmatched payments: join one to a person, set it aside, say who it may be from."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.contacts.keys import name_keys
from crm_api.contacts.payers import resolve_payer
from crm_api.contacts.service import contact_to_name, create_contact
from crm_api.donations.gifts import evidence
from crm_api.donations.gifts.service import settle
from crm_api.donations.recurring.service import PlanStatement, get_plan, state_plan
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.names import fold
from crm_api.kit.problems import Conflict, Forbidden, NotFound
from crm_api.kit.schemas import money_or_none
from crm_api.payments import payers
from crm_api.payments.matching.rules import tokens
from crm_api.payments.matching.schemas import MatchCreate

READ_CONTACTS, WRITE_CONTACTS = "contacts:read", "contacts:write"
_MOST = 20
_MOST_WORDS = 30
_WORD = re.compile(r"[^\W\d_]+(?:['’ʼ-][^\W\d_]+)*")
_GET = prepare(text("SELECT * FROM unmatched_payments WHERE organization_id = :organization_id AND gift_id = :gift_id"))
_LOCK = prepare(
    text(
        "SELECT * FROM unmatched_payments WHERE organization_id = :organization_id AND gift_id = :gift_id "
        "FOR NO KEY UPDATE"
    )
)
_MARK = prepare(
    text(
        "UPDATE unmatched_payments SET state = :state, rule_id = :rule_id, updated_at = :now, version = version + 1 "
        "WHERE organization_id = :organization_id AND id = :id RETURNING *"
    )
)
_SUGGEST = prepare(
    text(
        """
        WITH found AS (
            SELECT DISTINCT o.contact_id, 'same_customer' AS reason FROM gifts g JOIN gifts o
                ON o.organization_id = :organization_id AND o.connection_id = g.connection_id
                AND o.provider_customer_id = g.provider_customer_id AND o.contact_id IS NOT NULL
            WHERE g.organization_id = :organization_id AND g.id = :gift_id AND g.provider_customer_id IS NOT NULL
            UNION
            SELECT x.contact_id, 'external_id' FROM contact_external_ids x
            WHERE x.organization_id = :organization_id AND x.external_id = ANY(CAST(:tokens AS text[]))
                AND x.system IN (SELECT DISTINCT r.value FROM payment_match_rules r
                    WHERE r.organization_id = :organization_id AND r.kind = 'external_id')
            UNION
            SELECT k.contact_id, 'name' FROM contact_keys k WHERE k.organization_id = :organization_id
                AND k.kind = 'pair' AND k.value = ANY(CAST(:pairs AS text[]))
        )
        SELECT c.id AS contact_id, c.display_name, array_agg(f.reason ORDER BY f.reason) AS reasons
        FROM found f JOIN contacts c ON c.organization_id = :organization_id AND c.id = f.contact_id
        WHERE c.merged_into IS NULL AND c.erased_at IS NULL
        GROUP BY c.id, c.display_name
        ORDER BY bool_or(f.reason = 'same_customer') DESC, bool_or(f.reason = 'external_id') DESC, c.id LIMIT :most
        """
    )
)


def to_read(session: ReadSession, row: RowLike) -> dict[str, Any]:
    """An unmatched payment as the API shows it to the session's actor."""
    names = ("id", "kind", "state", "reason", "event_id", "connection_id", "provider", "rule_id", "received_at")
    return {
        **{name: row[name] for name in names},
        "donation_id": row["gift_id"],
        "amount": money_or_none(row["amount"], row["currency"]),
        "hint": row["hint"] if READ_CONTACTS in session.actor.scopes else None,
    }


async def get_unmatched(session: ReadSession, gift_id: UUID) -> Row:
    """The queue's row of a gift, or 404."""
    return _there(await session.fetch_row(_GET, gift_id=gift_id))


def _there(row: Row | None) -> Row:
    if row is None:
        raise NotFound("This donation is not in the queue of unmatched payments.")
    return row


async def suggest(session: ReadSession, gift_id: UUID) -> dict[str, Any]:
    """Contacts that a gift may be from: who has paid with the same customer id before, whose id stands in the text, or
    whose name."""
    row = await get_unmatched(session, gift_id)
    hint = row["hint"] or ""
    rows = await session.fetch(_SUGGEST, gift_id=gift_id, tokens=tokens(hint), pairs=_pairs(hint), most=_MOST)
    return {"data": [{**dict(one), "reasons": list(one["reasons"])} for one in rows]}


def _pairs(hint: str) -> list[str]:
    """Keys of any two words that stand next to each other, as names do."""
    names = [f"{one} {other}" for one, other in pairwise(_WORD.findall(fold(hint))[:_MOST_WORDS])]
    return sorted({value for kind, value in name_keys(names) if kind == "pair"})


async def match(session: WriteSession, gift_id: UUID, body: MatchCreate) -> dict[str, Any]:
    """Join a gift to a contact, known or new. Later payments of the same customer find that contact themselves."""
    await get_unmatched(session, gift_id)
    gift = await evidence.lock_gift(session, gift_id)
    row = _there(await session.fetch_row(_LOCK, gift_id=gift_id))
    if gift["contact_id"] is not None:
        raise Conflict("This donation has its donor already; change it with PATCH.", code="already_matched")
    if body.create is not None:
        if WRITE_CONTACTS not in session.actor.scopes:
            said = f"Adding a contact needs the scope {WRITE_CONTACTS}. Use a key that has it, or name a contact."
            raise Forbidden(said, code="missing_scope", scope=WRITE_CONTACTS)
        contact_id = UUID(str((await create_contact(session, body.create))["id"]))
        await session.flush()
    else:
        assert body.contact_id is not None
        contact_id = await contact_to_name(session, body.contact_id)
    await join(session, gift, contact_id, {})
    record(session, "donation.matched", "donation", gift_id)
    return to_read(session, await mark(session, row["id"], "matched"))


async def join(session: WriteSession, gift: RowLike, contact_id: UUID, changes: dict[str, Any]) -> None:
    """Say who a locked gift is from, with other `changes` of its columns; its plan belongs to the same person. The
    contact takes over what it lacks and the payment tells."""
    customer = gift["provider_customer_id"]
    found, given = await resolve_payer(
        session,
        payers.person(gift["payer"]),
        contact_id=contact_id,
        customer=(gift["provider"], customer) if customer and gift["provider"] else None,
        source=gift["provider"] or "api",
        given=(gift["payer"] or {}).get("given", {}),
    )
    payer = {**gift["payer"], "given": given} if gift["payer"] and given else gift["payer"]
    await settle(session, gift, {**changes, "contact_id": found, "payer": payer})  # type: ignore[arg-type]
    if gift["plan_id"] is None or gift["connection_id"] is None:
        return
    plan = await get_plan(session, gift["plan_id"])
    if plan["contact_id"] is None and plan["provider_plan_id"] is not None:
        said = PlanStatement(ref=plan["provider_plan_id"], stated_at=session.now, contact_id=found)
        await state_plan(session, gift["connection_id"], gift["provider"], said)


async def mark(session: WriteSession, row_id: UUID, state: str, *, rule_id: UUID | None = None) -> Row:
    """Note what became of a row of the queue."""
    row = await session.fetch_row(_MARK, id=row_id, state=state, rule_id=rule_id, now=session.now)
    assert row is not None
    return row


async def dismiss(session: WriteSession, gift_id: UUID) -> dict[str, Any]:
    """Set a gift aside: nobody will be found. It stays without a donor, and rules leave it alone."""
    await get_unmatched(session, gift_id)
    await evidence.lock_gift(session, gift_id)
    row = _there(await session.fetch_row(_LOCK, gift_id=gift_id))
    if row["state"] == "matched":
        raise Conflict("This donation has its donor already.", code="already_matched")
    record(session, "donation.dismissed", "donation", gift_id)
    return to_read(session, await mark(session, row["id"], "dismissed"))
