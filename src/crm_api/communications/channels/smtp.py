"""Letters over SMTP.

The one hard question is what a lost connection means. Up to the moment the final dot is written the server cannot have
taken the letter, so it is tried again; after it the server may have, so the outcome is ``unknown`` and stays so. To
know that moment exactly, the body is written first, the transport is drained, and only then comes the dot.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, cast

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from crm_api.communications.channels.channel import OutgoingEmail, SendResult
from crm_api.communications.channels.mime import Mail, build_mail
from crm_api.communications.channels.replies import Stage, refused_before_sending, result_of

TlsMode = Literal["none", "starttls", "tls"]
_LINE_STARTS_WITH_DOT = re.compile(rb"(?m)^\.")
_TLS_CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""Ways a secure connection ends that say nothing about the settings."""
_QUIT_SECONDS = 5.0
_START_INPUT = 354
_COMMAND_UNKNOWN = frozenset({500, 501, 502, 504})


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """How to reach the mail server."""

    host: str
    port: int
    tls: TlsMode = "tls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout: float = 30.0
    """Seconds for connecting and for each reply."""
    content_timeout: float = 120.0
    """Seconds for the reply to the finished letter, which a server may think about for long."""
    local_hostname: str | None = None
    """The name in EHLO; the sender's domain if not given."""
    tls_context: ssl.SSLContext | None = field(default=None, repr=False)


class _Answer(Exception):
    """Ends the conversation with a result."""

    def __init__(self, result: SendResult) -> None:
        super().__init__(result.code)
        self.result = result


class SmtpChannel:
    """One connection per letter."""

    def __init__(self, settings: SmtpSettings) -> None:
        self.settings = settings

    async def send(self, message: OutgoingEmail) -> SendResult:
        """Try once to hand the letter to the mail server."""
        try:
            mail = build_mail(message)
        except ValueError as error:
            return refused_before_sending(error)
        try:
            return await _Conversation(self.settings, message, mail).run()
        except ValueError:  # a host or a name in EHLO that cannot be written; the addresses were checked above
            return SendResult("misconfigured", "settings_invalid", "The mail server's settings cannot be used.")


class _Conversation:
    """One connection and how far it has come."""

    def __init__(self, settings: SmtpSettings, message: OutgoingEmail, mail: Mail) -> None:
        self.settings = settings
        self.message = message
        self.mail = mail
        self.stage: Stage = "connect"
        self.client = aiosmtplib.SMTP(  # reaches for nothing before `connect`
            hostname=settings.host,
            port=settings.port,
            use_tls=settings.tls == "tls",
            start_tls=False,
            timeout=settings.timeout,
            tls_context=settings.tls_context,
            local_hostname=settings.local_hostname or mail.sender.domain,
        )

    async def run(self) -> SendResult:
        """The whole conversation; every way it can go wrong becomes a result."""
        try:
            await self._open()
            await self._envelope()
            result = await self._content()
        except _Answer as answer:
            result = answer.result
        except aiosmtplib.SMTPResponseException as error:
            result = result_of(self.stage, error.code, error.message, self.message)
        except (TimeoutError, OSError, aiosmtplib.SMTPException) as error:
            self.client.close()
            return self._broken(error)
        except BaseException:
            self.client.close()
            raise
        await self._goodbye()
        return result

    async def _open(self) -> None:
        settings, client = self.settings, self.client
        await client.connect()
        self.stage = "greeting"
        await self._hello()
        if settings.tls == "starttls":
            if not client.supports_extension("starttls"):
                self._end("misconfigured", "starttls_unsupported", "The mail server does not offer STARTTLS.")
            self.stage = "tls"
            await client.starttls()
            await self._hello()
        if settings.username is not None:
            self.stage = "auth"
            if not client.supported_auth_methods:
                self._end("misconfigured", "auth_unsupported", "The mail server offers no way to log in that we know.")
            await client.login(settings.username, settings.password or "")

    async def _hello(self) -> None:
        try:
            await self.client.ehlo()
        except aiosmtplib.SMTPHeloError as error:
            if error.code not in _COMMAND_UNKNOWN:
                raise
            await self.client.helo()

    async def _envelope(self) -> None:
        mail, client = self.mail, self.client
        self.stage = "sender"
        options = []
        if mail.international:
            if not client.supports_extension("smtputf8"):
                if mail.recipient.international:
                    self._end("failed", "smtputf8_unsupported", "The mail server cannot write to such an address.")
                self._end("misconfigured", "smtputf8_unsupported", "The mail server cannot take our sender's address.")
            options.append("SMTPUTF8")
            if client.supports_extension("8bitmime"):
                options.append("BODY=8BITMIME")
        if client.supports_extension("size"):
            limit = client.esmtp_extensions["size"].strip()
            if limit.isdigit() and 0 < int(limit) < len(mail.content):
                self._end("failed", "message_too_large", "The letter is larger than the mail server takes.")
            options.append(f"SIZE={len(mail.content)}")
        encoding = "utf-8" if mail.international else "ascii"
        await client.mail(str(mail.sender), options=options, encoding=encoding)
        self.stage = "recipient"
        await client.rcpt(str(mail.recipient), encoding=encoding)

    async def _content(self) -> SendResult:
        protocol = self.client.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        self.stage = "data"
        start = await protocol.execute_command(b"DATA", timeout=self.settings.timeout)
        if start.code != _START_INPUT:
            return result_of("data", start.code, start.message, self.message)
        protocol.write(_LINE_STARTS_WITH_DOT.sub(b"..", self.mail.content))
        await self._drained(protocol)
        protocol.write(b".\r\n")
        self.stage = "content"  # from here on the server may have the letter
        reply = await protocol.read_response(timeout=self.settings.content_timeout)
        return result_of("content", reply.code, reply.message, self.message)

    async def _drained(self, protocol: SMTPProtocol) -> None:
        """Wait until the whole body has left this process, or the connection is gone."""
        async with asyncio.timeout(self.settings.content_timeout):
            pause = 0.0
            while True:
                await asyncio.sleep(pause)
                transport = cast("asyncio.WriteTransport | None", protocol.transport)  # uvloop's is no subclass
                if transport is None or transport.is_closing():
                    raise aiosmtplib.SMTPServerDisconnected("Connection lost")
                if transport.get_write_buffer_size() == 0:
                    return
                pause = min(pause + 0.002, 0.05)

    def _end(self, status: Literal["failed", "misconfigured"], code: str, detail: str) -> None:
        raise _Answer(SendResult(status, code, detail))

    def _broken(self, error: BaseException) -> SendResult:
        """What it means that the conversation broke off at this stage."""
        if self.stage == "content":
            return SendResult("unknown", "lost_after_content", "The letter was handed over, but no answer came.")
        for cause in (error, error.__cause__, error.__context__):
            if isinstance(cause, ssl.SSLCertVerificationError):
                return SendResult("misconfigured", "tls_certificate", "The mail server's certificate is not trusted.")
            if isinstance(cause, ssl.SSLError) and not isinstance(cause, _TLS_CUT):
                return SendResult("misconfigured", "tls_failed", "No secure connection to the mail server can be made.")
        if isinstance(error, TimeoutError):
            return SendResult("retry", "timeout", "The mail server did not answer in time.")
        if self.stage == "connect":
            return SendResult("retry", "connect_failed", "The mail server could not be reached.")
        return SendResult("retry", "connection_lost", "The connection ended before the letter was handed over.")

    async def _goodbye(self) -> None:
        """Take leave politely if that is quick; the result stands either way."""
        with suppress(TimeoutError, OSError, aiosmtplib.SMTPException):
            if self.client.is_connected:
                await self.client.quit(timeout=_QUIT_SECONDS)
        self.client.close()
