"""A mail server (aiosmtpd) that takes letters, refuses them, or breaks off, as it is told."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP


@dataclass
class Mailbox:
    """What the server was given; the lists say how it answers the next time, in turn, before it takes everything."""

    sender: list[str] = field(default_factory=list)
    recipient: list[str] = field(default_factory=list)
    content: list[str] = field(default_factory=list)
    """``drop`` closes the connection without an answer to the finished letter."""
    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    finished: int = 0
    """Letters whose final dot was received, taken or not."""
    port: int = 0

    async def handle_MAIL(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.sender:
            return self.sender.pop(0)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.recipient:
            return self.recipient.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.finished += 1
        answer = self.content.pop(0) if self.content else "250 2.0.0 taken"
        if answer == "drop":
            server.transport.abort()
        elif answer.startswith("250"):
            found = email.message_from_bytes(envelope.content, policy=email.policy.default)
            self.letters.append(found)
            self.recipients += envelope.rcpt_tos
        return answer

    @property
    def url(self) -> str:
        """For the settings."""
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def kinds(self) -> list[str]:
        """Kinds of the letters that were taken."""
        return [str(letter["X-CRM-Letter"]) for letter in self.letters]


@asynccontextmanager
async def mail_server() -> AsyncIterator[Mailbox]:
    """The server, listening on a free port of this machine."""
    mailbox = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(mailbox, hostname="mail.test", loop=loop), "127.0.0.1", 0)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
        await server.wait_closed()
