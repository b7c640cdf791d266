"""Mailboxes behind e-mail addresses. Pure."""

from __future__ import annotations

from crm_api.kit.names import fold

_GMAIL = {"gmail.com", "googlemail.com"}
_PLUS = _GMAIL | {"outlook.com", "hotmail.com", "live.com", "icloud.com", "me.com", "fastmail.com", "proton.me",
                  "protonmail.com", "ukr.net"}  # fmt: skip
"""Mail services that deliver name+anything@ to name@."""


def mailbox(address: str) -> str:
    """The mailbox an e-mail is delivered to, where the service is known to ignore dots or what follows a plus."""
    name, _, domain = fold(address).rpartition("@")
    if domain in _PLUS:
        name = name.partition("+")[0]
    if domain in _GMAIL:
        return f"{name.replace('.', '')}@gmail.com"
    return f"{name}@{domain}"


def mailbox_key(address: str) -> str | None:
    """The mailbox, for addresses that can be written in several ways; others are found as they are."""
    return mailbox(address) if fold(address).rpartition("@")[2] in _PLUS else None
