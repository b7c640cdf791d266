"""How fast the books are written and read at full size, beside the bare SQL that gives the same sums.

    python -m benchmarks.ledger                  # 1,000,000 gifts; some minutes; writes results/ledger.md
    python -m benchmarks.ledger --gifts 50000    # a first impression, writes nothing

Postgres of its own. Half of the gifts have a fee, one in forty was refunded, a third is in a second currency. Times are
medians of five, but for posting and the proof, which are done once. The bare statements run as the superuser, without
row-level security, without the fund split and without any Python.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from crm_api.bootstrap import NewOrganization, make_organization
from crm_api.donations.ledger import posting
from crm_api.donations.ledger.proofs import service as proofs
from crm_api.donations.ledger.trial import trial_balance
from crm_api.embedded import start_blocking
from crm_api.kit.db import Database, WriteSession
from crm_api.migrate import migrate
from crm_api.registry import load_registry
from crm_api.reports.donations import service as reports

RESULT = Path(__file__).parent / "results" / "ledger.md"
_PASSWORD = "service-password-of-the-benchmarks"
_CHUNK = 25_000
_GROUPS = ("day", "month", "method", "currency", "fund", "campaign")
_NUMBERED = """
    SELECT n, ('01938d6e-5a01-7000-8000-' || lpad(n::text, 12, '0'))::uuid AS id,
        1000 + (n::bigint * 7919) % 20000 AS amount, CASE WHEN n % 3 = 0 THEN 'UAH' ELSE 'USD' END AS currency,
        CASE WHEN n % 2 = 0 THEN 29 + n % 100 ELSE 0 END AS fee, CASE WHEN n % 40 = 0 THEN 500 ELSE 0 END AS refunded,
        (ARRAY['bank_transfer', 'card', 'cash', 'wallet'])[1 + n % 4] AS method,
        timestamptz '2026-11-20 12:00Z' - (n % 1400) * interval '1 day' AS at
    FROM generate_series($2::int, $3::int) n"""
_GIFTS = f"""
    INSERT INTO gifts (organization_id, id, amount, currency, status, refunded, fee, counted, base_amount, base_counted,
        base_rate, base_rate_date, method, fund_id, received_at, gift_date, created_at, updated_at)
    SELECT $1, id, amount, currency, CASE WHEN refunded > 0 THEN 'partially_refunded' ELSE 'succeeded' END, refunded,
        fee, amount - refunded, amount, amount - refunded, 1, at::date, method, $4, at, at::date, at, at
    FROM ({_NUMBERED}) g"""
_ENTRIES = f"""
    INSERT INTO payment_entries (organization_id, id, gift_id, entry_key, kind, occurred_at, amount, ref, status,
        recorded_at)
    SELECT $1, gen_random_uuid(), id, k.kind, k.kind, at + k.later, k.amount, k.ref, k.status, at FROM ({_NUMBERED}) g,
        LATERAL (VALUES ('charge', interval '0', amount, NULL, NULL), ('fee', interval '1 day', fee, 'txn', NULL),
            ('refund', interval '3 days', refunded, 're', 'succeeded')) k(kind, later, amount, ref, status)
    WHERE k.amount > 0"""
_BARE = """
    SELECT {key}, currency, count(*), sum(amount), sum(refunded), sum(charged_back), sum(fee), sum(base_amount),
        sum(base_counted) FROM gifts WHERE status NOT IN ('pending', 'failed', 'canceled') GROUP BY 1, 2"""
_KEYS = {"day": "gift_date", "month": "to_char(gift_date, 'YYYY-MM')", "method": "method", "currency": "currency",
         "fund": "fund_id", "campaign": "campaign_id"}  # fmt: skip
_BARE_TRIAL = "SELECT debit, credit, currency, fund_id, sum(amount) FROM ledger_journals GROUP BY 1, 2, 3, 4"


async def _median(work: Callable[[], Awaitable[Any]]) -> float:
    """Milliseconds, the median of five."""
    found = []
    for _ in range(5):
        began = time.perf_counter()
        await work()
        found.append((time.perf_counter() - began) * 1000)
    return statistics.median(found)


async def _load(url: str, made: NewOrganization, fund: UUID, gifts: int) -> None:
    connection = await asyncpg.connect(url)
    for first in range(1, gifts + 1, _CHUNK):
        last = min(first + _CHUNK - 1, gifts)
        async with connection.transaction():
            await connection.execute(f"SET LOCAL crm.organization_id = '{made.tenant.id}'")
            await connection.execute(_GIFTS, made.tenant.id, first, last, fund)
            await connection.execute(_ENTRIES, made.tenant.id, first, last)
    await connection.close()


async def _post(database: Database, made: NewOrganization) -> float:
    """Post everything as the worker does, chunk by chunk; seconds."""
    began, after = time.perf_counter(), posting.FIRST
    while True:
        async with database.write(made.tenant) as session:
            _, last = await posting.post_next(session, after)
        if last is None:
            return time.perf_counter() - began
        after = last


async def _prove(database: Database, made: NewOrganization) -> tuple[float, str]:
    """A whole proof; seconds and its verdict."""
    began = time.perf_counter()

    async def step(work: Callable[[WriteSession], Awaitable[Any]]) -> Any:
        async with database.write(made.tenant) as session:
            return await work(session)

    proof = await step(lambda session: proofs.start_proof(session, origin="request"))
    while True:
        await step(lambda session: proofs.go_on(session, proof["id"]))
        found = await proofs.get_proof(database.read(made.tenant), proof["id"])
        if found["state"] == "succeeded":
            return time.perf_counter() - began, found["verdict"]


async def measure(service_url: str, superuser_url: str, gifts: int) -> str:
    """Load, post, measure; the report in words."""
    load_registry()
    database = await Database.open(service_url, size=4)
    made = await make_organization(database, name="Bench", mode="test", currency="USD", timezone="UTC", language="en")
    fund = UUID("01938d6e-5a03-7000-8000-000000000001")
    bare = await asyncpg.connect(superuser_url, server_settings={"jit": "off"})
    await bare.execute(
        "INSERT INTO funds (organization_id, id, code, name, created_at, updated_at) "
        "VALUES ($1, $2, 'a', 'A', now(), now())", made.tenant.id, fund,
    )  # fmt: skip
    await _load(service_url, made, fund, gifts)
    await bare.execute("VACUUM ANALYZE gifts, payment_entries")
    posted = await _post(database, made)
    journals = await bare.fetchval("SELECT count(*) FROM ledger_journals")
    await bare.execute("VACUUM ANALYZE ledger_journals, ledger_gifts")
    again = await _post(database, made)
    session = database.read(made.tenant)
    ours, theirs = await _median(lambda: trial_balance(session, None)), await _median(lambda: bare.fetch(_BARE_TRIAL))
    proof, verdict = await _prove(database, made)
    lines = [
        f"# The books at {gifts:,} gifts\n",
        "`python -m benchmarks.ledger`; 2 cores, shared with other work. What is compared runs in the same minutes.\n",
        "| what | seconds |\n|---|---|",
        f"| post all gifts ({journals:,} journals), {gifts / posted:,.0f} gifts/s | {posted:.1f} |",
        f"| look for gifts that are behind where none is | {again:.2f} |",
        f"| the nightly proof (verdict: {verdict}) | {proof:.1f} |\n",
        "| read | crm-api, ms | bare SQL, ms | ratio |\n|---|---|---|---|",
        f"| trial balance, with the count of unposted gifts | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.2f} |",
    ]
    for group_by in _GROUPS:
        first = made.tenant.now().date().replace(year=2022, month=1, day=1)
        question = reports.asked(session, group_by, first, None, None)  # type: ignore[arg-type]
        ours = await _median(lambda question=question: reports.donations(session, question))  # type: ignore[misc]
        theirs = await _median(lambda key=_KEYS[group_by]: bare.fetch(_BARE.format(key=key)))  # type: ignore[misc]
        lines.append(f"| donations by {group_by} | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.2f} |")
    await bare.close()
    await database.close()
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gifts", type=int, default=1_000_000)
    gifts = parser.parse_args().gifts
    with tempfile.TemporaryDirectory(prefix="crm-bench-") as folder:
        Path(folder).chmod(0o755)
        embedded = start_blocking(Path(folder) / "services")
        try:
            owner = embedded.runtime.owner_url
            service = owner.replace(owner.split("//")[1].split("@")[0], f"crm_app:{_PASSWORD}")
            superuser = embedded.runtime.superuser_url.rpartition("/")[0] + "/" + owner.rpartition("/")[2]
            migrate(owner, service)
            report = asyncio.run(measure(service, superuser, gifts))
        finally:
            embedded.stop_blocking()
    print(report)
    if gifts >= 1_000_000:
        RESULT.write_text(report)


if __name__ == "__main__":
    main()
