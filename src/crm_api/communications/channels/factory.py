"""Chooses the channel from one address, the way the settings give it."""

from __future__ import annotations

import ssl
from urllib.parse import unquote, urlsplit

from crm_api.communications.channels.channel import Channel

_SMTP = {"smtp": ("none", 25), "smtp+starttls": ("starttls", 587), "smtps": ("tls", 465)}


def make_channel(
    url: str,
    *,
    timeout: float = 30.0,
    content_timeout: float = 120.0,
    local_hostname: str | None = None,
    tls_context: ssl.SSLContext | None = None,
) -> Channel:
    """The channel for an address; `ValueError`, without the password in it, if the address makes no sense.

    ``smtps://user:password@host[:465]`` TLS from the start, ``smtp+starttls://…[:587]`` TLS or nothing,
    ``smtp://…[:25]`` no TLS (for a relay on the same machine or network), ``file:///folder`` one file per letter.
    User names and passwords are percent-encoded.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("the mail address (URL) cannot be read") from None
    if parts.query or parts.fragment:
        raise ValueError("the mail address (URL) takes no ? or #; percent-encode them in a password")
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path.strip("/"):
            raise ValueError("a folder for letters is written file:///folder")
        from crm_api.communications.channels.eml import EmlChannel

        return EmlChannel(unquote(parts.path))
    if parts.scheme not in _SMTP:
        raise ValueError("a mail address (URL) starts with smtp://, smtp+starttls://, smtps:// or file:///")
    if not parts.hostname or parts.path.strip("/"):
        raise ValueError("the mail address (URL) needs a host and nothing after it")
    from crm_api.communications.channels.smtp import SmtpChannel, SmtpSettings, TlsMode

    modes: dict[str, TlsMode] = {"none": "none", "starttls": "starttls", "tls": "tls"}
    mode, default_port = _SMTP[parts.scheme]
    return SmtpChannel(
        SmtpSettings(
            host=parts.hostname,
            port=port or default_port,
            tls=modes[mode],
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            timeout=timeout,
            content_timeout=content_timeout,
            local_hostname=local_hostname,
            tls_context=tls_context,
        )
    )
