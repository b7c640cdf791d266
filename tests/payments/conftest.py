"""An organization whose payments can be asked for at Stripe."""

from __future__ import annotations

import pytest

from tests.conftest import MakeWorld
from tests.support.fake_stripe import API_KEY, FakeStripe
from tests.support.world import STRIPE_SECRET, World


@pytest.fixture
async def books(make_world: MakeWorld, stripe: FakeStripe) -> World:
    """It looks payments up at once, and asks again at once."""
    world = await make_world(service_urls={"stripe": stripe.url}, job_retry_base_seconds=0.001)
    await world.stripe_connection(STRIPE_SECRET, api_key=API_KEY)
    return world
