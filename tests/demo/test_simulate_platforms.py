"""`crm-api simulate` for PayPal, donation platforms and the generic source."""

from __future__ import annotations

import asyncio

import pytest

from crm_api.simulate import SimulationTrouble, run_simulation
from tests.demo.conftest import Served

PROVIDERS = {
    "donorbox": "donation.new",
    "gofundme_pro": "transaction.created",
    "givebutter": "transaction.succeeded",
    "generic": "payment.succeeded",
}
NOTHING = {"base_url": "", "api_key": "", "connection": "", "secret": "", "seed": "s1"}


async def test_every_platform_can_be_tried_without_an_account_and_paypal_says_what_to_do(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    for provider, event in PROVIDERS.items():
        await asyncio.to_thread(run_simulation, provider, event, data_dir=served.data_dir, **NOTHING)
        shown = capsys.readouterr().out
        assert "202 accepted" in shown, shown
        assert ", succeeded" in shown, shown
        assert "go on:" in shown, shown
    gifts = (await served.world.get("/v1/donations"))["data"]
    assert {gift["provider"] for gift in gifts} == set(PROVIDERS)
    with pytest.raises(SimulationTrouble, match="Connect a sandbox app"):
        await asyncio.to_thread(
            run_simulation, "paypal", "PAYMENT.CAPTURE.COMPLETED", data_dir=served.data_dir, **NOTHING
        )
