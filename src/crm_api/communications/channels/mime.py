"""Builds the message that goes over the wire, byte for byte the same for every attempt of one delivery."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from email import policy
from email.header import Header
from email.message import EmailMessage
from email.utils import format_datetime, quote
from typing import Literal

import idna

from crm_api.communications.channels.channel import OutgoingEmail

_POLICY = policy.SMTP.clone(cte_type="7bit")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff]+")
_ATEXT = r"[^\x00-\x20\x7f-\xa0()<>\[\]:;@\\,.\"\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+"
_LOCAL = re.compile(rf"{_ATEXT}(\.{_ATEXT})*")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,70}")
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+>")
_OURS = frozenset(
    [
        "from",
        "to",
        "cc",
        "bcc",
        "sender",
        "reply-to",
        "subject",
        "date",
        "message-id",
        "mime-version",
        "content-type",
        "content-language",
        "content-transfer-encoding",
        "content-disposition",
        "auto-submitted",
        "return-path",
        "received",
    ]
)
_LINE = 76
_LONGEST_LINE = 990


class AddressInvalid(ValueError):
    """An address that cannot be written on an envelope; ``whose`` says which one, the address itself is not told."""

    def __init__(self, whose: Literal["recipient", "sender", "reply_to"]) -> None:
        super().__init__(f"the address of the {whose} is not valid")
        self.whose = whose


@dataclass(frozen=True, slots=True)
class Address:
    """An address for the wire: the domain in ASCII, the part before the @ as it is."""

    local: str
    domain: str

    @property
    def international(self) -> bool:
        """Whether only a server with SMTPUTF8 can take it."""
        return not self.local.isascii()

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Mail:
    """The message and its envelope."""

    sender: Address
    recipient: Address
    content: bytes
    """With CRLF line ends, and the last line ended."""
    international: bool
    """Whether an address in it needs SMTPUTF8; otherwise ``content`` is pure ASCII."""


def parse_address(text: str, whose: Literal["recipient", "sender", "reply_to"]) -> Address:
    """The address, if it can be written on an envelope as it is. Quoted local parts and address literals cannot."""
    local, at, domain = text.strip().rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or len(local.encode("utf-8", "replace")) > 64:
        raise AddressInvalid(whose)
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise AddressInvalid(whose) from None
    if not _HOST.fullmatch(domain):
        raise AddressInvalid(whose)
    return Address(local, domain.lower())


def build_mail(message: OutgoingEmail) -> Mail:
    """The whole message; `AddressInvalid`, or `ValueError` for a header that must not be given.

    The headers are written here rather than by `email.message`, which wraps a long link in List-Unsubscribe into
    encoded words that no mail program understands. The body is the standard library's.
    """
    sender = parse_address(message.from_email, "sender")
    recipient = parse_address(message.to_email, "recipient")
    reply_to = parse_address(message.reply_to, "reply_to") if message.reply_to else None
    headers = [
        ("From", _mailbox("From", message.from_name, sender)),
        ("To", _mailbox("To", message.to_name, recipient)),
    ]
    if reply_to is not None:
        headers.append(("Reply-To", f"<{reply_to}>"))
    if not _MESSAGE_ID.fullmatch(message.message_id):
        raise ValueError("the Message-ID is not valid")
    headers += [
        ("Subject", _words("Subject", message.subject)),
        ("Date", format_datetime(message.date.astimezone(UTC))),
        ("Message-ID", message.message_id),
        ("Auto-Submitted", "auto-generated"),
        ("Content-Language", re.sub(r"[^A-Za-z0-9-]", "", message.language) or "en"),
        *_further(message),
    ]
    head = "".join(f"{name}: {value}\r\n" for name, value in headers).encode()
    international = any(address is not None and address.international for address in (sender, recipient, reply_to))
    content = head + _body(message)
    return Mail(sender, recipient, content if content.endswith(b"\r\n") else content + b"\r\n", international)


def _body(message: OutgoingEmail) -> bytes:
    body = EmailMessage(policy=_POLICY)
    body.set_content(_lines(message.text), subtype="plain", charset="utf-8")
    if message.html:
        body.add_alternative(_lines(message.html), subtype="html", charset="utf-8")
        body.set_boundary(f"=_{message.delivery_id.hex}")
    for one in message.attachments:
        kind, _, subtype = one.media_type.partition("/")
        body.add_attachment(one.content, maintype=kind, subtype=subtype, filename=one.filename)
    if message.attachments:
        body.set_boundary(f"=_{message.delivery_id.hex}_all")
    return body.as_bytes()


def _lines(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
    return text.replace("\x00", "")


def _flat(text: str) -> str:
    """One line without control characters: nothing in it can start another header."""
    return _CONTROL.sub(" ", text).strip()


def _words(name: str, text: str) -> str:
    """Free text for a header, folded, in encoded words where it is not plain ASCII."""
    text = _flat(text)
    plain = text.isascii() and "=?" not in text and all(len(word) < _LINE for word in text.split(" "))
    charset = "us-ascii" if plain else "utf-8"
    return Header(text, charset, header_name=name, maxlinelen=_LINE).encode(linesep="\r\n")


def _mailbox(name: str, display: str, address: Address) -> str:
    """A display name and an address. The name is quoted or encoded, so it cannot pass for an address itself."""
    display = _flat(display)
    if not display:
        return f"<{address}>"
    if display.isascii() and "=?" not in display and len(display) < 50:
        written = f'"{quote(display)}"'
    else:
        written = Header(display, "utf-8", header_name=name, maxlinelen=_LINE).encode(linesep="\r\n")
    last = written.rsplit("\r\n", 1)[-1]
    folded = "\r\n" if len(last) + len(str(address)) + len(name) + 6 > _LINE else ""
    return f"{written}{folded} <{address}>"


def _further(message: OutgoingEmail) -> Iterator[tuple[str, str]]:
    """The caller's headers. Links are left whole; only between two of them (``>, <``) may a line break."""
    for name, value in message.headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS or name.lower().startswith("resent-"):
            raise ValueError("this header must not be given")
        flat = _flat(value)
        if not flat.isascii():
            yield name, _words(name, flat)
            continue
        flat = flat.replace(">, <", ">,\r\n <") if len(flat) > _LINE else flat
        if any(len(line) > _LONGEST_LINE for line in flat.split("\r\n")):
            raise ValueError("a header is too long")
        yield name, flat
