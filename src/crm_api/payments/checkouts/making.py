"""Making a checkout: claim, ask the provider, record. The provider is asked while no transaction is open."""

from __future__ import annotations

from crm_api.idempotency.stages import Stages
from crm_api.kit import http
from crm_api.kit.crypto import Vault
from crm_api.kit.log import get_logger
from crm_api.kit.problems import Conflict, Unavailable
from crm_api.kit.reply import Reply
from crm_api.payments.abilities import CheckoutLink, OffersCheckout, Refused
from crm_api.payments.checkouts import service
from crm_api.payments.checkouts.schemas import CheckoutCreate
from crm_api.payments.checkouts.service import Asked, Claimed
from crm_api.payments.providers import PROVIDERS, service_of

log = get_logger("crm_api.payments")
_RETRY_AFTER = 5


async def make_checkout(stages: Stages, vault: Vault, asked: Asked, body: CheckoutCreate) -> Reply:
    """The page for a payment, made once however often the request is sent with its Idempotency-Key.

    503 when the provider cannot be had: the same request may be sent again. 409 when it refuses.
    """
    async with stages.first() as session:
        claimed = await service.claim(session, vault, asked, body, stages.claim)
    link = None if claimed.done else await _ask(stages, claimed)
    async with stages.next() as session:
        if link is not None:
            await service.open_page(session, claimed, link, body)
            await session.flush()
        checkout = await service.get_checkout(session, claimed.id, own_only=False)
        return stages.answer(session, checkout, f"/v1/donations/checkouts/{claimed.id}")


async def _ask(stages: Stages, claimed: Claimed) -> CheckoutLink:
    import httpx  # a process that never calls out does not pay for it

    connection = claimed.connection
    provider = PROVIDERS[connection.provider]
    assert isinstance(provider, OffersCheckout)
    where = getattr(provider, "checkout_service", None) or service_of(connection.provider, stages.tenant.mode)
    try:
        async with http.client(where) as client:
            return await provider.create_checkout(client, connection.credentials, claimed.order)
    except Refused as refused:
        await _give_back(stages, claimed, refused.code, final=True)
        said = (
            f"{connection.provider} refuses to make this page ({refused.code}); change the payment or the connection."
        )
        raise Conflict(said, code="provider_refused") from None
    except httpx.HTTPError as error:
        log.warning("checkout_not_made", provider=connection.provider, error=type(error).__name__)
        await _give_back(stages, claimed, "provider_away", final=False)
        said = f"{connection.provider} cannot be reached just now. Send the same request again, with its key."
        raise Unavailable(said, retry_after=_RETRY_AFTER) from None


async def _give_back(stages: Stages, claimed: Claimed, reason: str, *, final: bool) -> None:
    async with stages.next() as session:
        await service.give_back(session, claimed.id, reason, final=final)
