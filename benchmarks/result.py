"""What a run found, as one document."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import psutil

from benchmarks.cpu import Memory
from benchmarks.followups import FollowUps
from benchmarks.pgbench import Bare
from benchmarks.plan import AIMS, APPS, CASES, COLD_START_S, MEMORY_MB, PICK_UP_MS, Plan
from benchmarks.rounds import Figures, Key

_PACKAGES = ("fastapi", "uvicorn", "uvloop", "httptools", "asyncpg", "sqlalchemy", "pydantic", "orjson", "arq")


@dataclass(frozen=True, slots=True)
class Result:
    """Everything a run measured."""

    plan: Plan
    figures: dict[Key, Figures]
    bare: dict[tuple[str, int], Bare]
    follow_ups: FollowUps
    memory: dict[str, list[Memory]]
    cold_starts: list[float]
    postgres: str
    seconds: float

    def ratio(self, case: str, connections: int, app: str = "crm") -> float:
        """Requests per second as a part of `raw`'s."""
        raw = self.figures[case, "raw", connections].requests_per_second
        return self.figures[case, app, connections].requests_per_second / raw if raw else 0.0

    def cpu_ratio(self, case: str) -> float:
        """Raw's processor time per request, server and Postgres, as a part of ours."""
        ours, raw = self.figures[case, "crm", self.busy], self.figures[case, "raw", self.busy]
        return (raw.server_ms + raw.postgres_ms) / (ours.server_ms + ours.postgres_ms)

    @property
    def busy(self) -> int:
        """The number of connections that aims are judged at."""
        return max(self.plan.connections)

    @property
    def cold_start(self) -> float:
        """The median start, in seconds."""
        return sorted(self.cold_starts)[len(self.cold_starts) // 2]

    @property
    def largest_mb(self) -> float:
        """Resident memory of the largest API process."""
        return max(one.rss for one in self.memory["crm"] if one.role == "process")

    def aims(self) -> list[tuple[str, float, float, bool]]:
        """What was hoped for: name, aim, outcome, whether it is met."""
        found = [(case, aim, self.ratio(case, self.busy)) for case, aim in AIMS.items()]
        judged = [(case, aim, outcome, outcome >= aim) for case, aim, outcome in found]
        for name, aim, outcome in (
            ("pick_up_p50_ms", PICK_UP_MS, self.follow_ups.pick_up.p50),
            ("api_process_mb", MEMORY_MB, self.largest_mb),
            ("cold_start_s", COLD_START_S, self.cold_start),
        ):
            judged.append((name, aim, outcome, outcome <= aim))
        return judged

    def document(self) -> dict[str, Any]:
        """As JSON."""
        rounded: Any = _rounded
        return {
            "about": {**machine(), "postgres": self.postgres, "run_seconds": round(self.seconds)},
            "plan": asdict(self.plan),
            "aims": [
                {"name": name, "aim": aim, "outcome": round(outcome, 3), "met": met}
                for name, aim, outcome, met in self.aims()
            ],
            "cases": {
                case: {
                    **{
                        app: {str(n): rounded(asdict(self.figures[case, app, n])) for n in self.plan.connections}
                        for app in APPS
                    },
                    "pgbench": {str(n): rounded(asdict(self.bare[case, n])) for n in self.plan.connections},
                }
                for case in CASES
            },
            "follow_ups": rounded(asdict(self.follow_ups)),
            "memory_mb": {name: [rounded(asdict(one)) for one in found] for name, found in self.memory.items()},
            "cold_start_s": [round(one, 3) for one in self.cold_starts],
        }


def machine() -> dict[str, Any]:
    """Where it ran."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average": [round(one, 2) for one in os.getloadavg()],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _rounded(value) if isinstance(value, dict) else round(value, 4) if isinstance(value, float) else value
        for name, value in values.items()
    }
