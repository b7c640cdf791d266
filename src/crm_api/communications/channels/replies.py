"""What a mail server's reply means for the letter. Pure: no network here.

Codes are RFC 5321's three digits and RFC 3463's enhanced status. A relay that refuses *us* (credentials, sender,
policy against relaying) is a fault of the settings; only a reply that says the address does not exist suppresses it; a
plain 550 without an enhanced status may be either, so it fails this letter and leaves the address alone.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Literal

from crm_api.communications.channels.channel import OutgoingEmail, SendResult, SendStatus
from crm_api.communications.channels.mime import AddressInvalid, parse_address

Stage = Literal["connect", "greeting", "tls", "auth", "sender", "recipient", "data", "content"]
"""Where in the conversation a reply came; ``content`` is the reply to the finished letter."""

_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})\b")
_NO_SUCH_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
_OUR_FAULT = frozenset({"5.1.7", "5.1.8", "5.5.1", "5.5.2", "5.5.4", "5.7.8", "5.7.9", "5.7.11", "5.7.14"})
_OUR_FAULT_CODES = frozenset({530, 534, 535, 538})
_OUR_STAGES = frozenset({"connect", "greeting", "tls", "auth"})
_MEANINGS: dict[SendStatus, str] = {
    "retry": "The mail server asked to try again later.",
    "failed": "The mail server refused this letter.",
    "bounced": "The mail server says that there is no such address.",
    "unknown": "The letter was handed over but the answer makes no sense.",
    "misconfigured": "The mail server refuses to work for us; check the settings.",
}
_ADDRESS = re.compile(r"\S*@\S*|<[^>]*>|\S+(?:=40|%40)\S+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff\u2028\u2029]+")
_MAX_READ = 1_000
_MAX_DETAIL = 240


def enhanced_status(code: int, text: str) -> str | None:
    """``5.1.1`` out of ``5.1.1 No such user``, if it is there and belongs to the code."""
    found = _ENHANCED.match(text)
    if not found or int(found[1]) != code // 100:
        return None
    return ".".join(str(int(part)) for part in found.groups())


def result_of(stage: Stage, code: int, text: str, message: OutgoingEmail) -> SendResult:
    """What a reply other than the expected one means."""
    enhanced = enhanced_status(code, text)
    status = _status(stage, code, enhanced, text)
    shown = f"{code} {enhanced}" if enhanced else str(code) if 200 <= code <= 599 else "reply_invalid"
    if status == "sent":
        return SendResult("sent", shown)
    said = scrubbed(_ENHANCED.sub("", text, count=1), message)
    detail = f"{_MEANINGS[status]} It said: {said}" if said else _MEANINGS[status]
    return SendResult(status, shown, detail)


def _status(stage: Stage, code: int, enhanced: str | None, text: str) -> SendStatus:
    if stage == "content" and 200 <= code < 300:
        return "sent"
    if not 400 <= code < 600:  # not a refusal, yet not what was asked for
        return "unknown" if stage == "content" else "retry"
    if code < 500:
        return "retry"
    if stage in _OUR_STAGES or code in _OUR_FAULT_CODES or enhanced in _OUR_FAULT:
        return "misconfigured"
    if stage == "sender":  # unless it is about this letter's size, it is about the sender
        return "failed" if code == 552 or enhanced in {"5.2.3", "5.3.4"} else "misconfigured"
    if enhanced in _NO_SUCH_ADDRESS:
        return "bounced"
    if stage == "recipient" and re.search(r"\brelay", text, re.IGNORECASE):
        return "misconfigured"
    return "failed"


def scrubbed(text: str, message: OutgoingEmail) -> str:
    """A server's words without the addresses and names it likes to repeat."""
    words = _CONTROL.sub(" ", text)
    if len(words) > _MAX_READ:  # whole words only: half an address would not be recognised
        words = words[:_MAX_READ].rpartition(" ")[0]
    words = _ADDRESS.sub("…", words)
    local, _, domain = message.to_email.strip().rpartition("@")
    personal = {local, domain, message.to_name.strip(), *message.to_name.split()}
    with suppress(AddressInvalid):
        personal.add(parse_address(message.to_email, "recipient").domain)
    for private in sorted(personal, key=len, reverse=True):
        if len(private) >= 3:
            words = re.sub(re.escape(private), "…", words, flags=re.IGNORECASE)
        elif private:
            words = re.sub(rf"(?<!\w){re.escape(private)}(?!\w)", "…", words, flags=re.IGNORECASE)
    return words.strip()[:_MAX_DETAIL]


def refused_before_sending(error: ValueError) -> SendResult:
    """The result for a letter that cannot even be written down."""
    if isinstance(error, AddressInvalid) and error.whose == "recipient":
        return SendResult("failed", "address_invalid", "The address of the recipient cannot be written to.")
    if isinstance(error, AddressInvalid):
        return SendResult("misconfigured", "sender_invalid", "The address of the sender or for replies is not valid.")
    return SendResult("failed", "message_invalid", "The letter has a header that cannot be sent.")
