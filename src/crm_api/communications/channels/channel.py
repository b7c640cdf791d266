"""What every channel takes and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

SendStatus = Literal["sent", "retry", "failed", "bounced", "unknown", "misconfigured"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a letter."""

    filename: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OutgoingEmail:
    """One letter to one person. What is personal stays out of its ``repr``, and so out of logs."""

    delivery_id: UUID
    from_name: str
    from_email: str
    to_email: str = field(repr=False)
    to_name: str = field(repr=False)
    reply_to: str | None
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    """May be empty: the letter is then text alone."""
    language: str
    message_id: str
    """The same for every attempt, in angle brackets; see `message_id_of`."""
    date: datetime
    """When the letter was written (with a time zone); the same for every attempt."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further headers, such as List-Unsubscribe and List-Unsubscribe-Post."""
    attachments: tuple[Attachment, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of one attempt.

    * ``sent``: the next mail server has taken it
    * ``retry``: certainly not taken; the same letter may be sent again later
    * ``failed``: refused for good, this letter to this person; says nothing about the address
    * ``bounced``: refused for good because there is no such address: write to it no more
    * ``unknown``: the letter was handed over and the answer never came. Sending again could deliver it twice
    * ``misconfigured``: the settings are wrong (credentials, sender, TLS); every letter will fare the same until a
      person mends them
    """

    status: SendStatus
    code: str
    """Stable and short: the server's reply (``550 5.1.1``) or a word of ours (``connect_failed``)."""
    detail: str = ""
    """A sentence for the people who run the service; never holds the recipient's address or name."""


class Channel(Protocol):
    """Sends letters. Never raises for what happens on the way; `SendResult` says it."""

    async def send(self, message: OutgoingEmail) -> SendResult:
        """Try once to hand the letter over."""
        ...


def message_id_of(delivery_id: UUID, domain: str) -> str:
    """The Message-ID of a delivery: the same however often it is tried, so a receiver can tell a repetition."""
    try:
        ascii_domain = domain.strip().strip(".").lower().encode("idna").decode("ascii")
    except UnicodeError:
        ascii_domain = ""
    return f"<{delivery_id}@{ascii_domain or 'localhost'}>"
