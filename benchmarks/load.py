"""The load generator: one process of its own, plain sockets, as little work per request as Python allows.

Each connection sends its next request when the answer to the last one is complete (a closed loop), so latency and
throughput are two sides of one measurement. It costs 15 to 25 µs of processor time per request, which `report` shows:
on a machine of few cores the generator, the servers and Postgres share them, for every application alike.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from benchmarks.cases import MAKERS, REPEATABLE, Target
from benchmarks.plan import Plan


@dataclass(frozen=True, slots=True)
class Order:
    """What to send."""

    case: str
    target: Target
    plan: Plan
    seed: int
    connections: int
    seconds: float
    prepare: int
    """How many requests to have ready."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back."""

    requests: int
    seconds: float
    latencies_ms: array[float]
    failures: int
    answer_bytes: int
    """Of the first answer's body."""
    ran_out: bool
    """Every prepared request was used before the time was up."""


class _Supply:
    """Requests for all connections of a measurement."""

    def __init__(self, requests: list[bytes], *, repeat: bool) -> None:
        self._requests, self._repeat = requests, repeat
        self._next = iter(requests)
        self.ran_out = False

    def take(self) -> bytes | None:
        """The next request."""
        found = next(self._next, None)
        if found is None:
            if not self._repeat:
                self.ran_out = True
                return None
            self._next = iter(self._requests)
            found = next(self._next)
        return found


class _Client(asyncio.Protocol):
    def __init__(self, supply: _Supply, until: float, latencies: array[float], finished: asyncio.Future[None]) -> None:
        self._supply, self._until, self._latencies, self._finished = supply, until, latencies, finished
        self._buffer = b""
        self._missing = 0
        self._sent = 0.0
        self.failures = 0
        self.first_body = -1
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._finished.done():
            self.failures += 1
            self._finished.set_result(None)

    def _send(self) -> None:
        request = self._supply.take() if time.perf_counter() < self._until else None
        if request is None:
            if not self._finished.done():
                self._finished.set_result(None)
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            if self._buffer:
                data = self._buffer + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            self._buffer = b""
            if data[9:10] != b"2":
                self.failures += 1
            length = _content_length(data, end)
            if self.first_body < 0:
                self.first_body = length
            self._missing = end + 4 + length - len(data)
        if self._missing <= 0:
            self._latencies.append((time.perf_counter() - self._sent) * 1000)
            self._missing = 0
            self._send()


def _content_length(data: bytes, end: int) -> int:
    at = data.find(b"content-length: ", 0, end)
    if at < 0:
        raise ValueError("an answer without Content-Length")
    return int(data[at + 16 : data.index(b"\r\n", at)])


async def _run(order: Order) -> Outcome:
    requests = MAKERS[order.case](order.target, order.plan, order.seed, order.prepare)
    supply = _Supply(requests, repeat=order.case in REPEATABLE)
    loop = asyncio.get_running_loop()
    latencies: array[float] = array("d")
    began = time.perf_counter()
    clients: list[_Client] = []
    waiting: list[asyncio.Future[None]] = []
    for _ in range(order.connections):
        finished: asyncio.Future[None] = loop.create_future()
        client = _Client(supply, began + order.seconds, latencies, finished)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", order.target.port)  # type: ignore[misc]
        clients.append(client)
        waiting.append(finished)
    await asyncio.gather(*waiting)
    return Outcome(
        requests=len(latencies),
        seconds=time.perf_counter() - began,
        latencies_ms=latencies,
        failures=sum(client.failures for client in clients),
        answer_bytes=max(client.first_body for client in clients),
        ran_out=supply.ran_out,
    )


def _serve(pipe: Connection[Outcome | Exception, Order | None]) -> None:
    while (order := pipe.recv()) is not None:
        try:
            pipe.send(uvloop.run(_run(order)))
        except Exception as error:
            pipe.send(error)


class Generator:
    """The generator's process, as the run sees it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        """For accounting its processor time."""
        assert self._process.pid is not None
        return self._process.pid

    def run(self, order: Order) -> Outcome:
        """Carry out one measurement."""
        self._pipe.send(order)
        outcome = self._pipe.recv()
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, Outcome)
        return outcome

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join(5)

    def __enter__(self) -> Generator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def percentile(values: Iterator[float] | list[float] | array[float], part: float) -> float:
    """The value below which that part of the values lies; 0 of none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else 0.0
