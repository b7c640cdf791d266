"""What can happen to receipts."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm_api.outbox.facts import Fact


class ReceiptIssued(Fact):
    """A receipt was issued. `by_email`: it is to be sent to the donor."""

    receipt_id: UUID
    contact_id: UUID
    by_email: bool


class ReceiptsWanted(Fact):
    """Gifts were loaded, and receipts are to be issued for them as for gifts recorded one by one."""

    gift_ids: tuple[UUID, ...]


class ReceiptReady(Fact):
    """The PDF of a receipt that is to be sent lies in the file store."""

    receipt_id: UUID
    contact_id: UUID


class ReceiptVoided(Fact):
    """A receipt does not hold any more; `file` was its PDF, if one was made."""

    receipt_id: UUID
    contact_id: UUID
    file: str | None


class ReceiptRunDue(Fact):
    """Annual receipts are to be issued to the next donors of a run."""

    run_id: UUID


class ReceiptsToCheck(Fact):
    """Gifts changed in bulk; some receipts are still to be compared with them."""

    occurrence: datetime


class AnnualReceiptsDue(Fact):
    """It is to be seen whether the day of annual receipts has come."""

    occurrence: datetime


class ReceiptFilesSweepDue(Fact):
    """Files of receipts that no row names are to be removed."""

    occurrence: datetime
