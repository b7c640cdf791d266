"""Stripe: webhooks of a charity's own Stripe account, and read-only look-ups over its REST API."""

from __future__ import annotations

from crm_api.payments.providers.stripe.provider import StripeCredentials, StripeProvider

__all__ = ["StripeCredentials", "StripeProvider"]
