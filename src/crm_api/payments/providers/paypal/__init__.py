"""PayPal: REST webhooks of captures, sales, refunds, subscriptions and disputes; orders as checkout pages."""

from __future__ import annotations

from crm_api.payments.providers.paypal.provider import PayPalCredentials, PayPalProvider

__all__ = ["PayPalCredentials", "PayPalProvider"]
