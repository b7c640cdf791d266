"""Workers that are killed at every step of a charge, a bank that answers, declines, or keeps silent before and after it
has charged: never two successful charges for one period, and in the end every hryvnia taken is a gift of its plan."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from crm_api.kit.clock import rfc3339
from crm_api.payments.abilities import ChargeResult, OutcomeUnknown, TokenCharge
from crm_api.payments.providers import PROVIDERS
from crm_api.payments.providers.monobank import MonobankProvider
from tests.recurring.stories import attempts, card_plan, gifts, promises_worker, shown
from tests.support.gateways import ACCOUNTS, FakeGateway, deliver
from tests.support.world import World

FIRST = datetime(2026, 1, 31, 10, tzinfo=UTC)
MODES = (
    "success",
    "success",
    "decline",
    "pending",
    "silent_charged",
    "silent_lost",
    "down",
    "killed_before",
    "killed_after",
)
POINTS = ("before", "uncommitted", "committed")


class Bank(MonobankProvider):
    """Monobank with its charges in memory. It charges what it is asked to, as often as it is asked to."""

    def __init__(self) -> None:
        self.mode = "success"
        self.now = FIRST
        self.made: dict[str, dict[str, Any]] = {}
        """Invoices by our reference; one reference twice is two charges and fails the test."""
        self.numbers = itertools.count()
        self.reachable = True

    def _make(self, charge: TokenCharge, status: str) -> ChargeResult:
        assert charge.key not in self.made, "the same attempt was sent twice"
        times = {"createdDate": rfc3339(self.now), "modifiedDate": rfc3339(self.now)}
        amount = {"amount": charge.amount.amount, "ccy": 980, "reference": charge.key}
        self.made[charge.key] = {"invoiceId": f"inv{next(self.numbers)}", "status": status, **amount, **times}
        return self.result(charge.key)

    def result(self, key: str) -> ChargeResult:
        """What became of a charge."""
        invoice = self.made[key]
        states: Any = {"success": "succeeded", "failure": "failed", "processing": "pending"}
        state = states[invoice["status"]]
        declined: Any = "insufficient_funds" if state == "failed" else None
        return ChargeResult(state, invoice["invoiceId"], declined, meaning=self.interpret(invoice))

    async def charge_token(self, client: Any, account: Any, charge: TokenCharge) -> ChargeResult:
        mode = self.mode
        if mode == "down":
            raise httpx.ConnectError("nobody home")
        if mode == "killed_before":
            raise asyncio.CancelledError
        if mode == "silent_lost":
            raise OutcomeUnknown
        status = {"decline": "failure", "pending": "processing"}.get(mode, "success")
        result = self._make(charge, status)
        if mode == "silent_charged":
            raise OutcomeUnknown
        if mode == "killed_after":
            raise asyncio.CancelledError
        return result

    async def find_charge(self, client: Any, account: Any, charge: TokenCharge, ref: str | None) -> ChargeResult | None:
        if not self.reachable:
            raise httpx.ConnectError("nobody home")
        return self.result(charge.key) if charge.key in self.made else None

    def taken(self) -> list[str]:
        """References of the charges that brought money."""
        return [key for key, invoice in self.made.items() if invoice["status"] == "success"]


class Charity:
    """The world with a worker that can be killed."""

    def __init__(self, world: World, bank: Bank) -> None:
        self.world, self.bank = world, bank
        self.now = FIRST
        self.plan_id = ""
        self.armed: tuple[str, int] | None = None
        """(where, in which transaction from now on)"""

    async def begin(self) -> None:
        """A new plan, at the beginning of time."""
        self.now, self.armed = FIRST, None
        self.bank.mode, self.bank.reachable = "success", True
        self.bank.made.clear()
        await self.move(timedelta(0))
        who = await self.world.contact(emails=[])
        self.plan_id = (await card_plan(self.world, who["id"]))["id"]

    async def move(self, step: timedelta) -> None:
        """Move the clock."""
        self.now = self.bank.now = self.now + step
        await self.world.set_clock(self.now)

    async def work(self) -> None:
        """Let a worker do what is due, unless it is killed on the way; then its leases end, as they do."""
        worker = promises_worker(self.world)
        original = worker.runner.write

        @asynccontextmanager
        async def write(tenant: Any) -> AsyncIterator[Any]:
            where = ""
            if self.armed is not None:
                where, left = self.armed
                self.armed = (where, left - 1) if left else None
                where = "" if left else where
            if where == "before":
                raise asyncio.CancelledError
            async with original(tenant) as session:
                yield session
                if where == "uncommitted":
                    raise asyncio.CancelledError
            if where == "committed":
                raise asyncio.CancelledError

        worker.runner.write = write  # type: ignore[method-assign]
        while await worker._tend(self.world.id, ensure=False):
            pass
        self.armed = None
        await worker.runner.stop(0)

    async def tell(self) -> None:
        """The bank sends the event of every charge it has made, once more."""
        account, connection = ACCOUNTS["monobank"], self.world.connections["monobank"]
        for invoice in list(self.bank.made.values()):
            sent = MonobankProvider().signed(invoice, account, now=self.now)
            await deliver(self.world, "monobank", connection, sent)

    async def check(self) -> None:
        """Never two charges that brought money for one period."""
        known = {one["id"]: one["period_id"] for one in await attempts(self.world, self.plan_id)}
        assert self.bank.made.keys() <= known.keys(), "a charge nobody had begun"
        counted = Counter(known[key] for key in self.bank.taken())
        assert max(counted.values(), default=0) <= 1, counted

    async def end(self) -> None:
        """The bank is well again and time passes: everything that was taken is a gift, and its period is paid."""
        self.bank.mode, self.bank.reachable = "success", True
        for invoice in self.bank.made.values():
            if invoice["status"] == "processing":
                invoice["status"] = "success"
        for _ in range(4):
            await self.move(timedelta(days=2))
            await self.work()
        await self.check()
        taken = {self.bank.made[key]["invoiceId"] for key in self.bank.taken()}
        found = await gifts(self.world, self.plan_id)
        paid = {one["provider_payment_id"] for one in found if one["status"] == "succeeded"}
        assert paid == taken
        page = await self.world.get("/v1/recurring-periods", params={"plan_id": self.plan_id, "limit": 200})
        assert sum(one["state"] == "paid" for one in page["data"]) == len(taken)
        assert not [one for one in page["data"] if one["state"] in {"charging", "unknown", "due"}]
        known = await shown(self.world, self.plan_id)
        if known["status"] not in {"canceled", "completed"}:
            await self.world.post(f"/v1/recurring-plans/{self.plan_id}/cancel", {"reason": "Кінець"}, expect=200)
        await self.work()


def machine(charity: Charity, loop: asyncio.AbstractEventLoop) -> type[RuleBasedStateMachine]:
    """What can happen, in whatever order."""

    def do(doing: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(doing, loop).result(60)

    class Machine(RuleBasedStateMachine):
        charged_when_paused: int | None = None

        @initialize()
        def begin(self) -> None:
            do(charity.begin())

        @rule(mode=st.sampled_from(MODES), days=st.sampled_from([0, 1, 3, 7, 31]), hours=st.sampled_from([0, 1, 7]))
        def time_passes(self, mode: str, days: int, hours: int) -> None:
            charity.bank.mode = mode
            do(charity.move(timedelta(days=days, hours=hours, minutes=11)))
            do(charity.work())

        @rule(where=st.sampled_from(POINTS), left=st.integers(0, 8), mode=st.sampled_from(MODES[:5]))
        def a_worker_is_killed(self, where: str, left: int, mode: str) -> None:
            charity.armed = (where, left)
            charity.bank.mode = mode
            do(charity.move(timedelta(days=4)))
            do(charity.work())

        @rule(reachable=st.booleans())
        def the_bank_can_be_asked(self, reachable: bool) -> None:
            charity.bank.reachable = reachable

        @rule()
        def events_come(self) -> None:
            do(charity.tell())
            do(charity.work())

        @rule()
        def paused_or_resumed(self) -> None:
            verb = "pause" if self.charged_when_paused is None else "resume"
            known = do(shown(charity.world, charity.plan_id))
            if (verb == "pause") == (known["status"] in {"active", "past_due"}) and known["status"] != "canceled":
                path = f"/v1/recurring-plans/{charity.plan_id}/{verb}"
                do(charity.world.post(path, {"reason": "Просила"}, expect=200))
                self.charged_when_paused = len(charity.bank.made) if verb == "pause" else None

        @invariant()
        def nothing_twice(self) -> None:
            if charity.plan_id:
                do(charity.check())
                if self.charged_when_paused is not None:
                    assert len(charity.bank.made) == self.charged_when_paused

        def teardown(self) -> None:
            do(charity.end())

    return Machine


async def test_never_two_charges_for_one_period(
    fund: World, bank: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = Bank()
    monkeypatch.setitem(PROVIDERS, "monobank", double)
    charity = Charity(fund, double)
    limits = settings(
        max_examples=5, stateful_step_count=8, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    made = machine(charity, asyncio.get_running_loop())
    await asyncio.to_thread(run_state_machine_as_test, made, settings=limits)
