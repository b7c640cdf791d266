"""The payment providers we can listen to, by name."""

from __future__ import annotations

from crm_api.kit.http import overridden
from crm_api.payments.provider import Provider
from crm_api.payments.providers.donorbox import DonorboxProvider
from crm_api.payments.providers.fondy import FondyProvider
from crm_api.payments.providers.generic import GenericProvider
from crm_api.payments.providers.givebutter import GivebutterProvider
from crm_api.payments.providers.gofundme_pro import GoFundMeProProvider
from crm_api.payments.providers.liqpay import LiqpayProvider
from crm_api.payments.providers.monobank import MonobankProvider
from crm_api.payments.providers.monobank_personal import MonobankPersonalProvider
from crm_api.payments.providers.paypal import PayPalProvider
from crm_api.payments.providers.stripe import StripeProvider
from crm_api.payments.providers.wayforpay import WayforpayProvider

STRIPE = StripeProvider()
_ALL: tuple[Provider, ...] = (
    STRIPE,
    PayPalProvider(),
    MonobankProvider(),
    MonobankPersonalProvider(),
    LiqpayProvider(),
    WayforpayProvider(),
    FondyProvider(),
    DonorboxProvider(),
    GoFundMeProProvider(),
    GivebutterProvider(),
    GenericProvider(),
)
PROVIDERS: dict[str, Provider] = {provider.name: provider for provider in _ALL}

_SERVICES = {"monobank_personal": "monobank"}
"""Providers that are asked at another one's address."""


def service_of(provider: str, mode: str) -> str:
    """The name in `CRM_SERVICE_URLS` of the service to ask about a connection's payments. A test organization asks
    PayPal's sandbox, unless the settings say where `paypal` is."""
    if provider == "paypal" and mode == "test" and overridden("paypal") is None:
        return "paypal_sandbox"
    return _SERVICES.get(provider, provider)
