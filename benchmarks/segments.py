# ruff: noqa: E501
"""Segments at size: what one gift costs with hundreds of them, what a preview and a reckoning take.

    python -m benchmarks.segments                      # 100,000 contacts, 1,000,000 gifts, 300 segments
    python -m benchmarks.segments --gifts 50000 --contacts 5000
    python -m benchmarks.segments --data-dir DIR       # keeps the loaded database and uses it again

A gift's follow-up is scoring's and then segmentation's, one after the other as the worker runs them; time in Postgres is
the processor time of the one backend they use, which other work on the machine does not touch.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import psutil
from sqlalchemy import text

from benchmarks.dataset import contact_id
from benchmarks.plan import FULL, Plan
from benchmarks.result import machine
from benchmarks.stage import Stage
from crm_api.auth.scopes import ALL_SCOPES
from crm_api.kit.db import Actor, Database, Tenant, prepare
from crm_api.registry import load_models, load_predicates, load_registry
from crm_api.scoring import service as scoring
from crm_api.segmentation import service as segmentation
from crm_api.segmentation.schemas import PreviewRequest, SegmentCreate

_IDS = prepare(text("SELECT id FROM segments WHERE organization_id = :organization_id"))
RESULTS = Path(__file__).parent / "results"
AIM_FOLLOW_MS, AIM_PREVIEW_MS = 20.0, 300.0
THREE_LEVELS: dict[str, Any] = {
    "all": [
        {"any": [{"field": "tag", "value": "tag-3"}, {"not": {"field": "city", "op": "in", "value": ["City 001"]}}]},
        {
            "related": "gifts",
            "where": {
                "all": [
                    {"field": "base_amount", "op": "gte", "value": {"amount": 5_000, "currency": "USD"}},
                    {"field": "gift_date", "op": "within_last", "value": {"days": 180}},
                ]
            },
            "op": "gte",
            "value": 3,
        },
    ]
}


def rule(draw: random.Random) -> dict[str, Any]:
    """A rule such as a fund keeps hundreds of."""
    amount = {"amount": draw.randrange(40_000, 250_000), "currency": "USD"}
    days = {"days": draw.randrange(30, 500)}
    gifts = {"field": "gift_date", "op": "within_last", "value": days}
    return draw.choice(
        [
            {"field": "donor.status", "op": "in", "value": [draw.choice(["new", "regular", "lapsing", "lapsed", "major"])]},
            {"related": "gifts", "where": gifts, "op": "gte", "value": draw.randrange(2, 7)},
            {"related": "gifts", "where": gifts, "aggregate": "sum", "field": "base_amount", "op": "gte", "value": amount},
            {"all": [{"field": "donor.total_given", "op": "gte", "value": amount},
                     {"not": {"field": "tag", "value": f"tag-{draw.randrange(20)}"}}]},
            {"all": [{"field": "city", "value": f"City {draw.randrange(200):03d}"},
                     {"field": "donor.last_gift_date", "op": "gte", "value": {"ago": days}}]},
        ]
    )  # fmt: skip


async def measure(stage: Stage, segments: int, follow_ups: int) -> dict[str, Any]:
    """Make the segments, reckon them, follow gifts, preview."""
    database = await Database.open(stage.service_url, size=1)
    tenant = Tenant(stage.organization_id, "live", "USD", "UTC", "en")
    actor = Actor("system", "benchmark", scopes=ALL_SCOPES)
    async with database.connection() as connection:
        backend = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
        known = await connection.fetchval("SELECT current_setting('server_version')")
    draw = random.Random(7)

    def spent() -> float:
        user, system = backend.cpu_times()[:2]
        return float(user + system) * 1000

    reckonings = []
    async with database.write(tenant, actor) as session:
        present = [UUID(str(row[0])) for row in await session.fetch(_IDS)]
    for number in range(len(present), segments):
        async with database.write(tenant, actor) as session:
            made = await segmentation.create_segment(session, SegmentCreate(name=f"S{number}", rule=rule(draw)))
        began = time.perf_counter()
        async with database.write(tenant, actor) as session:
            await segmentation.reckon(session, made["id"])
        reckonings.append((time.perf_counter() - began) * 1000)
        if number % 50 == 49:
            stage.say(f"{number + 1} segments")
    owner = await asyncpg.connect(stage.owner_url)
    for table in ("segments", "segment_memberships", "segment_changes", "donor_summaries"):
        await owner.execute(f"VACUUM (ANALYZE) {table}")
    await owner.close()
    scored, followed, walls = [], [], []
    reads = {"gifts", "donor", "plans"}
    for turn in range(follow_ups + 30):
        who = UUID(contact_id(draw.randrange(1, stage.plan.contacts + 1)))
        at, began = spent(), time.perf_counter()
        async with database.write(tenant, actor) as session:
            await scoring.refresh_donor(session, who)
        middle = spent()
        async with database.write(tenant, actor) as session:
            await segmentation.follow(session, [who], reads)
        if turn >= 30:
            scored.append(middle - at)
            followed.append(spent() - middle)
            walls.append((time.perf_counter() - began) * 1000)
    previews = []
    for _ in range(9):
        async with database.write(tenant, actor) as session:
            seen = await segmentation.preview(session, PreviewRequest(rule=THREE_LEVELS))
        previews.append(seen["cost"]["milliseconds"])
    await database.close()
    return {
        "about": machine(), "postgres": known, "contacts": stage.plan.contacts, "gifts": stage.plan.gifts,
        "segments": segments,
        "follow_up": {"scoring_cpu_ms": round(statistics.mean(scored), 2),
                      "segments_cpu_ms": round(statistics.mean(followed), 2),
                      "both_cpu_ms": round(statistics.mean(scored) + statistics.mean(followed), 2),
                      "wall_p50_ms": round(statistics.median(walls), 1), "aim_ms": AIM_FOLLOW_MS},
        "preview": {"p50_ms": statistics.median(previews), "max_ms": max(previews), "found": seen["count"],
                    "aim_ms": AIM_PREVIEW_MS},
        "reckoning": {"p50_ms": round(statistics.median(reckonings or [0]), 1), "max_ms": round(max(reckonings or [0]), 1)},
    }  # fmt: skip


def write(result: dict[str, Any], folder: Path) -> None:
    """JSON for programs, a table for people."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "segments.json").write_text(json.dumps(result, indent=1) + "\n")
    follow, preview, about = result["follow_up"], result["preview"], result["about"]
    lines = [
        f"# {result['segments']} segments over {result['contacts']:,} contacts and {result['gifts']:,} gifts",
        "",
        f"{about['at']}, {about['cores']} cores, load {about['load_average']}.",
        "",
        "| what | figure | aim |",
        "|---|---|---|",
        f"| a gift's follow-up, processor time in Postgres: scoring | {follow['scoring_cpu_ms']} ms | |",
        f"| … and {result['segments']} segments | {follow['segments_cpu_ms']} ms | |",
        f"| … both | {follow['both_cpu_ms']} ms | under {AIM_FOLLOW_MS:g} ms |",
        f"| … both, wall time | {follow['wall_p50_ms']} ms | |",
        f"| preview of a rule of three levels (finds {preview['found']:,}), p50 | {preview['p50_ms']} ms "
        f"| under {AIM_PREVIEW_MS:g} ms |",
        f"| everybody for one segment, p50 (largest) | {result['reckoning']['p50_ms']} ms "
        f"({result['reckoning']['max_ms']} ms) | |",
    ]
    (folder / "segments.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.segments", description=__doc__)
    parser.add_argument("--contacts", type=int, default=FULL.contacts)
    parser.add_argument("--gifts", type=int, default=FULL.gifts)
    parser.add_argument("--segments", type=int, default=300)
    parser.add_argument("--follow-ups", type=int, default=300)
    parser.add_argument("--data-dir", type=Path, help="keep the loaded database here and use it again")
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    load_models()
    load_predicates()
    load_registry()
    plan: Plan = replace(FULL, contacts=given.contacts, gifts=given.gifts)
    with Stage(plan, given.data_dir, lambda said: print(said, flush=True), plain=False) as stage:
        result = asyncio.run(measure(stage, given.segments, given.follow_ups))
    write(result, given.output)
    print((given.output / "segments.md").read_text())


if __name__ == "__main__":
    main()
