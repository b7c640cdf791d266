"""What clients get of proofs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from crm_api.kit.schemas import Output, Versioned
from crm_api.kit.sums import Sum


class ProofTotal(Output):
    """An account in one currency: its balance by the journals of gifts, and by a replay of all gifts from nothing."""

    account: str
    currency: str
    posted: Sum
    replayed: Sum


class ProofDiscrepancy(Output):
    """Where the books and the gifts disagree: `journals_differ` (the postings of a gift), `balance_differs` (a gift and
    its own entries), `payout_differs`."""

    kind: str
    donation_id: UUID | None
    payout_id: UUID | None
    what: str
    currency: str
    expected: Sum
    found: Sum


class ProofRead(Versioned):
    """A proof of the books. `verdict` is null until it has succeeded, then `balanced` or `discrepancies`; the first of
    those are listed, all are counted. Gifts that the worker had not posted yet are left out, and counted."""

    state: str
    origin: str
    progress: Annotated[float, Field(ge=0, le=1)]
    reason: str | None
    verdict: str | None
    gifts_checked: int
    gifts_unposted: int
    discrepancies_count: int
    discrepancies: list[ProofDiscrepancy]
    totals: list[ProofTotal]
    finished_at: datetime | None


class ProofPage(Output):
    """A page of proofs."""

    data: list[ProofRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
