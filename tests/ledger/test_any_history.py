"""Random gifts, evidence, re-deliveries, re-allocations, closed periods and workers: the books are never off by one minor
unit, and always what a replay from nothing would make of the gifts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from crm_api.donations.gifts import evidence
from crm_api.donations.gifts.balances import Entry
from crm_api.donations.gifts.service import PaymentFacts, record_gift, settle
from crm_api.donations.ledger import posting
from crm_api.donations.ledger import repository as books
from crm_api.donations.ledger.movements import Books, movements
from crm_api.donations.ledger.periods import service as periods
from crm_api.donations.ledger.periods.schemas import LedgerPeriodClose, LedgerPeriodReopen
from crm_api.donations.ledger.proofs import repository as proofs
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, prepare
from crm_api.kit.problems import Conflict
from tests.ledger.evidence import MOST, START, histories, plain
from tests.ledger.paying import pay
from tests.support.world import World

_GIFTS = prepare(
    text(
        """
        SELECT g.id, g.method, g.connection_id, g.fund_id, g.amount, g.currency, g.is_split,
            ARRAY(SELECT a.fund_id FROM gift_allocations a WHERE a.organization_id = :organization_id AND a.gift_id = g.id
                ORDER BY a.position) AS funds,
            ARRAY(SELECT a.amount FROM gift_allocations a WHERE a.organization_id = :organization_id AND a.gift_id = g.id
                ORDER BY a.position) AS parts
        FROM gifts g WHERE g.organization_id = :organization_id
        """
    )
)
_CLOSED = prepare(
    text(
        "SELECT id FROM ledger_periods WHERE organization_id = :organization_id AND state = 'closed' ORDER BY through LIMIT 1"
    )
)
_JOURNALS = prepare(text("SELECT * FROM ledger_journals WHERE organization_id = :organization_id"))
Balances = Counter[tuple[str, str]]


async def replayed(session: ReadSession) -> Balances:
    """The balance of every account and currency, from nothing but gifts, entries and splits."""
    found: Balances = Counter()
    for gift in await session.fetch(_GIFTS):
        split = tuple(zip(gift["funds"], gift["parts"], strict=True)) or ((gift["fund_id"], gift["amount"]),)
        entries = await evidence.entries_of(session, gift["id"])
        wanted = movements(
            entries,
            Books(gift["method"], gift["connection_id"], split),
            partial(clock.local_date, zone_name=session.tenant.timezone),
        )
        for one in wanted:
            found[one.debit, gift["currency"]] += one.amount
            found[one.credit, gift["currency"]] -= one.amount
    return Counter({key: amount for key, amount in found.items() if amount})


async def standing(session: ReadSession, through: date | None = None) -> Balances:
    """The same from the journals."""
    found: Balances = Counter()
    for row in await session.fetch(_JOURNALS):
        if through is None or row["journal_date"] <= through:
            found[row["debit"], row["currency"]] += row["amount"]
            found[row["credit"], row["currency"]] -= row["amount"]
    return Counter({key: amount for key, amount in found.items() if amount})


class Story:
    """An organization in which anything may happen."""

    def __init__(self, world: World, funds: Sequence[str]) -> None:
        self.world = world
        self.funds = funds
        self.gifts: list[UUID] = []
        self.closed: tuple[date, Balances] | None = None

    async def give(self, entries: list[Entry], currency: str, split: int) -> None:
        """A gift with its first evidence; by hand, and over several funds, where that can be."""
        if split:
            parts = [
                {"fund_id": fund, "percent": one} for fund, one in zip(self.funds, ("33.33", "66.67"), strict=False)
            ]
            made = await self.world.donation(None, split, currency, allocations=parts, received_at=_instant(START))
            self.gifts.append(UUID(made["id"]))
            return
        connection = UUID(await self.world.stripe_connection())
        facts = PaymentFacts(amount=1, currency=currency, method="card", connection_id=connection, provider="stripe")
        async with self.world.database.write(self.world.tenant) as session:
            gift = await record_gift(session, facts, _unique(entries))
            self.gifts.append(gift["id"])

    async def hear(self, number: int, entries: list[Entry]) -> None:
        """More evidence of a gift, some of it known."""
        if not self.gifts:
            return
        async with self.world.database.write(self.world.tenant) as session:
            row = await evidence.lock_gift(session, self.gifts[number % len(self.gifts)])
            await evidence.add_evidence(session, row["id"], _unique(entries))
            await settle(session, row)

    async def reallocate(self, number: int, percent: int) -> None:
        """Another split of a gift."""
        if self.gifts:
            parts = [
                {"fund_id": self.funds[0], "percent": str(percent)},
                {"fund_id": self.funds[2], "percent": str(100 - percent)},
            ]
            path = f"/v1/donations/{self.gifts[number % len(self.gifts)]}"
            await self.world.patch(path, {"allocations": parts})

    async def work(self, number: int) -> None:
        """A worker gets to one gift, or to some of those that are behind."""
        async with self.world.database.write(self.world.tenant) as session:
            if number % 3 and self.gifts:
                await posting.post_gifts(session, [self.gifts[number % len(self.gifts)]])
            else:
                await posting.post_next(session, most=1 + number)

    async def close(self, days: int) -> None:
        """The books are closed; what they say of those days is kept."""
        through = START.date() + timedelta(days=days)
        try:
            async with self.world.database.write(self.world.tenant) as session:
                await periods.close_period(session, LedgerPeriodClose(through=through))
        except Conflict:
            return
        self.closed = through, await standing(self.world.database.read(self.world.tenant), through)

    async def open(self) -> None:
        """No period is closed."""
        async with self.world.database.write(self.world.tenant) as session:
            for row in await session.fetch(_CLOSED):
                await periods.reopen_period(session, row["id"], LedgerPeriodReopen(reason="Another story"))

    async def check(self) -> None:
        """Once the worker has got to everything."""
        async with self.world.database.write(self.world.tenant) as session:
            await posting.post_next(session)
        reading = self.world.database.read(self.world.tenant)
        assert await books.count_unposted(reading) == 0
        assert await standing(reading) == await replayed(reading)
        if self.closed is not None:
            assert await standing(reading, self.closed[0]) == self.closed[1]
        async with self.world.database.write(self.world.tenant) as writing:
            found = await proofs.replay(writing, 5)
        assert (found["differing"], found["named"]) == (0, None)
        assert all(one["posted"] == one["replayed"] for one in found["totals"] or ())


def _unique(entries: list[Entry]) -> list[Entry]:
    return list({entry.key: entry for entry in entries}.values())


def _instant(moment: Any) -> str:
    return str(moment.isoformat().replace("+00:00", "Z"))


number = st.integers(0, 9)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("give"), st.one_of(plain, histories), st.sampled_from(("USD", "JPY", "KWD")), st.sampled_from((0, 0, 1, 7, MOST))),
        st.tuples(st.just("hear"), number, histories),
        st.tuples(st.just("reallocate"), number, st.integers(1, 99)),
        st.tuples(st.just("work"), number),
        st.tuples(st.just("close"), st.integers(-10, 30)),
    ),
    min_size=3,
    max_size=12,
)  # fmt: skip


@given(steps)
@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
async def test_the_books_are_always_a_replay_of_the_gifts(world: World, taken: list[Any]) -> None:
    if not hasattr(world, "funds"):
        made = [await world.post("/v1/funds", {"code": code, "name": code}) for code in "abc"]
        world.funds = [one["id"] for one in made]  # type: ignore[attr-defined]
    story = Story(world, world.funds)  # type: ignore[attr-defined]
    await story.open()
    await story.give([Entry("charge", "charge:pi", START, 1000)], "USD", 0)
    for name, *arguments in taken:
        await getattr(story, name)(*arguments)
    await story.check()


async def test_twenty_workers_post_the_same_gift(world: World) -> None:
    """By itself and in passes over all gifts, at once: what it lacks is posted once."""
    gift = await world.donation(None, 5000)
    await world.post(f"/v1/donations/{gift['id']}/refunds", {"amount": {"amount": 700, "currency": "USD"}})

    async def post(number: int) -> None:
        async with world.database.write(world.tenant) as session:
            if number % 2:
                await posting.post_gifts(session, [UUID(gift["id"])])
            else:
                await posting.post_next(session)

    await asyncio.gather(*(post(number) for number in range(20)))
    rows = await world.database.read(world.tenant).fetch(_JOURNALS)
    assert sorted((row["kind"], row["amount"]) for row in rows) == [("gift", 5000), ("refund", 700)]


async def test_closing_waits_for_whoever_posts(world: World) -> None:
    """Nothing is posted into a period that is closed meanwhile."""
    ids = [UUID((await world.donation(None, 100, received_at=_instant(START)))["id"]) for _ in range(12)]

    async def post(gift_id: UUID) -> None:
        async with world.database.write(world.tenant) as session:
            await posting.post_gifts(session, [gift_id])

    async def close() -> Balances:
        await asyncio.sleep(0.01)
        async with world.database.write(world.tenant) as session:
            await periods.close_period(session, LedgerPeriodClose(through=START.date()))
        return await standing(world.database.read(world.tenant), START.date())

    closed, *_ = await asyncio.gather(close(), *(post(one) for one in ids))
    session = world.database.read(world.tenant)
    assert await standing(session, START.date()) == closed
    assert sum((await standing(session)).values()) == 0
    assert (await standing(session))["received:bank_transfer", "USD"] == 1200


async def test_many_at_once_are_posted_as_each_alone(world: World) -> None:
    """Gifts in pairs alike, one of each pair posted by a replay of its evidence, the other in one statement with all of
    them: every journal is the same, down to a fee of one minor unit, also of a gift of one."""
    currencies = ("USD", "JPY", "KWD")
    alone: list[UUID] = []
    together: list[UUID] = []
    for number in range(60):
        amount, fee = (1, 1) if number % 5 == 0 else (1000 + number, number % 3)
        day, currency = START + timedelta(days=number % 7), currencies[number % 3]
        for name, made in (("alone", alone), ("together", together)):
            made.append(UUID(await pay(world, f"pi_{name}{number}", amount, fee, currency=currency, at=day)))
    async with world.database.write(world.tenant) as session:
        assert await posting.post_gifts(session, alone) == 60 + sum(1 for n in range(60) if n % 5 == 0 or n % 3)
    async with world.database.write(world.tenant) as session:
        assert await posting.post_next(session, most=200) == (60, None)
    members = (
        "kind", "revision", "line", "journal_date", "movement_date", "debit", "credit", "amount", "currency", "fund_id",
    )  # fmt: skip
    found: dict[UUID, list[tuple[Any, ...]]] = {gift_id: [] for gift_id in (*alone, *together)}
    async with world.database.write(world.tenant) as session:
        for row in await session.fetch(_JOURNALS):
            found[row["gift_id"]].append(tuple(row[name] for name in members))
    for one, other in zip(alone, together, strict=True):
        assert sorted(found[one]) == sorted(found[other])
        assert found[one]
