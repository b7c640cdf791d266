"""Interleaved rounds: within a round every application takes its turn, in changing order, so that whatever else the
machine does meets them all."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks import cpu
from benchmarks.cases import REPEATABLE, Target
from benchmarks.load import Generator, Order, percentile
from benchmarks.pgbench import Bare, PgBench
from benchmarks.plan import Plan
from benchmarks.servers import Process
from benchmarks.stage import Stage


@dataclass(frozen=True, slots=True)
class Measurement:
    """One case of one application with one number of connections, once."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    server_ms: float
    """Processor time of the server's processes per request."""
    postgres_ms: float
    client_ms: float
    answer_bytes: int
    failures: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians over the rounds."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    server_ms: float
    postgres_ms: float
    client_ms: float
    answer_bytes: int
    failures: int
    spread: float
    """Slowest to fastest round, as a part of the median: how noisy the machine was."""


Key = tuple[str, str, int]
"""Case, application, connections."""


@dataclass
class Meter:
    """Measures one thing at a time."""

    stage: Stage
    plan: Plan
    generator: Generator
    servers: dict[str, Process]
    pgbench: PgBench | None = None
    found: dict[Key, list[Measurement]] = field(default_factory=dict)
    bare: dict[tuple[str, int], list[Bare]] = field(default_factory=dict)
    _seed: int = 0
    _rates: dict[Key, float] = field(default_factory=dict)

    def _prepared(self, key: Key, seconds: float) -> int:
        case, _, _ = key
        if case in REPEATABLE:
            return 2000
        return int(self._rates.get(key, 3000.0) * seconds * 1.6) + 200

    def measure(self, case: str, app: str, connections: int, seconds: float) -> Measurement:
        """Send requests for some seconds."""
        self._seed += 1
        target = Target(app, self.servers[app].port, self.stage.facts.api_key, self.stage.facts.connection_id)
        key = (case, app, connections)
        order = Order(
            case, target, self.plan, self.plan.seed + self._seed, connections, seconds, self._prepared(key, seconds)
        )
        postgres = self.stage.embedded.postgres_pid
        assert postgres is not None
        pids = (self.servers[app].pid, postgres, self.generator.pid)
        before = [cpu.seconds(pid) for pid in pids]
        outcome = self.generator.run(order)
        used = [cpu.seconds(pid) - was for was, pid in zip(before, pids, strict=True)]
        count = max(outcome.requests, 1)
        self._rates[key] = outcome.requests / outcome.seconds
        server_ms, postgres_ms, client_ms = (seconds * 1000 / count for seconds in used)
        return Measurement(
            requests_per_second=self._rates[key],
            p50_ms=percentile(outcome.latencies_ms, 0.5),
            p99_ms=percentile(outcome.latencies_ms, 0.99),
            server_ms=server_ms,
            postgres_ms=postgres_ms,
            client_ms=client_ms,
            answer_bytes=outcome.answer_bytes,
            failures=outcome.failures,
        )

    def warm_up(self, cases: tuple[str, ...]) -> None:
        """Let every process prepare its statements and fill its caches."""
        for case in cases:
            for app in self.servers:
                self.measure(case, app, 16, self.plan.warm_up_seconds)

    def round(self, case: str, number: int, step: Callable[[], None]) -> None:
        """One round of a case."""
        apps = list(self.servers)
        turn = number % len(apps)
        for connections in self.plan.connections:
            for app in apps[turn:] + apps[:turn]:
                measurement = self.measure(case, app, connections, self.plan.seconds)
                self.found.setdefault((case, app, connections), []).append(measurement)
                step()
            if self.pgbench is not None:
                bare = self.pgbench.measure(case, connections, self.plan.seconds)
                self.bare.setdefault((case, connections), []).append(bare)
                step()

    def figures(self) -> dict[Key, Figures]:
        """What came out."""
        return {key: _median(found) for key, found in self.found.items()}

    def bare_figures(self) -> dict[tuple[str, int], Bare]:
        """What came out of pgbench."""
        return {
            key: Bare(*(statistics.median(getattr(one, name) for one in found) for name in Bare.__slots__))
            for key, found in self.bare.items()
        }


def _median(found: list[Measurement]) -> Figures:
    def middle(name: str) -> float:
        return float(statistics.median(getattr(one, name) for one in found))

    rates = [one.requests_per_second for one in found]
    return Figures(
        requests_per_second=middle("requests_per_second"),
        p50_ms=middle("p50_ms"),
        p99_ms=middle("p99_ms"),
        server_ms=middle("server_ms"),
        postgres_ms=middle("postgres_ms"),
        client_ms=middle("client_ms"),
        answer_bytes=found[0].answer_bytes,
        failures=sum(one.failures for one in found),
        spread=(max(rates) - min(rates)) / middle("requests_per_second") if middle("requests_per_second") else 0.0,
    )
