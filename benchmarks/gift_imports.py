"""How fast years of gifts are imported, beside an owner's COPY of the same rows into the same tables.

    python -m benchmarks.gift_imports                 # 100,000 gifts of 100,000 contacts; a few minutes
    python -m benchmarks.gift_imports --million       # and then 1,000,000 gifts in one file
    python -m benchmarks.gift_imports --rows 10000 --contacts 10000

Postgres of its own, a `crm-api worker` process as in production. The file holds gifts of ten years in two currencies,
for funds and campaigns, some with fees, some refunded, each with an external id; donors are found by their external id
or their e-mail. COPY writes the rows that the import made of them (gifts, payment entries, external ids) for another
organization with the same contacts, funds and campaigns: superuser, same tables, same indexes, same constraints. What
the import writes besides (the journal for undo, the audit trail) has no counterpart there. The rebuild of the donors'
summaries, which follows the last row, is measured too, and the worker's memory.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import random
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from benchmarks.imports import ROOT, Bench, Memory
from crm_api.bootstrap import COMMAND_LINE, NewOrganization, make_organization
from crm_api.documents.storage import FileStore
from crm_api.kit.crypto import Vault
from crm_api.kit.db import Database
from crm_api.kit.ids import new_id
from crm_api.transfers.imports import service
from crm_api.transfers.imports.schemas import ImportOptions, ImportUpload

RESULTS = ROOT / "benchmarks" / "results" / "gift-imports.md"
_TABLES = {"gifts": "id", "payment_entries": "gift_id", "gift_external_ids": "gift_id"}
HEADER = ("external_id", "contact_external_id", "email", "amount", "currency", "gift_date", "method", "fund",
          "campaign", "status", "fee", "note", "source_code", "is_anonymous")  # fmt: skip
_FUNDS = ("winter", "medicine", "school", "general")
_CAMPAIGNS = ("spring-2019", "autumn-2021", "winter-2025")
_METHODS = ("card", "bank_transfer", "cash", "wallet")
_FIRST_DAY = date(2016, 1, 1)


@dataclass(frozen=True)
class Run:
    """One import as it was measured."""

    rows: int
    contacts: int
    seconds: float
    rows_per_second: int
    copy_seconds: float
    copy_rows_per_second: int
    ratio: float
    summaries_seconds: float
    ratio_with_summaries: float
    worker_peak_mb: float


def write_file(path: Path, first: int, count: int, contacts: int) -> None:
    """A CSV file of gifts: `count` of them numbered from `first`, the same in every run."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number in range(first, first + count):
            rng = random.Random(number)
            donor = rng.randrange(contacts)
            named = (f"old:{donor}", "") if rng.random() < 0.7 else ("", f"p{donor}@example.org")
            day = _FIRST_DAY + timedelta(days=rng.randrange(3600))
            method = rng.choice(_METHODS)
            status = rng.choices(("", "refunded", "failed"), (96, 2, 2))[0]
            fee = f"{rng.randrange(10, 900) / 100:.2f}" if method in {"card", "wallet"} else ""
            writer.writerow((
                f"crm:{number}", *named, f"{rng.randrange(100, 900_000) / 100:.2f}", rng.choice(("UAH", "UAH", "USD")),
                day.isoformat(), method, rng.choice(_FUNDS), rng.choice((*_CAMPAIGNS, "")), status,
                "" if status else fee, "In memory of a friend" if rng.random() < 0.05 else "",
                "letter-7" if rng.random() < 0.1 else "", "yes" if rng.random() < 0.02 else "",
            ))  # fmt: skip


async def people(admin: asyncpg.Connection, organization: UUID, count: int) -> None:
    """Contacts with an external id and an e-mail each, funds, campaigns and ten years of rates."""
    await admin.execute(
        """
        INSERT INTO contacts (organization_id, id, kind, given_name, family_name, display_name, emails, external_ids,
            source, version, created_at, updated_at)
        SELECT $1, gen_random_uuid(), 'person', 'Donor', 'N' || n, 'Donor N' || n,
            jsonb_build_array(jsonb_build_object('address', 'p' || n || '@example.org', 'is_primary', true)),
            jsonb_build_array(jsonb_build_object('system', 'old', 'id', n::text)), '{}', 1, now(), now()
        FROM generate_series(0, $2::integer - 1) n
        """,
        organization,
        count,
    )
    await admin.execute(
        "INSERT INTO contact_external_ids (organization_id, system, external_id, contact_id, created_at) "
        "SELECT organization_id, 'old', external_ids->0->>'id', id, now() FROM contacts WHERE organization_id = $1",
        organization,
    )
    await admin.execute(
        "INSERT INTO contact_keys (organization_id, kind, value, contact_id) "
        "SELECT organization_id, 'email', emails->0->>'address', id FROM contacts WHERE organization_id = $1",
        organization,
    )
    for code in _FUNDS:
        await admin.execute(
            "INSERT INTO funds (organization_id, id, code, name, is_restricted, status, version, created_at, "
            "updated_at) VALUES ($1, $2, $3, $3, false, 'active', 1, now(), now())",
            organization, new_id(), code,
        )  # fmt: skip
    for code in _CAMPAIGNS:
        await admin.execute(
            "INSERT INTO campaigns (organization_id, id, code, name, status, version, created_at, updated_at) "
            "VALUES ($1, $2, $3, $3, 'active', 1, now(), now())",
            organization, new_id(), code,
        )  # fmt: skip
    await admin.execute(
        "INSERT INTO exchange_rates (organization_id, id, source_currency, target_currency, rate_date, rate, origin, "
        "created_at) SELECT $1, gen_random_uuid(), 'UAH', 'USD', d, 0.02 + random() * 0.02, 'manual', now() "
        "FROM generate_series(date '2016-01-01', date '2025-12-31', interval '1 day') d",
        organization,
    )
    await admin.execute("ANALYZE")


class GiftBench(Bench):
    """Postgres, a worker, an organization."""

    async def imported(
        self, database: Database, made: NewOrganization, path: Path
    ) -> tuple[UUID, int, float, float, float]:
        """Import a file: its id, gifts, seconds to the last row, seconds more to the summaries, the worker's peak."""
        store = FileStore(self.settings, Vault([self.key]))
        name = store.new_name(made.id, "imports")

        async def content() -> Any:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    yield block

        size = path.stat().st_size
        await store.write(name, content(), max_bytes=size)
        body = ImportUpload(kind="donations", options=ImportOptions(dry_run=False))
        actor = COMMAND_LINE
        with self.worker() as pid:
            await asyncio.sleep(3)  # the worker is up before the clock starts, as it is in production
            memory = Memory(pid)
            began = time.perf_counter()
            async with database.write(made.tenant, actor) as session:
                row = service.create_import(session, body, name=name, filename=path.name, size=size)
            while True:
                await asyncio.sleep(0.1)
                now = await database.read(made.tenant).fetch_row(service.GET, id=row["id"])
                assert now is not None
                if now["state"] in {"succeeded", "failed"}:
                    break
            seconds = time.perf_counter() - began
            if now["state"] == "failed" or now["failed"]:
                log = (self.folder / "worker.log").read_text()[-2000:]
                raise SystemExit(f"the import failed: {now['reason']} {now['failed']} {log}")
            began = time.perf_counter()
            await self.summed(made)
            summaries = time.perf_counter() - began
            peak = memory.stop()
        return row["id"], now["created"], seconds, summaries, peak

    async def summed(self, made: NewOrganization) -> None:
        """Wait for the rebuild of the donors' summaries."""
        admin = await asyncpg.connect(self.superuser_url)
        try:
            while await admin.fetchval(
                "SELECT count(*) FROM jobs WHERE organization_id = $1 AND subscriber = 'scoring.rebuild' "
                "AND state NOT IN ('done', 'dead')",
                made.id,
            ):
                await asyncio.sleep(0.1)
        finally:
            await admin.close()

    async def copied(self, made: NewOrganization, import_id: UUID, other: NewOrganization) -> float:
        """Seconds that COPY takes for the rows of an import, for another organization."""
        admin = await asyncpg.connect(self.superuser_url)
        own = (
            f"SELECT record_id FROM import_rows WHERE organization_id = '{made.id}' AND import_id = '{import_id}' "
            "AND outcome = 'created'"
        )
        seconds = 0.0
        for table, key in _TABLES.items():
            named = "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped"
            columns = [row["attname"] for row in await admin.fetch(named, table)]
            chosen = ", ".join(f"'{other.id}'::uuid" if name == "organization_id" else f"t.{name}" for name in columns)
            path = self.folder / f"{table}.copy"
            query = f"SELECT {chosen} FROM {table} t WHERE organization_id = '{made.id}' AND {key} IN ({own})"
            await admin.copy_from_query(query, output=path)
            began = time.perf_counter()
            await admin.copy_to_table(table, source=path, columns=columns)
            seconds += time.perf_counter() - began
            path.unlink()
        await admin.close()
        return seconds


async def twin(admin: asyncpg.Connection, made: NewOrganization, other: NewOrganization) -> None:
    """Give the other organization the same contacts, funds and campaigns, under the same ids."""
    for table in ("contacts", "funds", "campaigns"):
        named = "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped"
        columns = [row["attname"] for row in await admin.fetch(named, table)]
        chosen = ", ".join("$2::uuid" if name == "organization_id" else name for name in columns)
        await admin.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {chosen} FROM {table} WHERE organization_id = $1",
            made.id, other.id,
        )  # fmt: skip


async def measure(rows: int, contacts: int, *, million: bool) -> list[Run]:
    """Everything."""
    folder = Path(tempfile.mkdtemp(prefix="crm-gift-imports-"))
    folder.chmod(0o755)
    bench = await asyncio.to_thread(GiftBench, folder)
    runs: list[Run] = []
    try:
        await bench.tune()
        database = await Database.open(bench.service_url, size=2)
        admin = await asyncpg.connect(bench.superuser_url)
        made = await make_organization(database, name="Gift Fund", mode="live", currency="USD")
        other = await make_organization(database, name="Copy Fund", mode="live", currency="USD")
        await people(admin, made.id, contacts)
        await twin(admin, made, other)
        first = 0
        for count in (rows, 1_000_000) if million else (rows,):
            write_file(folder / "gifts.csv", first, count, contacts)
            first += count
            import_id, created, seconds, summaries, peak = await bench.imported(database, made, folder / "gifts.csv")
            assert created == count
            copied = await bench.copied(made, import_id, other)
            runs.append(
                Run(count, contacts, round(seconds, 2), round(count / seconds), round(copied, 2),
                    round(count / copied), round(copied / seconds, 2), round(summaries, 2),
                    round(copied / (seconds + summaries), 2), peak)
            )  # fmt: skip
            print(runs[-1], flush=True)
        await admin.close()
        await database.close()
    finally:
        await asyncio.to_thread(bench.embedded.stop_blocking)
        shutil.rmtree(folder, ignore_errors=True)
    return runs


def written(runs: list[Run]) -> str:
    """The results as Markdown."""
    names = list(asdict(runs[0]))
    lines = [
        "# Imports of gifts",
        "",
        f"`python -m benchmarks.gift_imports`, {os.cpu_count()} cores for Postgres, the worker and the benchmark",
        "together. `ratio`: rows per second of the import beside COPY of the same rows by the owner into the same",
        "tables (gifts, payment entries, external ids; every index and constraint). The import also writes the journal",
        "for undo and the audit trail. `summaries_seconds`: from the last row until every donor's summary stands.",
        "",
        "| " + " | ".join(names) + " |",
        "|" + " ---: |" * len(names),
        *("| " + " | ".join(str(value) for value in asdict(run).values()) + " |" for run in runs),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--no-save", action="store_true")
    chosen = parser.parse_args()
    runs = asyncio.run(measure(chosen.rows, chosen.contacts, million=chosen.million))
    if not chosen.no_save:
        RESULTS.write_text(written(runs))


if __name__ == "__main__":
    main()
