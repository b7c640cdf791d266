"""The main job in a storm: 500 webhooks while everything under them is killed, flushed and restarted."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio as redis

from crm_api.kit import clock
from crm_api.payments.providers import PROVIDERS, STRIPE
from tests.support.cluster import Cluster, running_cluster, stripe_connection
from tests.support.invariants import Bounds, ClientLog, violations
from tests.support.world import STRIPE_SECRET

pytestmark = pytest.mark.fault
PAYMENTS = 500
SENDERS = 12


def events_of(chance: random.Random) -> list[bytes]:
    """500 payments of 500 donors; some events come twice, some payments tell themselves by two events."""
    stripe, now = PROVIDERS["stripe"], datetime.now(UTC)
    bodies: list[bytes] = []
    for number in range(PAYMENTS):
        seed = f"storm-{number}"
        kinds = ["payment_intent.succeeded", "charge.succeeded"]
        chance.shuffle(kinds)
        told = kinds if chance.random() < 0.1 else kinds[:1]
        for kind in told:
            event = stripe.sample(kind, now=now, seed=seed)
            obj = event["data"]["object"]
            if kind == "charge.succeeded":
                obj["billing_details"]["email"] = f"donor{number}@example.org"
            else:
                obj["receipt_email"] = f"donor{number}@example.org"
            bodies.append(json.dumps(event, ensure_ascii=False).encode())
    bodies += chance.sample(bodies, 50)
    chance.shuffle(bodies)
    return bodies


class Provider:
    """Delivers events the way a payment provider does: again and again until it is answered with 2xx."""

    def __init__(self, cluster: Cluster, connection: str, log: ClientLog) -> None:
        self.path = f"/v1/payments/webhooks/stripe/{connection}"
        self.log = log
        self.delivered = 0
        self.trouble: Counter[str] = Counter()
        self._client = httpx.AsyncClient(base_url=cluster.base_url, trust_env=False, timeout=10)

    async def deliver_all(self, bodies: list[bytes]) -> None:
        """Deliver everything, several at a time."""
        left = iter(bodies)

        async def send() -> None:
            for body in left:
                await self._deliver(body)

        await asyncio.gather(*(send() for _ in range(SENDERS)))
        await self._client.aclose()

    async def _deliver(self, body: bytes) -> None:
        delay = 0.05
        while True:
            headers = STRIPE.sign(body, secret=STRIPE_SECRET, now=datetime.now(UTC))
            try:
                answer = await self._client.post(self.path, content=body, headers=headers)
            except httpx.TransportError as error:
                self.trouble[type(error).__name__] += 1
            else:
                kind = answer.headers.get("content-type", "")
                self.log.answered("POST", self.path, answer.status_code, kind, answer.content)
                if answer.status_code < 300:
                    break
                assert answer.status_code == 503, answer.text
                assert answer.headers["retry-after"]
                self.trouble["503"] += 1
            await asyncio.sleep(delay)
            delay = min(delay * 1.6, 0.5)
        self.log.events.add(json.loads(body)["id"])
        self.delivered += 1


class Storm:
    """A seeded schedule of faults, each struck when so many events have been delivered."""

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self.cluster = cluster
        self.chance = chance
        self.history: list[str] = []
        self.began = clock.monotonic()
        blows: list[Callable[[], Awaitable[None]]] = [
            *[self.kill_worker] * 5,
            *[self.flush_valkey] * 2,
            self.kill_valkey,
            self.restart_valkey,
            self.end_api,
            self.kill_api,
            self.kill_postgres,
        ]
        chance.shuffle(blows)
        self.plan = sorted(chance.uniform(0.03, 0.97) for _ in blows), blows

    def note(self, words: str) -> None:
        self.history.append(f"{clock.monotonic() - self.began:6.2f} s  {words}")

    async def rage(self, provider: Provider, total: int) -> None:
        """Strike at the planned points; then, while the rest is worked off, a last blow at the worker."""
        for share, blow in zip(*self.plan, strict=True):
            while provider.delivered < share * total:
                await asyncio.sleep(0.005)
            self.note(f"{blow.__name__} at {provider.delivered} of {total}")
            await blow()

    async def kill_worker(self) -> None:
        self.chance.choice(self.cluster.workers).signal(signal.SIGKILL)

    async def end_api(self) -> None:
        self.cluster.api.signal(signal.SIGTERM)

    async def kill_api(self) -> None:
        self.cluster.api.signal(signal.SIGKILL)

    async def flush_valkey(self) -> None:
        client: redis.Redis = redis.from_url(self.cluster.embedded.runtime.redis_url or "")  # type: ignore[no-untyped-call]
        try:
            await client.flushall()
        except redis.ConnectionError:
            self.note("(Valkey was away already)")
        finally:
            await client.aclose()

    async def kill_valkey(self) -> None:
        await asyncio.to_thread(self.cluster.embedded.kill_valkey)

    async def restart_valkey(self) -> None:
        await self.cluster.embedded.restart_valkey()

    async def kill_postgres(self) -> None:
        await asyncio.to_thread(self.cluster.embedded.kill_postgres)


async def settled(cluster: Cluster, seconds: float) -> dict[str, int]:
    """Wait until nothing is due, running or waiting any more; the number of jobs by state."""
    deadline = clock.monotonic() + seconds
    while True:
        rows = await cluster.sql("SELECT state, count(*) AS n FROM jobs GROUP BY 1")
        states = {row["state"]: row["n"] for row in rows}
        if not states.keys() & {"due", "running", "waiting"}:
            return states
        assert clock.monotonic() < deadline, f"work is left after {seconds} s: {states}"
        await asyncio.sleep(0.2)


def letters(folder: Path) -> list[Any]:
    """Every letter."""
    return [email.message_from_bytes(p.read_bytes(), policy=email.policy.default) for p in folder.glob("*.eml")]


async def test_nothing_is_lost_or_doubled(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    log = ClientLog()
    bodies = events_of(chance)
    async with running_cluster(folder) as cluster:
        provider = Provider(cluster, await stripe_connection(cluster), log)
        storm = Storm(cluster, chance)
        try:
            await asyncio.gather(provider.deliver_all(bodies), storm.rage(provider, len(bodies)))
            storm.note("everything is delivered")
            await storm.kill_worker()
            states = await settled(cluster, 120)
            storm.note(f"everything is settled: {states}")
            await check(cluster, log, states)
        except BaseException:
            for child in cluster.children:
                print(f"--- {child.name} ---\n{cluster.log_tail(child)}")
            raise
        finally:
            print(f"seed {seed}; {dict(provider.trouble)}; worker starts {[w.starts for w in cluster.workers]}")
            print("\n".join(storm.history))


async def check(cluster: Cluster, log: ClientLog, states: dict[str, int]) -> None:
    """500 gifts, 500 welcomes, nothing else, and every invariant."""
    assert states.keys() == {"done"}, states
    counts = {
        "gifts": "gifts",
        "paid": "gifts WHERE status = 'succeeded'",
        "contacts": "contacts",
        "messages": "messages",
        "sent": "messages WHERE state = 'sent'",
        "events": "provider_events",
        "donors": "donor_summaries WHERE gift_count = 1",
    }
    (row,) = await cluster.sql(f"SELECT {', '.join(f'(SELECT count(*) FROM {t}) AS {n}' for n, t in counts.items())}")
    assert dict(row) == {
        **dict.fromkeys(("gifts", "paid", "contacts", "sent", "messages", "donors"), PAYMENTS),
        "events": len(log.events),
    }
    found = letters(cluster.mail)
    assert Counter(letter["X-CRM-Letter"] for letter in found) == {"welcome": PAYMENTS}
    assert {letter["To"].addresses[0].addr_spec for letter in found} == {
        f"donor{number}@example.org" for number in range(PAYMENTS)
    }
    assert len({letter["Content-Language"] for letter in found}) >= 4
    wrong = await violations(
        cluster.database_url,
        [cluster.organization_id],
        log=log,
        bounds=Bounds(quiet=True),
        mail=cluster.mail,
        connections=20,
    )
    assert not wrong, "\n".join(wrong)
