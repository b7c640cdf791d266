# ruff: noqa: E501
"""Search and filtered lists at a million people: time in Postgres and over HTTP.

    python -m benchmarks.search                      # 1,000,000 people; about twenty minutes, mostly loading
    python -m benchmarks.search --people 50000       # a first impression
    python -m benchmarks.search --data-dir DIR       # keeps the loaded database and uses it again

Time in Postgres is the sum over a request's statements of the round trip on a warm connection, as the service role under
row-level security: a little more than Postgres itself needs. Every query is another one: its names are those of some
person chosen by chance, common names often.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil

from benchmarks import servers
from benchmarks.result import machine
from benchmarks.search_people import person
from benchmarks.search_stage import SearchStage
from crm_api.contacts import search
from crm_api.contacts.fields import CONTACTS
from crm_api.kit.db import SYSTEM, Database, ReadSession, Statement, Tenant
from crm_api.kit.listing import parse_list_query
from crm_api.kit.scripts import latin_name
from crm_api.registry import load_models

RESULTS = Path(__file__).parent / "results"
AIM_MS = 10.0


def _typo(word: str, chance: random.Random) -> str:
    if len(word) < 4:
        return word
    at = chance.randrange(1, len(word) - 1)
    return chance.choice((word[:at] + word[at + 1 :], word[:at] + word[at + 1] + word[at] + word[at + 2 :]))


def _names(who: dict[str, Any]) -> tuple[str, str]:
    return str(who["given_name"]), str(who["family_name"]).partition(" ")[0]


def _other(who: dict[str, Any]) -> str:
    """A name in Latin letters, however it is stored; Arabic ones as they are."""
    name = " ".join(_names(who))
    return latin_name(name, str(who["language"])) or name


Make = Callable[[dict[str, Any], random.Random], dict[str, str]]
KINDS: dict[str, Make] = {
    "given name": lambda who, _: {"q": _names(who)[0]},
    "family name": lambda who, _: {"q": _names(who)[1]},
    "two letters": lambda who, _: {"q": _names(who)[1][:2]},
    "beginning of four": lambda who, _: {"q": _names(who)[1][:4]},
    "two words": lambda who, _: {"q": " ".join(_names(who))},
    "two words, Latin": lambda who, _: {"q": _other(who)},
    "two beginnings": lambda who, _: {"q": f"{_names(who)[1][:4]} {_names(who)[0][:3]}"},
    "two beginnings of two": lambda who, _: {"q": f"{_names(who)[1][:2]} {_names(who)[0][:2]}"},
    "family name, typo": lambda who, chance: {"q": _typo(_names(who)[1], chance)},
    "two words, typo": lambda who, chance: {"q": f"{_names(who)[0]} {_typo(_names(who)[1], chance)}"},
    "name and city": lambda who, _: {"q": f"{_names(who)[0]} {who['addresses'][0]['city']}"},
    "city": lambda who, _: {"q": who["addresses"][0]["city"]},
    "phone": lambda who, _: {"q": "0" + who["phones"][0]["number"][4:]},
    "e-mail": lambda who, _: {"q": who["emails"][0]["address"]},
    "nobody": lambda who, chance: {"q": "zq" + "".join(chance.choices("bdfgklmnprst", k=6))},
    "family name, filtered by tag": lambda who, _: {"q": _names(who)[1], "tag": who["tags"][0]},
    "given name, filtered by tag": lambda who, _: {"q": _names(who)[0], "tag": who["tags"][0]},
    "family name, sorted": lambda who, _: {"q": _names(who)[1], "sort": "-created_at"},
    "list by city": lambda who, _: {"city": who["addresses"][0]["city"]},
    "list by tag and city": lambda who, _: {"tag": who["tags"][0], "city": who["addresses"][0]["city"]},
    "list by e-mail": lambda who, _: {"email": who["emails"][0]["address"]},
    "list by last change": lambda who, _: {"sort": "-updated_at"},
}


class Timed(ReadSession):
    """A read session that adds up what its statements take."""

    __slots__ = ("spent", "trips")

    def __init__(self, database: Database, tenant: Tenant) -> None:
        super().__init__(database, tenant, SYSTEM)
        self.spent, self.trips = 0.0, 0

    async def fetch(self, statement: Statement, **values: Any) -> Any:
        """All rows."""
        began = time.perf_counter()
        rows = await super().fetch(statement, **values)
        self.spent += (time.perf_counter() - began) * 1000
        self.trips += 1
        return rows


def _figures(found: list[float]) -> dict[str, float]:
    ordered = sorted(found)
    return {
        "p50_ms": round(statistics.median(ordered), 2),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 2),
        "max_ms": round(ordered[-1], 2),
    }


def _queries(kind: str, people: int, count: int, seed: int) -> list[dict[str, str]]:
    chance = random.Random(f"{kind} {seed}")
    return [KINDS[kind](person(chance.randrange(people)), chance) for _ in range(count)]


async def _postgres(stage: SearchStage, count: int) -> dict[str, dict[str, Any]]:
    database = await Database.open(stage.service_url, size=1)
    tenant = Tenant(UUID(stage.loaded.organization_id), "live", "USD", "UTC", "en")
    async with database.connection() as connection:
        backend = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
    found: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        spent, trips, rows = [], [], []
        before = sum(backend.cpu_times()[:2])
        for number, query in enumerate(_queries(kind, stage.loaded.people, count + 10, 1)):
            session = Timed(database, tenant)
            asked = parse_list_query(CONTACTS, list(query.items()), path="/v1/contacts")
            reply = await search.read_contacts(session, asked, lambda row: {"id": str(row["id"])})
            if number >= 10:
                spent.append(session.spent)
                trips.append(session.trips)
                rows.append(len(json.loads(bytes(reply.body))["data"]))
        processor = (sum(backend.cpu_times()[:2]) - before) * 1000 / (count + 10)
        found[kind] = {
            **_figures(spent),
            "cpu_ms": round(processor, 2),
            "statements": round(statistics.mean(trips), 1),
            "rows": round(statistics.mean(rows), 1),
        }
        stage.say(f"{kind}: {found[kind]}")
    await database.close()
    return found


async def _http(stage: SearchStage, port: int, count: int) -> dict[str, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {stage.loaded.api_key}"}
    found: dict[str, dict[str, Any]] = {}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as client:
        for kind in KINDS:
            spent = []
            for number, query in enumerate(_queries(kind, stage.loaded.people, count + 10, 2)):
                began = time.perf_counter()
                answer = await client.get("/v1/contacts", params=query)
                if number >= 10:
                    spent.append((time.perf_counter() - began) * 1000)
                answer.raise_for_status()
            found[kind] = _figures(spent)
    return found


def _server(stage: SearchStage) -> servers.Process:
    """`crm-api serve` in production mode."""
    port = servers._free_port()
    key = stage.loaded.api_key
    probe = f"GET /v1/organization HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    environment = {
        "CRM_ENVIRONMENT": "production", "CRM_PROCESSES": "1", "CRM_HOST": "127.0.0.1", "CRM_PORT": str(port),
        "CRM_PUBLIC_URL": "https://crm.example.org", "DATABASE_URL": stage.service_url,
        "REDIS_URL": stage.embedded.runtime.redis_url or "", "CRM_SECRET_KEYS": stage.loaded.secret_key,
        "CRM_MAIL_URL": f"file://{stage.folder / 'mail'}", "CRM_FILES_URL": f"file://{stage.folder / 'files'}",
        "CRM_RATE_LIMIT_PER_SECOND": "1000000", "CRM_RATE_LIMIT_BURST": "1000000",
    }  # fmt: skip
    command = [sys.executable, "-m", "crm_api.cli", "serve"]
    log = stage.folder / "crm.log"
    return servers.Process("crm-api", command, servers._environment(environment), port, probe.encode(), log)


def _write(result: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "search.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    about = result["about"]
    lines = [
        f"# Search at {result['people']:,} contacts",
        "",
        f"{about['at']}, {about['cores']} cores, load {about['load_average']}, {result['words']:,} different words. One client; "
        "a page of 50. `Postgres` is the sum of "
        "the statements' round trips; beside it the processor time of its process, which other work on the machine does not touch.",
        "",
        "| search | Postgres p50 ms | p99 ms | its processor ms, mean | statements | rows | HTTP p50 ms | HTTP p99 ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, bare in result["postgres"].items():
        over = result["http"][kind]
        lines.append(
            f"| {kind} | {bare['p50_ms']} | {bare['p99_ms']} | {bare['cpu_ms']} | {bare['statements']} | {bare['rows']} | {over['p50_ms']} "
            f"| {over['p99_ms']} |"
        )
    (folder / "search.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--count", type=int, default=300, help="queries of each kind")
    parser.add_argument("--data-dir", type=Path, help="keep the loaded database here and use it again")
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    load_models()
    with SearchStage(given.people, given.data_dir, lambda text: print(text, flush=True)) as stage:
        about = machine()
        postgres = asyncio.run(_postgres(stage, given.count))
        with _server(stage) as server:
            http = asyncio.run(_http(stage, server.port, given.count))
        result = {
            "about": about, "people": stage.loaded.people, "words": stage.loaded.words, "aim_ms": AIM_MS,
            "postgres": postgres, "http": http,
        }  # fmt: skip
        _write(result, given.output)


if __name__ == "__main__":
    main()
