"""Beginning a regular gift on PayPal's page: a plan of the Subscriptions API for it, and a subscription that the payer
approves.

A plan needs a product of the catalogue; one of ours is enough for all. Each gift has a plan of its own, because its
amount is the donor's. Our mark goes into ``custom_id``, which comes back with every later charge, so it names the
checkout in words of its own (`mark`): only the first charge is the checkout's (`first_of`).
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson

from crm_api.payments.abilities import CheckoutLink, CheckoutOrder, Refused
from crm_api.payments.outside import OUTSIDE
from crm_api.payments.providers.exact import word
from crm_api.payments.providers.paypal.api import Denied, PayPalApi, issue, page_of
from crm_api.payments.providers.paypal.reading import mark, ours, paypal_id, printed
from crm_api.payments.providers.reading import at, sequence, text

PRODUCT = "CRM-REGULAR-GIFTS"
"""Our product in the account's catalogue: PayPal lets its id be chosen."""
_DAY = 86_400.0
_MADE = (200, 201)


async def subscribe(api: PayPalApi, order: CheckoutOrder) -> CheckoutLink:
    """Make a subscription and its page. The same order of ours gives the same one again."""
    assert order.every is not None
    amount = printed(order.amount)
    if amount is None:
        raise Refused("decimals", f"PayPal takes no such fraction of {order.amount.currency}; give whole units")
    try:
        await OUTSIDE.remembered(f"{api.key}:product", lambda: _product(api), seconds=_DAY)
        plan_id = await _made(api, "/v1/billing/plans", _plan(order, amount), f"plan-{order.id}")
        status, found, _ = await api.call(
            "POST",
            "/v1/billing/subscriptions",
            content=orjson.dumps(_subscription(order, plan_id)),
            request_id=f"subscription-{order.id}",
        )
    except Denied:
        raise Refused("credentials", "PayPal does not accept client_id and client_secret") from None
    name = paypal_id(found.get("id"))
    links = {at(link, "rel"): at(link, "href") for link in sequence(found.get("links"))}
    url = text(links.get("approve"), 2000)
    if status not in _MADE or name is None or url is None:
        raise Refused(issue(found) or f"http_{status}")
    return CheckoutLink(url, (f"subscription:{name}",))


async def _product(api: PayPalApi) -> bool:
    """See to it that the account has our product."""
    said = {"id": PRODUCT, "name": "Regular gifts", "type": "SERVICE"}
    status, found, _ = await api.call(
        "POST", "/v1/catalogs/products", content=orjson.dumps(said), request_id=f"product-{PRODUCT}"
    )
    if status not in _MADE and issue(found) != "duplicate_resource_identifier":
        raise Refused(issue(found) or f"http_{status}")
    return True


async def _made(api: PayPalApi, path: str, said: dict[str, Any], request_id: str) -> str:
    status, found, _ = await api.call("POST", path, content=orjson.dumps(said), request_id=request_id)
    name = paypal_id(found.get("id"))
    if status not in _MADE or name is None:
        raise Refused(issue(found) or f"http_{status}")
    return name


def _plan(order: CheckoutOrder, amount: dict[str, str]) -> dict[str, Any]:
    """The terms: so much each time, until somebody ends it. What could not be charged is not made up for."""
    return {
        "product_id": PRODUCT,
        "name": order.description[:127],
        "status": "ACTIVE",
        "billing_cycles": [
            {
                "frequency": {"interval_unit": str(order.every).upper(), "interval_count": 1},
                "tenure_type": "REGULAR",
                "sequence": 1,
                "total_cycles": 0,
                "pricing_scheme": {"fixed_price": amount},
            }
        ],
        "payment_preferences": {"auto_bill_outstanding": False, "payment_failure_threshold": 3},
    }


def _subscription(order: CheckoutOrder, plan_id: str) -> dict[str, Any]:
    said: dict[str, Any] = {
        "plan_id": plan_id,
        "custom_id": mark(order.id, order.metadata, plan=True),
        "application_context": page_of(order, "SUBSCRIBE_NOW"),
    }
    if order.email:
        said["subscriber"] = {"email_address": order.email}
    return said


def first_of(subscription: dict[str, Any]) -> str | None:
    """The checkout that began a subscription, as long as not more than its first payment has come; nothing where it is
    not ours, or older."""
    checkout = ours(subscription.get("custom_id")).plan_checkout_id
    done = [
        at(one, "cycles_completed")
        for one in sequence(at(subscription, "billing_info", "cycle_executions"))
        if word(at(one, "tenure_type")) == "regular"
    ]
    counted = bool(done) and all(isinstance(one, int) for one in done) and sum(done) <= 1
    return str(UUID(checkout)) if checkout and counted else None
