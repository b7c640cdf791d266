"""The payment providers we can listen to, by name."""

from __future__ import annotations

from crm_api.payments.provider import Provider
from crm_api.payments.providers.stripe import StripeProvider

PROVIDERS: dict[str, Provider] = {provider.name: provider for provider in (StripeProvider(),)}
