"""Random evidence of payments, for tests of the books."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from crm_api.donations.gifts.balances import Entry, EntryKind

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
MOST = 2**53 - 1000
"""With what staff add to it still an amount of the API's."""
_STATUSES: dict[EntryKind, tuple[str, ...]] = {
    "refund": ("pending", "succeeded", "failed", "canceled"),
    "dispute": ("inquiry", "open", "won", "lost"),
    "reversal": ("succeeded", "canceled"),
}
_KINDS: tuple[EntryKind, ...] = (
    "pending", "charge", "charge", "failed", "canceled", "fee", "fee", "refund", "refund", "refunded_total", "dispute",
    "refund_failed", "reversal", "adjustment", "superseded",
)  # fmt: skip
amounts = st.one_of(st.integers(0, 12), st.integers(1, 5000), st.just(MOST))
fees = st.integers(0, 40)


@st.composite
def entry(draw: st.DrawFn) -> Entry:
    """One statement about a payment, within some weeks."""
    kind = draw(st.sampled_from(_KINDS))
    if kind == "superseded":  # rare: it ends everything
        kind = draw(st.sampled_from(("superseded", "charge", "charge", "fee")))
    at = START + timedelta(hours=draw(st.integers(0, 40)) * 7)
    ref = (
        draw(st.sampled_from(("a", "b"))) if kind in ("fee", "refund", "refund_failed", "dispute", "reversal") else None
    )
    status = draw(st.sampled_from(_STATUSES[kind])) if kind in _STATUSES else None
    amount = draw(fees if kind == "fee" else amounts)
    started = None
    if kind == "adjustment":
        amount = draw(st.integers(-20, 20))
        started = draw(st.sampled_from((None, None, START + timedelta(days=1))))
    made = Entry(kind, "", at, amount, ref, status, None, started)
    return replace(made, key=f"{kind}:{ref}:{status}:{amount}:{started}@{at}")


histories = st.lists(entry(), min_size=1, max_size=9)


@st.composite
def _plain(draw: st.DrawFn) -> list[Entry]:
    """What nearly every payment is: it has come, and perhaps cost a fee."""
    at = START + timedelta(days=draw(st.integers(0, 25)))
    found = [Entry("charge", "charge:pi", at, draw(st.integers(0, 5000)))]
    if draw(st.booleans()):
        found.append(Entry("fee", "fee:txn", at + timedelta(days=draw(st.integers(0, 2))), draw(fees), ref="txn"))
    return found


plain = _plain()
