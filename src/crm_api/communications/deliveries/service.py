"""Deciding which letter a gift gets, and sending it once.

A letter is decided in the transaction of its gift's follow-up and is unique per gift and family there. It is sent
without a transaction: claimed in a short one, handed to the mail server, recorded in another. What the server may have
taken without saying so is marked `unknown` and never sent again by itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.communications.channels.channel import Channel
from crm_api.communications.deliveries import plans, promises, receipts
from crm_api.communications.deliveries.models import messages
from crm_api.communications.deliveries.permits import FACTS, address, further_headers, right
from crm_api.communications.deliveries.queueing import queue
from crm_api.communications.deliveries.writing import context_of, outgoing
from crm_api.communications.facts import LetterQueued
from crm_api.communications.templates.catalogue import default_template
from crm_api.communications.templates.render import RenderedLetter, render_letter
from crm_api.contacts.consents.rules import Verdict
from crm_api.kit.db import ReadSession, Row, RowLike, Tenant, WriteSession, prepare
from crm_api.kit.problems import NotFound
from crm_api.outbox.facts import GiveUp, Job
from crm_api.outbox.service import emit

_FAMILY = {"welcome": "thanks", "thank_you": "thanks", "payment_failed": "failed", "refund_confirmed": "refund"}
_MAX_TRIES = 8

CONTACT = prepare(
    text(
        f"SELECT c.id, c.language, {FACTS} FROM contacts c JOIN organizations o ON o.id = c.organization_id "
        "WHERE c.organization_id = :organization_id AND c.id = :id FOR NO KEY UPDATE OF c"
    )
)
_GIFT = prepare(text("SELECT * FROM gifts WHERE organization_id = :organization_id AND id = :id"))
_EARLIER = prepare(
    text(
        """
        SELECT EXISTS (
            SELECT 1 FROM messages m WHERE m.organization_id = :organization_id AND m.contact_id = :contact_id
                AND m.kind = 'welcome' AND m.state <> 'canceled' AND m.gift_id <> :gift_id
        ) OR EXISTS (
            SELECT 1 FROM gifts g WHERE g.organization_id = :organization_id AND g.contact_id = :contact_id
                AND g.id <> :gift_id AND g.status IN ('succeeded', 'partially_refunded', 'refunded', 'disputed',
                    'charged_back')
                AND (g.received_at, g.id) < (CAST(:received_at AS timestamptz), CAST(:gift_id AS uuid))
        )
        """
    )
)
# Letters of gifts that turned out to be the same payment as this one: what is still unsent is not sent any more.
_SUPERSEDED = prepare(
    text(
        """
        WITH heirs AS (
            SELECT m.id, m.state FROM messages m
            JOIN gifts s ON s.organization_id = :organization_id AND s.id = m.gift_id
            WHERE m.organization_id = :organization_id AND s.superseded_by = :gift_id
                AND m.dedupe_key = :family || ':' || CAST(s.id AS text)
        ),
        stopped AS (
            UPDATE messages m SET state = 'canceled', reason = :reason, updated_at = :now FROM heirs
            WHERE m.organization_id = :organization_id AND m.id = heirs.id AND m.state = 'queued'
        )
        SELECT EXISTS (SELECT 1 FROM heirs WHERE state NOT IN ('queued', 'canceled'))
        """
    )
)
_CLAIM = prepare(
    text(
        f"""
        SELECT m.*, {FACTS}, g.status AS gift_status, g.amount, g.currency, g.refunded, g.counted, g.gift_date,
            g.plan_id, f.name AS fund_name, a.name AS campaign_name, a.code AS campaign_code, c.display_name,
            c.given_name, c.family_name, c.kind AS contact_kind,
            r.status AS receipt_status, r.number AS receipt_number, r.issued_on, r.totals, r.kind AS receipt_kind,
            r.year AS receipt_year,
            o.name AS organization_name, o.website, o.reply_email, o.postal_address, o.language AS organization_language
        FROM messages m
        JOIN contacts c ON c.organization_id = m.organization_id AND c.id = m.contact_id
        JOIN organizations o ON o.id = m.organization_id
        LEFT JOIN gifts g ON g.organization_id = m.organization_id AND g.id = m.gift_id
        LEFT JOIN receipts r ON r.organization_id = m.organization_id AND r.id = m.receipt_id
        LEFT JOIN funds f ON f.organization_id = g.organization_id AND f.id = g.fund_id
        LEFT JOIN campaigns a ON a.organization_id = g.organization_id AND a.id = g.campaign_id
        WHERE m.organization_id = :organization_id AND m.id = :id FOR UPDATE OF m
        """
    )
)
_HISTORY = timedelta(days=30)
_ONE_DAY = timedelta(days=1)
_FAILED_LATELY = prepare(
    text(
        "SELECT true FROM messages WHERE organization_id = :organization_id AND contact_id = :contact_id "
        "AND kind = 'payment_failed' AND state <> 'suppressed' AND created_at > :since LIMIT 1"
    )
)
_MARK = prepare(
    text(
        "UPDATE messages SET state = :state, reason = :reason, attempts = attempts + :tried, "
        "legal_basis = coalesce(CAST(:legal_basis AS text), legal_basis), "
        "consent_event_id = CASE WHEN CAST(:legal_basis AS text) IS NULL THEN consent_event_id "
        "ELSE CAST(:consent_event_id AS uuid) END, "
        "recipient = coalesce(:recipient, recipient), subject = coalesce(:subject, subject), sent_at = :sent_at, "
        "updated_at = :now "
        "WHERE organization_id = :organization_id AND id = :id"
    )
)
_GET = prepare(
    select(messages).where(messages.c.organization_id == bindparam("organization_id"), messages.c.id == bindparam("id"))
)


def to_read(row: RowLike) -> dict[str, Any]:
    """A letter as the API shows it."""
    names = (
        "id", "kind", "channel", "purpose", "legal_basis", "consent_event_id", "contact_id", "language", "subject",
        "state", "reason", "created_at", "sent_at",
    )  # fmt: skip
    return {**{name: row[name] for name in names}, "donation_id": row["gift_id"]}


async def get_message(session: ReadSession, message_id: UUID) -> Row:
    """One letter, or 404."""
    row = await session.fetch_row(_GET, id=message_id)
    if row is None:
        raise NotFound("There is no such message.")
    return row


async def decide_letter(session: WriteSession, gift_id: UUID, wanted: str) -> None:
    """Queue the letter a gift's change calls for: `thanks`, `payment_failed` or `refund_confirmed`.

    The contact is locked, so that two first gifts of one moment bring one welcome and one thank-you.
    """
    gift = await session.fetch_row(_GIFT, id=gift_id)
    if gift is None or gift["contact_id"] is None:
        return
    contact = await session.fetch_row(CONTACT, id=gift["contact_id"])
    if contact is None or not _still_true(wanted, gift["status"], gift):
        return
    family = _FAMILY.get(wanted, wanted)
    if await session.fetch_val(_SUPERSEDED, gift_id=gift_id, family=family, reason=_TOLD, now=session.now):
        return
    kind = wanted
    if wanted == "thanks":
        known = await session.fetch_val(
            _EARLIER, contact_id=contact["id"], gift_id=gift_id, received_at=gift["received_at"]
        )
        kind = "thank_you" if known else "welcome"
    await queue(
        session,
        kind,
        contact,
        f"{family}:{gift_id}",
        language=contact["language"],
        unwanted=await _untimely(session, kind, gift),
        gift_id=gift_id,
    )


async def _untimely(session: WriteSession, kind: str, gift: Row) -> str | None:
    """Why a letter that would be true is not written now."""
    by_hand = gift["provider"] is None and kind in {"welcome", "thank_you"}
    if by_hand and session.now - gift["received_at"] > _HISTORY:
        return "the gift was recorded by hand long after it was given"
    if kind == "payment_failed" and await session.fetch_val(
        _FAILED_LATELY, contact_id=gift["contact_id"], since=session.now - _ONE_DAY
    ):
        return "a letter about a failed payment went to this contact within a day"
    return None


def _still_true(kind: str, status: str, gift: Row) -> bool:
    """Whether a letter of this kind says the truth about the gift; looked at when it is decided and when it is sent."""
    if kind == "payment_failed":
        return status == "failed"
    if kind == "refund_confirmed":
        return gift["refunded"] > 0 and status in {"refunded", "partially_refunded"}
    return gift["counted"] > 0 and status in {"succeeded", "partially_refunded"}


async def send_letter(runner: Any, tenant: Tenant, job: Job) -> None:
    """Send a queued letter: claim, hand over, record."""
    message_id = UUID(job.payload["message_id"])
    settings = runner.settings
    channel = _channel(settings.mail_url)
    attached = await receipts.attached(runner, tenant, job)  # first: what is being sent is not sent twice
    async with runner.write(tenant) as session:
        row = await session.fetch_row(_CLAIM, id=message_id)
        recipient, obstacle, permit = _obstacle(row, session.now)
        promised = await promises.told(session, row, settings.retry_url) if recipient and row else {}
        if promised is None:
            recipient, obstacle, promised = "", ("canceled", promises.OUTDATED), {}
        if not recipient or row is None:
            if obstacle is not None:
                await _mark(session, message_id, *obstacle)
            await runner.finish(session, job)
            return
        told = context_of(row, settings.retry_url) | await plans.told(session, row) | promised
        letter = await render_letter(default_template(row["kind"], row["language"]), told)
        # A file is written under the delivery's own name, so writing it twice is writing it once; SMTP has no such
        # thing, and a letter found in this state after a crash is not sent again.
        state = "sending" if settings.mail_directory is None else "queued"
        await _mark(session, message_id, state, None, recipient=recipient, permit=permit)
        more = further_headers(row, runner.vault, settings.public_url)
    result = await channel.send(outgoing(row, recipient, letter, settings.mail_from, more, attached))
    if result.status == "misconfigured":  # every letter fares like this one until a person has mended it
        async with runner.write(tenant) as session:
            await _mark(session, message_id, "queued", f"{result.code}: {result.detail}", tried=1)
        raise GiveUp(f"{result.detail} ({result.code}) Put the settings right, then retry the job.")
    async with runner.write(tenant) as session:
        await runner.finish(session, job)
        if result.status == "retry" and row["attempts"] + 1 < _MAX_TRIES:
            await _mark(session, message_id, "queued", f"{result.code}: will be tried again", tried=1)
            again = LetterQueued(message_id=message_id, receipt_id=row["receipt_id"])
            emit(session, again, delay=_pause(row["attempts"]))
            return
        state = "failed" if result.status == "retry" else result.status
        reason = None if state == "sent" else f"{result.code}: {result.detail}" if result.detail else result.code
        await _mark(session, message_id, state, reason, tried=1, letter=letter)
        if state == "bounced":
            await mark_bounced(session, row["contact_id"], recipient)


_INTERRUPTED = "the worker stopped while the mail server had the letter; look in its log, then decide"
_TOLD = "the payment is counted as another gift, which has its own letter"
_OUTDATED = {
    "payment_failed": "the payment has not failed any more",
    "refund_confirmed": "the money was not given back after all",
}


def _obstacle(row: Row | None, now: datetime) -> tuple[str, tuple[str, str] | None, Verdict | None]:
    """Whom the letter goes to, and what it is marked as, with the reason, when it is not to be sent any more; and what
    permits it now. A letter that is settled already is not marked again."""
    if row is None or row["state"] not in {"queued", "sending"}:
        return "", None, None
    if row["state"] == "sending":
        return "", ("unknown", _INTERRUPTED), None
    if row["gift_status"] is not None and not _still_true(row["kind"], row["gift_status"], row):
        return "", ("canceled", _OUTDATED.get(row["kind"], "the gift does not stand any more")), None
    if row["receipt_status"] == "void":
        return "", ("canceled", "the receipt is void"), None
    usable = {item["address"] for item in row["emails"] if item["status"] == "valid"}
    recipient, reason, permit = address(row, row["purpose"], row["list"], now)
    if recipient is None:
        return "", ("suppressed", reason or ""), None
    return (row["recipient"] if row["recipient"] in usable else recipient), None, permit


def _pause(attempts: int) -> Any:
    return timedelta(seconds=min(30 * 4**attempts, 6 * 3600))


def _channel(mail_url: str) -> Channel:
    """The way out for letters, found before one is taken up: what has not begun cannot be interrupted."""
    from crm_api.communications.channels.factory import make_channel

    if not mail_url:
        raise GiveUp("No mail server is set up: set CRM_MAIL_URL, then retry the job.")
    try:
        return make_channel(mail_url, timeout=20, content_timeout=60)
    except ValueError as error:
        raise GiveUp(f"CRM_MAIL_URL cannot be used, {error}. Correct it, then retry the job.") from None


async def _mark(
    session: WriteSession,
    message_id: UUID,
    state: str,
    reason: str | None,
    *,
    tried: int = 0,
    letter: RenderedLetter | None = None,
    recipient: str | None = None,
    permit: Verdict | None = None,
) -> None:
    now = session.now
    await session.execute(
        _MARK,
        id=message_id,
        state=state,
        reason=reason,
        tried=tried,
        recipient=recipient,
        **(right(permit) if permit else {"legal_basis": None, "consent_event_id": None}),
        subject=letter.subject if letter else None,
        sent_at=now if state == "sent" else None,
        now=now,
    )


_TO = prepare(
    text("SELECT id FROM messages WHERE organization_id = :organization_id AND contact_id = ANY(CAST(:ids AS uuid[]))")
)


async def messages_to(session: ReadSession, contact_ids: list[UUID]) -> list[UUID]:
    """Ids of all letters to these contacts."""
    return [row["id"] for row in await session.fetch(_TO, ids=contact_ids)]


async def mark_bounced(session: WriteSession, contact_id: UUID, address: str) -> None:
    """The mail server says there is no such address: no letter goes there again."""
    from crm_api.contacts.service import set_email_status

    await set_email_status(session, contact_id, address, "invalid")
