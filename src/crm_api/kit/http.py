"""Calls to the outside, in one place: short timeouts, no redirects, no proxy variables, base URLs by setting.

httpx is imported when first used, so that a process that never calls out does not pay for it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    import httpx

_DEFAULTS = {
    "stripe": "https://api.stripe.com",
    "meta": "https://graph.facebook.com",
    "paypal": "https://api-m.paypal.com",
    "paypal_sandbox": "https://api-m.sandbox.paypal.com",
    "monobank": "https://api.monobank.ua",
    "liqpay": "https://www.liqpay.ua",
    "wayforpay": "https://api.wayforpay.com",
    "wayforpay_pay": "https://secure.wayforpay.com",
    "fondy": "https://pay.fondy.eu",
    "donorbox": "https://donorbox.org",
    "gofundme_pro": "https://api.classy.org",
    "givebutter": "https://api.givebutter.com",
}
_overrides: dict[str, str] = {}
_trusted: dict[str, str] = {}


def configure(service_urls: dict[str, str], *, paypal_ca_file: str = "") -> None:
    """Point services elsewhere (tests, proxies), and name whose certificates are trusted beside the world's."""
    _overrides.clear()
    _overrides.update(service_urls)
    _trusted.clear()
    _trusted.update({"paypal_certs": paypal_ca_file} if paypal_ca_file else {})


def trusted(service: str) -> str | None:
    """The file of certificates to trust for what a service signs, if the settings name one; else the world's roots."""
    return _trusted.get(service)


def base_url(service: str) -> str:
    """Where an outside service is."""
    return _overrides.get(service) or _DEFAULTS[service]


def overridden(service: str) -> str | None:
    """Where the settings point a service to, if they do."""
    return _overrides.get(service)


@cache
def _certificates() -> ssl.SSLContext:
    """The world's roots, read once: reading them takes longer than many a call, and holds everything else up."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


def client(service: str | None = None, default: str | None = None) -> httpx.AsyncClient:
    """A client for one conversation; never used inside a database transaction. `default` is the address of a service
    that has none of its own here."""
    import httpx

    return httpx.AsyncClient(
        base_url=(_overrides.get(service) or default or _DEFAULTS[service]) if service else "",
        timeout=httpx.Timeout(10.0, connect=5.0),
        follow_redirects=False,
        trust_env=False,
        verify=_certificates(),
        headers={"User-Agent": "crm-api"},
    )
