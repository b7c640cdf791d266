"""`crm-api simulate` for the providers beside Stripe."""

from __future__ import annotations

import asyncio

import pytest

from crm_api.simulate import run_simulation
from tests.demo.conftest import Served

PROVIDERS = {
    "monobank": "invoice.success",
    "monobank_personal": "StatementItem",
    "liqpay": "pay.success",
    "wayforpay": "Approved",
    "fondy": "approved",
}


async def test_every_gateway_can_be_tried_without_an_account(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = {"base_url": "", "api_key": "", "connection": "", "secret": "", "seed": "s1"}
    for provider, event in PROVIDERS.items():
        await asyncio.to_thread(run_simulation, provider, event, data_dir=served.data_dir, **nothing)
        shown = capsys.readouterr().out
        assert "200 accepted" in shown, shown
        assert ", succeeded" in shown, shown
    gifts = (await served.world.get("/v1/donations"))["data"]
    assert {gift["provider"] for gift in gifts} == set(PROVIDERS)
