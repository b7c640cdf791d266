"""What every way a mail server can answer, or not answer, means for a letter."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from crm_api.communications.channels.channel import OutgoingEmail, SendResult
from crm_api.communications.channels.mime import build_mail
from crm_api.communications.channels.replies import enhanced_status, result_of, scrubbed
from crm_api.communications.channels.smtp import SmtpChannel, SmtpSettings
from tests.communications.fake_smtp import FakeSmtp, fake_smtp
from tests.communications.samples import letter

# reply_codes of the shared fixtures: replies of a mail relay and what the queue must do
REPLY_CODES = [
    ("250 2.0.0 OK", "sent"),
    ("421 4.7.0 Try again later", "retry"),
    ("451 4.3.0 Local error", "retry"),
    ("550 5.1.1 No such user", "bounced"),
    ("552 5.2.2 Mailbox full", "failed"),
    ("535 5.7.8 Authentication credentials invalid", "misconfigured"),
]


async def send(server: FakeSmtp, message: OutgoingEmail | None = None, **settings: Any) -> SendResult:
    """One letter to the fake server."""
    options: dict[str, Any] = {"tls": "none", "timeout": 2.0, "content_timeout": 2.0, **settings}
    async with fake_smtp(server):
        channel = SmtpChannel(SmtpSettings("127.0.0.1", server.port, **options))
        return await channel.send(message or letter())


@pytest.mark.parametrize(("reply", "status"), REPLY_CODES)
async def test_the_reply_to_the_finished_letter(reply: str, status: str) -> None:
    result = await send(FakeSmtp({"DOT": reply}))
    assert result.status == status
    assert result.code == " ".join(reply.split()[:2])


@pytest.mark.parametrize(("reply", "status"), REPLY_CODES[1:])
async def test_the_reply_to_the_recipient(reply: str, status: str) -> None:
    server = FakeSmtp({"RCPT": reply})
    result = await send(server)
    assert (result.status, result.code) == (status, " ".join(reply.split()[:2]))
    assert server.content is None
    assert "DATA" not in server.commands


async def test_the_letter_arrives_byte_for_byte() -> None:
    server = FakeSmtp()
    message = letter(text=".\n..\n.dots\n", html="")
    assert (await send(server, message)).status == "sent"
    assert server.content is not None
    assert server.content.replace(b"\r\n..", b"\r\n.") == build_mail(message).content
    assert server.commands[-1] == "QUIT"
    assert any(command.startswith("EHLO charity.example") for command in server.commands)


@pytest.mark.parametrize("where", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA"])
async def test_cut_before_the_letter_is_tried_again(where: str) -> None:
    result = await send(FakeSmtp(cut_at=where))
    assert result.status == "retry"


async def test_cut_in_the_middle_of_the_letter_is_tried_again() -> None:
    message = letter(text="рядок\n" * 400_000)  # more than any socket takes in at once
    result = await send(FakeSmtp(cut_at="BODY", extensions=[]), message)
    assert (result.status, result.code) == ("retry", "connection_lost")


async def test_cut_after_the_letter_is_unknown() -> None:
    server = FakeSmtp(cut_at="DOT")
    result = await send(server)
    assert (result.status, result.code) == ("unknown", "lost_after_content")
    assert server.content is not None
    assert server.connections == 1


async def test_the_same_under_uvloop() -> None:
    huge = letter(text="рядок\n" * 400_000)

    async def attempts() -> list[SendResult]:
        return [
            await send(FakeSmtp()),
            await send(FakeSmtp(cut_at="DATA")),
            await send(FakeSmtp(cut_at="BODY", extensions=[]), huge),
            await send(FakeSmtp(cut_at="DOT")),
        ]

    results = await asyncio.to_thread(uvloop.run, attempts())
    assert [result.status for result in results] == ["sent", "retry", "retry", "unknown"]


async def test_silence_after_the_letter_is_unknown() -> None:
    result = await send(FakeSmtp(silent_at="DOT"), content_timeout=0.1)
    assert (result.status, result.code) == ("unknown", "lost_after_content")


async def test_nonsense_after_the_letter_is_unknown() -> None:
    for reply in ("354 once more", "hello", "999 what"):
        assert (await send(FakeSmtp({"DOT": reply}))).status == "unknown"


@pytest.mark.parametrize("where", ["GREETING", "EHLO", "RCPT", "DATA"])
async def test_silence_before_the_letter_is_tried_again(where: str) -> None:
    result = await send(FakeSmtp(silent_at=where), timeout=0.1)
    assert (result.status, result.code) == ("retry", "timeout")


async def test_losing_the_connection_at_farewell_changes_nothing() -> None:
    assert (await send(FakeSmtp(cut_at="QUIT"))).status == "sent"
    assert (await send(FakeSmtp({"QUIT": "500 no"}))).status == "sent"


async def test_nobody_listens() -> None:
    server = FakeSmtp()
    async with fake_smtp(server):
        pass
    result = await SmtpChannel(SmtpSettings("127.0.0.1", server.port, tls="none", timeout=2)).send(letter())
    assert (result.status, result.code) == ("retry", "connect_failed")


@pytest.mark.parametrize(
    ("word", "reply", "status"),
    [
        ("GREETING", "421 4.3.2 busy", "retry"),
        ("GREETING", "554 5.7.1 your network is blocked", "misconfigured"),
        ("EHLO", "421 go away", "retry"),
        ("EHLO", "554 no", "misconfigured"),
        ("EHLO", "502 what is EHLO", "sent"),
        ("MAIL", "451 4.1.8 later", "retry"),
        ("MAIL", "553 5.7.1 sender not owned", "misconfigured"),
        ("MAIL", "530 5.7.0 authentication required", "misconfigured"),
        ("MAIL", "552 5.3.4 too large", "failed"),
        ("RCPT", "550 no such user", "failed"),
        ("RCPT", "550 5.7.1 blocked by policy", "failed"),
        ("RCPT", "554 5.7.1 relay access denied", "misconfigured"),
        ("RCPT", "550-5.1.1 gone\r\n550 5.1.1 really", "bounced"),
        ("RCPT", "556 5.1.10 null MX", "bounced"),
        ("RCPT", "450 4.2.0 greylisted", "retry"),
        ("RCPT", "251 2.1.5 will forward", "sent"),
        ("RCPT", "299 odd", "retry"),
        ("DATA", "451 later", "retry"),
        ("DATA", "554 5.5.1 no valid recipients", "misconfigured"),
        ("DATA", "250 what", "retry"),
        ("DOT", "554 5.7.1 spam", "failed"),
        ("DOT", "250 Queued", "sent"),
    ],
)
async def test_replies_by_their_place(word: str, reply: str, status: str) -> None:
    result = await send(FakeSmtp({word: reply}))
    assert result.status == status


async def test_credentials() -> None:
    login: dict[str, Any] = {"username": "u", "password": "hunter2"}
    offered = ["AUTH PLAIN LOGIN"]
    assert (await send(FakeSmtp(extensions=offered), **login)).status == "sent"
    result = await send(FakeSmtp({"AUTH": "535 5.7.8 Authentication credentials invalid"}, offered), **login)
    assert (result.status, result.code) == ("misconfigured", "535 5.7.8")
    assert "hunter2" not in repr(result)
    assert (await send(FakeSmtp({"AUTH": "454 4.7.0 later"}, offered), **login)).status == "retry"
    assert (await send(FakeSmtp(cut_at="AUTH", extensions=offered), **login)).status == "retry"
    none = await send(FakeSmtp(), **login)
    assert (none.status, none.code) == ("misconfigured", "auth_unsupported")


async def test_a_letter_larger_than_the_server_takes_is_not_begun() -> None:
    server = FakeSmtp(extensions=["SIZE 100"])
    result = await send(server)
    assert (result.status, result.code) == ("failed", "message_too_large")
    assert not [command for command in server.commands if command.startswith("MAIL")]


async def test_an_international_address_needs_a_server_that_knows_them() -> None:
    message = letter(to_email="олена@пошта.укр")
    server = FakeSmtp()
    result = await send(server, message)
    assert (result.status, result.code) == ("failed", "smtputf8_unsupported")
    assert server.content is None

    server = FakeSmtp(extensions=["SMTPUTF8", "8BITMIME"])
    assert (await send(server, message)).status == "sent"
    assert "RCPT TO:<олена@xn--80a1acn3a.xn--j1amh>" in server.commands
    assert "MAIL FROM:<hello@charity.example> SMTPUTF8 BODY=8BITMIME" in server.commands

    server = FakeSmtp()  # only the domain is international: any server will do
    assert (await send(server, letter(to_email="olena@пошта.укр"))).status == "sent"
    assert "RCPT TO:<olena@xn--80a1acn3a.xn--j1amh>" in server.commands

    ours = await send(FakeSmtp(), letter(from_email="фонд@пошта.укр"))
    assert (ours.status, ours.code) == ("misconfigured", "smtputf8_unsupported")


async def test_addresses_that_cannot_be_sent_to_reach_no_server() -> None:
    server = FakeSmtp()
    result = await send(server, letter(to_email="a@x.example>\r\nRCPT TO:<b@y.example"))
    assert (result.status, result.code) == ("failed", "address_invalid")
    assert server.connections == 0
    assert (await send(server, letter(from_email="nobody"))).status == "misconfigured"


async def test_settings_that_cannot_be_used() -> None:
    for settings in (
        SmtpSettings("x" * 70 + ".example", 25, "none"),
        SmtpSettings("127.0.0.1", 25, local_hostname="a b"),
    ):
        result = await SmtpChannel(settings).send(letter())
        assert result.status in {"misconfigured", "retry"}


@pytest.mark.parametrize(
    "text",
    [
        "<olena.koval@donor.example>: Recipient address rejected: User unknown",
        "olena.koval@donor.example does not exist",
        "user OLENA.KOVAL unknown at DONOR.EXAMPLE",
        "bounce+olena.koval=donor.example@relay.example",
        "rejected olena.koval=40donor.example and olena.koval%40donor.example",
        "Олена Коваль <olena.koval@donor.example>",
        "Коваль, Олена",
        "line\r\n<olena.koval@donor.example>\x1b[0m",
    ],
)
async def test_the_detail_names_nobody(text: str) -> None:
    result = result_of("recipient", 550, f"5.1.1 {text}", letter())
    assert result.status == "bounced"
    for private in ("olena", "koval", "donor.example", "олена", "коваль", "\x1b", "\n"):
        assert private not in result.detail.lower()


def test_the_detail_still_says_something() -> None:
    assert (
        scrubbed("The account you tried to reach is disabled.", letter())
        == "The account you tried to reach is disabled."
    )
    assert len(scrubbed("x " * 5000, letter())) < 300
    assert scrubbed("x" * 5000, letter()) == ""
    assert "olena" not in scrubbed("x " * 497 + "olena.koval@donor.example", letter())


def test_an_enhanced_status_belongs_to_its_code() -> None:
    assert enhanced_status(550, "5.1.1 x") == "5.1.1"
    assert enhanced_status(550, "4.1.1 x") is None
    assert enhanced_status(550, "see 5.1.1") is None
    assert enhanced_status(550, "5.1.1000 x") is None


async def test_a_cancelled_attempt_lets_go_of_the_connection() -> None:
    server = FakeSmtp(silent_at="RCPT")
    async with fake_smtp(server):
        channel = SmtpChannel(SmtpSettings("127.0.0.1", server.port, tls="none"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(channel.send(letter()), 0.1)


@dataclass
class _Inbox:
    """aiosmtpd's handler: keeps what arrives."""

    letters: list[Envelope] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        self.letters.append(envelope)
        return "250 2.0.0 kept"


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A key and a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = dt.datetime.fromtimestamp(time.time() - 3600, dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


@asynccontextmanager
async def real_server(
    inbox: _Inbox, *, ssl_context: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[int]:
    """aiosmtpd in this event loop."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(inbox, loop=loop, enable_SMTPUTF8=True, **options), "127.0.0.1", 0, ssl=ssl_context
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def test_a_real_server_takes_the_letter() -> None:
    inbox = _Inbox()
    async with real_server(inbox) as port:
        channel = SmtpChannel(SmtpSettings("127.0.0.1", port, "none", timeout=5))
        results = await asyncio.gather(
            channel.send(letter()), channel.send(letter(to_email="олена@пошта.укр")), channel.send(letter())
        )
    assert {result.status for result in results} == {"sent"}
    assert len(inbox.letters) == 3
    assert {one.rcpt_tos[0] for one in inbox.letters} == {
        "olena.koval@donor.example",
        "олена@xn--80a1acn3a.xn--j1amh",
    }
    assert build_mail(letter()).content in [one.content for one in inbox.letters]


async def test_tls(tmp_path: Path) -> None:
    cert_file, key_file = _certificate(tmp_path)
    of_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    of_server.load_cert_chain(cert_file, key_file)
    trusting = ssl.create_default_context(cafile=str(cert_file))
    inbox = _Inbox()

    def accept(*_: Any) -> AuthResult:
        return AuthResult(success=True)

    starttls: dict[str, Any] = {
        "tls_context": of_server,
        "require_starttls": True,
        "auth_required": True,
        "authenticator": accept,
    }
    async with real_server(inbox, **starttls) as port, real_server(inbox, ssl_context=of_server) as tls_port:

        async def attempt(number: int, tls: Any, context: ssl.SSLContext | None, **more: Any) -> SendResult:
            settings = SmtpSettings("127.0.0.1", number, tls, timeout=3, tls_context=context, **more)
            return await SmtpChannel(settings).send(letter())

        sent = await attempt(port, "starttls", trusting, username="u", password="p")
        assert sent.status == "sent"
        assert (await attempt(tls_port, "tls", trusting)).status == "sent"
        assert len(inbox.letters) == 2
        for number, mode in ((port, "starttls"), (tls_port, "tls")):
            untrusted = await attempt(number, mode, None)
            assert (untrusted.status, untrusted.code) == ("misconfigured", "tls_certificate")
        assert (await attempt(port, "tls", trusting)).status == "misconfigured"
        plain = await attempt(port, "none", None)
        assert plain.status == "misconfigured"

        # the same over uvloop, as the service runs it: its transports are their own kind
        async def elsewhere() -> SendResult:
            result = await attempt(tls_port, "tls", trusting)
            await asyncio.sleep(0.1)  # TLS says goodbye in the background; let it, before the loop is closed
            return result

        assert (await asyncio.to_thread(uvloop.run, elsewhere())).status == "sent"
    refused = await send(FakeSmtp(), tls="starttls")
    assert (refused.status, refused.code) == ("misconfigured", "starttls_unsupported")
