"""The payment providers we can listen to, by name."""

from __future__ import annotations

from crm_api.kit.http import overridden
from crm_api.payments.provider import Provider
from crm_api.payments.providers.stripe import StripeProvider

PROVIDERS: dict[str, Provider] = {provider.name: provider for provider in (StripeProvider(),)}

_SERVICES = {"monobank_personal": "monobank"}
"""Providers that are asked at another one's address."""


def service_of(provider: str, mode: str) -> str:
    """The name in `CRM_SERVICE_URLS` of the service to ask about a connection's payments. A test organization asks
    PayPal's sandbox, unless the settings say where `paypal` is."""
    if provider == "paypal" and mode == "test" and overridden("paypal") is None:
        return "paypal_sandbox"
    return _SERVICES.get(provider, provider)
