"""Anything else that can sign: payments in a body of our own, under the Standard Webhooks signature."""

from __future__ import annotations

from crm_api.payments.providers.generic.provider import GenericCredentials, GenericProvider

__all__ = ["GenericCredentials", "GenericProvider"]
