"""The fault matrix, one fault at a time, against real processes (numbers are rows of `reliability.md` A5)."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import socket
import struct
from collections import Counter
from typing import Any

import httpx
import psutil
import pytest

from crm_api.kit import clock
from tests.support.cluster import Cluster
from tests.support.invariants import Bounds, ClientLog, violations
from tests.support.proxy import Proxy

pytestmark = pytest.mark.fault


def contact(name: str) -> dict[str, Any]:
    return {"given_name": name, "emails": [{"address": f"{name}@example.org"}]}


async def create(client: httpx.AsyncClient, name: str, log: ClientLog | None = None) -> httpx.Response:
    """POST a contact under an Idempotency-Key of its own."""
    answer = await client.post("/v1/contacts", json=contact(name), headers={"Idempotency-Key": name})
    if log is not None:
        log.answered("POST", "/v1/contacts", answer.status_code, answer.headers["content-type"], answer.content)
        if answer.status_code == 201:
            log.created["contacts"].add(answer.json()["id"])
            log.keys[name].add(answer.json()["id"])
    return answer


async def until_created(client: httpx.AsyncClient, name: str, log: ClientLog, trouble: Counter[str]) -> str:
    """Send the same request until it is answered, as a careful client does; the id."""
    deadline = clock.monotonic() + 30
    while True:
        assert clock.monotonic() < deadline, trouble
        try:
            answer = await create(client, name, log)
        except httpx.TransportError as error:
            trouble[type(error).__name__] += 1
        else:
            if answer.status_code == 201:
                found: str = answer.json()["id"]
                return found
            assert answer.status_code in {409, 503}, answer.text
            trouble[str(answer.status_code)] += 1
        await asyncio.sleep(0.05)


async def holds(cluster: Cluster, log: ClientLog | None = None, *, connections: int | None = None) -> None:
    """Every invariant, now."""
    wrong = await violations(
        cluster.database_url, [cluster.organization_id], log=log, bounds=Bounds(), connections=connections
    )
    assert not wrong, "\n".join(wrong)


async def count(cluster: Cluster, prefix: str) -> int:
    """How many contacts of a test there are."""
    (row,) = await cluster.sql("SELECT count(*) FROM contacts WHERE given_name LIKE $1", f"{prefix}%")
    found: int = row[0]
    return found


async def test_1_an_answer_that_is_lost_can_be_asked_for_again(cluster: Cluster) -> None:
    log = ClientLog()
    proxy = await Proxy.before(cluster.base_url)
    proxy.mode = "cut_response"
    try:
        async with httpx.AsyncClient(
            base_url=proxy.instead_of(cluster.base_url), headers=cluster.client.headers, trust_env=False
        ) as through:
            with pytest.raises(httpx.TransportError):
                await create(through, "lost-answer")
    finally:
        await proxy.stop()
    assert proxy.cut == 1
    assert await count(cluster, "lost-answer") == 1
    again = await create(cluster.client, "lost-answer", log)
    assert again.status_code == 201
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await count(cluster, "lost-answer") == 1
    await holds(cluster, log)


async def test_1_the_api_is_killed_between_commit_and_answer(cluster: Cluster, seed: int) -> None:
    """First exactly there (the proxy kills it when the answer is on its way), then at a random moment."""
    log, trouble, chance = ClientLog(), Counter[str](), random.Random(seed)

    async def kill() -> None:
        cluster.api.signal(signal.SIGKILL)

    proxy = await Proxy.before(cluster.base_url)
    proxy.mode, proxy.on_answer = "cut_response", kill
    try:
        async with httpx.AsyncClient(
            base_url=proxy.instead_of(cluster.base_url), headers=cluster.client.headers, trust_env=False
        ) as through:
            with pytest.raises(httpx.TransportError):
                await create(through, "killed-first")
    finally:
        await proxy.stop()
    await until_created(cluster.client, "killed-first", log, trouble)
    names = [f"killed-later-{number}" for number in range(40)]
    sending = [asyncio.create_task(until_created(cluster.client, name, log, trouble)) for name in names]
    await asyncio.sleep(chance.uniform(0.01, 0.15))
    await kill()
    await asyncio.gather(*sending)
    assert await count(cluster, "killed-") == 41, f"seed {seed}"
    assert trouble.keys() - {"409", "503"}, "nobody noticed the killing"
    await holds(cluster, log)


async def test_3_every_connection_to_postgres_is_ended(cluster: Cluster) -> None:
    """The API answers 503 at most for a moment, and is itself again without being restarted."""
    log, trouble = ClientLog(), Counter[str]()
    starts = [child.starts for child in cluster.children]
    sending = [asyncio.create_task(until_created(cluster.client, f"ended-{n}", log, trouble)) for n in range(120)]
    for _ in range(5):
        await asyncio.sleep(0.03)
        await cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'crm_app'")
    await asyncio.gather(*sending)
    assert trouble.keys() <= {"503"}, trouble
    assert (await create(cluster.client, "ended-after", log)).status_code == 201
    assert [child.starts for child in cluster.children] == starts
    assert await count(cluster, "ended-") == 121
    await holds(cluster, log, connections=20)


async def test_3_postgres_is_killed_under_load(cluster: Cluster) -> None:
    log, trouble = ClientLog(), Counter[str]()
    sending = [asyncio.create_task(until_created(cluster.client, f"crash-{n}", log, trouble)) for n in range(60)]
    await asyncio.sleep(0.08)
    await asyncio.to_thread(cluster.embedded.kill_postgres)
    await asyncio.gather(*sending)
    assert trouble.keys() <= {"503"}, trouble
    assert await count(cluster, "crash-") == 60
    await holds(cluster, log, connections=20)


async def test_4_valkey_is_killed_and_flushed(cluster: Cluster) -> None:
    """Writes do not notice, and follow-ups are found by the sweep."""
    import redis.asyncio as redis

    log = ClientLog()
    cluster.embedded.pause_supervision()
    try:
        await asyncio.to_thread(cluster.embedded.kill_valkey)
        began = clock.monotonic()
        donor = (await create(cluster.client, "without-valkey", log)).json()
        answer = await cluster.client.post(
            "/v1/donations",
            json={"contact_id": donor["id"], "amount": {"amount": 2500, "currency": "USD"}, "method": "cash"},
        )
        assert answer.status_code == 201, answer.text
        assert clock.monotonic() - began < 2
        await eventually(lambda: _sent(cluster, donor["id"]), within=10)
    finally:
        cluster.embedded.resume_supervision()
    await cluster.embedded.wait_ready()
    client: redis.Redis = redis.from_url(cluster.embedded.runtime.redis_url or "")  # type: ignore[no-untyped-call]
    await client.flushall()
    await client.aclose()
    assert (await create(cluster.client, "after-flush", log)).status_code == 201
    await holds(cluster, log)


async def _sent(cluster: Cluster, contact_id: str) -> bool:
    rows = await cluster.sql("SELECT state FROM messages WHERE contact_id = $1::uuid", contact_id)
    return [row["state"] for row in rows] == ["sent"]


async def eventually(probe: Any, *, within: float) -> None:
    """Wait until something is so."""
    deadline = clock.monotonic() + within
    while not await probe():
        assert clock.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_15_sigterm_under_load_loses_no_request(cluster: Cluster) -> None:
    """Whatever the API has carried out it has also answered: a request that got no answer was never begun."""
    answered: Counter[int] = Counter()
    unanswered: list[str] = []
    number = 0
    over = asyncio.Event()

    async def sender(client: httpx.AsyncClient) -> None:
        nonlocal number
        while not over.is_set():
            number += 1
            name = f"sigterm-{number}-x"
            try:
                answer = await client.post("/v1/contacts", json=contact(name), headers={"Connection": "close"})
                answered[answer.status_code] += 1
            except httpx.ConnectError:
                await asyncio.sleep(0.02)  # nobody there: not sent at all
            except httpx.TransportError:
                unanswered.append(name)

    async with httpx.AsyncClient(
        base_url=cluster.base_url, headers=cluster.client.headers, trust_env=False, timeout=20
    ) as client:
        senders = [asyncio.create_task(sender(client)) for _ in range(8)]
        for _ in range(2):
            await asyncio.sleep(0.4)
            old = cluster.api.process
            cluster.api.signal(signal.SIGTERM)
            while cluster.api.process is old:
                await asyncio.sleep(0.02)
            assert old is not None
            assert old.returncode in {0, -signal.SIGTERM}, cluster.log_tail(cluster.api)
            await cluster.ready()
        await asyncio.sleep(0.2)
        over.set()
        await asyncio.gather(*senders)
    assert answered.keys() == {201}, answered
    rows = await cluster.sql("SELECT given_name FROM contacts WHERE given_name = ANY($1::text[])", unanswered)
    assert [row[0] for row in rows] == []
    assert await count(cluster, "sigterm-") == answered[201]
    await holds(cluster)


async def test_17_clients_vanish(cluster: Cluster) -> None:
    """200 clients hang up in the middle of their request, or do not wait for the answer."""
    process = psutil.Process(cluster.api.pid)
    await create(cluster.client, "vanish-before")
    files = process.num_fds()
    key = cluster.client.headers["authorization"]
    body = b'{"given_name":"vanish-x"}'
    head = (
        f"POST /v1/contacts HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    host, port = "127.0.0.1", int(cluster.base_url.rpartition(":")[2])

    def vanish(number: int) -> None:
        with socket.create_connection((host, port)) as link:
            if number % 2:  # a reset instead of a good-bye
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            link.sendall((head + body)[: [len(head) // 2, len(head) + 5, len(head) + len(body)][number % 3]])

    await asyncio.gather(*(asyncio.to_thread(vanish, number) for number in range(200)))

    async def calm() -> bool:
        (row,) = await cluster.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'crm-api' AND state <> 'idle'"
        )
        return bool(row[0] == 0 and process.num_fds() <= files + 12)  # the pool may have grown to its size

    await eventually(calm, within=10)
    assert (await create(cluster.client, "vanish-after")).status_code == 201
    await holds(cluster, connections=20)


async def test_16_more_clients_than_connections(cluster: Cluster) -> None:
    """While every connection is taken the answer is 503 with Retry-After; within a second of the release all is well
    again."""
    owner = await _locked(cluster)
    try:
        async with httpx.AsyncClient(
            base_url=cluster.base_url, headers=cluster.client.headers, trust_env=False, timeout=30
        ) as client:
            waiting = [asyncio.create_task(client.post("/v1/contacts", json=contact(f"crowd-{n}"))) for n in range(60)]
            done, _ = await asyncio.wait(waiting, timeout=7)
            refused = [task.result() for task in done]
            assert len(refused) == 50  # the pool has ten
            assert {answer.status_code for answer in refused} == {503}
            assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
            assert {answer.headers["content-type"] for answer in refused} == {"application/problem+json"}
            await owner.close()
            began = clock.monotonic()
            after = [
                asyncio.create_task(client.post("/v1/contacts", json=contact(f"crowd-after-{n}"))) for n in range(10)
            ]
            await asyncio.wait(after, return_when=asyncio.FIRST_COMPLETED)
            assert clock.monotonic() - began < 1
            assert {answer.status_code for answer in await asyncio.gather(*after)} == {201}
            held = await asyncio.gather(*(task for task in waiting if task not in done))
            assert {answer.status_code for answer in held} == {201}
    finally:
        with contextlib.suppress(Exception):
            await owner.close()
    assert await count(cluster, "crowd-") == 20


async def _locked(cluster: Cluster) -> Any:
    """A connection that holds a lock every write of a contact must wait for."""
    import asyncpg

    connection = await asyncpg.connect(cluster.superuser_url)
    await connection.execute("BEGIN; LOCK TABLE contacts IN EXCLUSIVE MODE")
    return connection
