"""Verbs of proofs: the books are compared with a replay of the gifts, and the gifts with their own entries.

A proof goes in steps, each a transaction: first all totals in one statement, then the entries some thousands of gifts
at a time. Whatever differs is named; nothing of it is put right by itself, but for the days of movements whose
evidence came late.
"""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.donations.gifts.balances import derive
from crm_api.donations.ledger import posting
from crm_api.donations.ledger import repository as books
from crm_api.donations.ledger.facts import LedgerProofAsked
from crm_api.donations.ledger.movements import Line
from crm_api.donations.ledger.proofs import repository
from crm_api.donations.ledger.proofs.models import ledger_proofs
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.sums import exact
from crm_api.kit.updates import update_row
from crm_api.outbox.service import emit

AT_ONCE = 5_000
"""Gifts in one step."""
NAMED = 50
"""Discrepancies that a proof lists."""
_LOCK = prepare(
    select(ledger_proofs)
    .where(ledger_proofs.c.organization_id == bindparam("organization_id"), ledger_proofs.c.id == bindparam("id"))
    .with_for_update()
)
_UNDER_WAY = prepare(
    text(
        "SELECT * FROM ledger_proofs WHERE organization_id = :organization_id AND state IN ('queued', 'running') "
        "ORDER BY id DESC LIMIT 1"
    )
)
_HIDDEN = frozenset({"alarm", "position"})


def to_read(row: RowLike) -> dict[str, Any]:
    """A proof as the API shows it."""
    shown = {name: value for name, value in simple.to_read(ledger_proofs, row).items() if name not in _HIDDEN}
    totals = [
        {**one, "posted": exact(int(one["posted"])), "replayed": exact(int(one["replayed"]))} for one in row["totals"]
    ]
    found = [
        {**one, "expected": exact(int(one["expected"])), "found": exact(int(one["found"]))}
        for one in row["discrepancies"]
    ]
    return {**shown, "progress": row["progress"] / 1000, "totals": totals, "discrepancies": found}


async def start_proof(session: WriteSession, *, origin: str) -> dict[str, Any]:
    """Queue a proof; the one that is under way, where there is one."""
    running = await session.fetch_row(_UNDER_WAY)
    if running is not None:
        return to_read(running)
    row = simple.add(
        session,
        ledger_proofs,
        {
            "state": "queued",
            "origin": origin,
            "progress": 0,
            "reason": None,
            "verdict": None,
            "alarm": False,
            "position": None,
            "gifts_checked": 0,
            "gifts_unposted": 0,
            "discrepancies_count": 0,
            "discrepancies": [],
            "totals": [],
            "finished_at": None,
        },
    )
    record(session, "ledger_proof.asked", "ledger_proof", row["id"])
    emit(session, LedgerProofAsked(proof_id=row["id"]))
    return to_read(row)


async def get_proof(session: ReadSession, proof_id: UUID) -> dict[str, Any]:
    """One proof, or 404."""
    return to_read(await simple.get(session, ledger_proofs, proof_id, "proof"))


async def go_on(session: WriteSession, proof_id: UUID) -> None:
    """The next step of a proof; the one after it is queued."""
    row = await session.fetch_row(_LOCK, id=proof_id)
    if row is None or row["state"] not in {"queued", "running"}:
        return
    changes = await (_replay(session) if row["state"] == "queued" else _compare(session, row))
    await update_row(session, ledger_proofs, proof_id, changes, expected=None)
    if changes["state"] == "running":
        emit(session, LedgerProofAsked(proof_id=proof_id))
    else:
        await repository.calm(session, proof_id)


async def fail(session: WriteSession, proof_id: UUID, reason: str) -> None:
    """A proof could not be brought to an end."""
    row = await session.fetch_row(_LOCK, id=proof_id)
    if row is not None and row["state"] in {"queued", "running"}:
        changes = {"state": "failed", "reason": reason, "finished_at": session.now}
        await update_row(session, ledger_proofs, proof_id, changes, expected=None)


async def _replay(session: WriteSession) -> dict[str, Any]:
    """The first step: every total, and the postings of every gift, by the gifts' columns."""
    found = await repository.replay(session, NAMED)
    named = [
        {
            "kind": "journals_differ",
            "donation_id": one["gift_id"],
            "payout_id": None,
            "what": f"{one['kind']}: {one['low']} against {one['high']}",
            "currency": one["currency"],
            "expected": one["wanted"],
            "found": one["posted"],
        }
        for one in found["named"] or ()
    ]
    payouts = [
        {
            "kind": "payout_differs",
            "donation_id": None,
            "payout_id": str(one["id"]),
            "what": one["kind"],
            "currency": one["currency"],
            "expected": str(one["wanted"]),
            "found": str(one["posted"]),
        }
        for one in await repository.payouts_differing(session, NAMED)
    ]
    return {
        "state": "running",
        "progress": 300,
        "gifts_unposted": found["unposted"],
        "totals": found["totals"] or [],
        "discrepancies": [*payouts, *named][:NAMED],
        "discrepancies_count": found["differing"] + len({one["payout_id"] for one in payouts}),
    }


async def _compare(session: WriteSession, row: Row) -> dict[str, Any]:
    """A later step: the next gifts with their entries. The last one says the verdict."""
    await books.plan_anew(session)
    part = await repository.compare_entries(session, row["position"] or posting.FIRST, AT_ONCE)
    suspects = [*part["differing"], *part["others"]]
    named: list[dict[str, Any]] = []
    count = row["discrepancies_count"]
    for gift in await repository.with_entries(session, suspects):
        wrong = differing(gift)
        count += bool(wrong)
        named += wrong
    await _redate(session, part["others"])
    checked = row["gifts_checked"] + part["taken"]
    changes: dict[str, Any] = {
        "state": "running",
        "position": part["last"],
        "gifts_checked": checked,
        "progress": min(990, max(row["progress"], 300) + 1),
        "discrepancies": [*row["discrepancies"], *named][:NAMED],
        "discrepancies_count": count,
    }
    if part["taken"] < AT_ONCE:
        verdict = "discrepancies" if count else "balanced"
        ended = {"state": "succeeded", "progress": 1000, "finished_at": session.now}
        changes |= {**ended, "verdict": verdict, "alarm": bool(count), "position": row["position"]}
    return changes


def differing(gift: RowLike) -> list[dict[str, Any]]:
    """What of a gift's columns does not follow from its entries; amounts only, and its status as one word."""
    balance = derive([posting.entry_of(entry) for entry in gift["entries"] or ()])
    expected = {"fee": balance.fee, "refunded": balance.refunded, "charged_back": balance.charged_back}
    if balance.gross:
        expected["amount"] = balance.gross
    pairs = [(name, amount, gift[name]) for name, amount in expected.items()]
    if balance.status != gift["status"]:
        pairs.append((f"status {gift['status']} instead of {balance.status}", balance.gross, gift["amount"]))
    return [
        {
            "kind": "balance_differs",
            "donation_id": str(gift["id"]),
            "payout_id": None,
            "what": name,
            "currency": gift["currency"],
            "expected": str(amount),
            "found": str(found),
        }
        for name, amount, found in pairs
        if name.startswith("status ") or amount != found
    ]


async def _redate(session: WriteSession, ids: list[UUID]) -> None:
    """Bring the days of movements up to date where evidence came that changed them and nothing else: a gift that did
    not change tells nobody. What would change an amount is left as it is, for somebody to look at."""
    late = []
    if ids:
        for row in await books.standing(session, ids):
            lines = posting.missing_of(row, session.tenant.timezone)
            if lines and not _moves_money(lines):
                late.append(row["id"])
    await posting.post_gifts(session, late)


def _moves_money(lines: list[Line]) -> bool:
    """Whether lines come to anything once their days are left out of account."""
    sums: Counter[tuple[str, str, UUID | None]] = Counter()
    for line in lines:
        sums[line.kind, line.debit, line.fund_id] += line.amount
        sums[line.kind, line.credit, line.fund_id] -= line.amount
    return any(sums.values())
