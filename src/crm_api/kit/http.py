"""Calls to the outside, in one place: short timeouts, no redirects, no proxy variables, base URLs by setting.

httpx is imported when first used, so that a process that never calls out does not pay for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

_DEFAULTS = {"stripe": "https://api.stripe.com", "meta": "https://graph.facebook.com"}
_overrides: dict[str, str] = {}


def configure(service_urls: dict[str, str]) -> None:
    """Point services elsewhere (tests, proxies)."""
    _overrides.clear()
    _overrides.update(service_urls)


def base_url(service: str) -> str:
    """Where an outside service is."""
    return _overrides.get(service) or _DEFAULTS[service]


def client(service: str | None = None) -> httpx.AsyncClient:
    """A client for one conversation; never used inside a database transaction."""
    import httpx

    return httpx.AsyncClient(
        base_url=base_url(service) if service else "",
        timeout=httpx.Timeout(10.0, connect=5.0),
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": "crm-api"},
    )
