"""Whatever an import has done, undo leaves every contact, key and external id as they were, except version, updated_at and
audit: over random contacts, random files and every way to match."""

from __future__ import annotations

import csv
import io
import random
from typing import Any

import pytest
from sqlalchemy import text

from crm_api.kit.db import prepare
from crm_api.transfers.imports import work
from tests.support.world import World
from tests.transfers.conftest import Desk

_HEADERS = (
    "external_id",
    "given_name",
    "family_name",
    "email",
    "phone",
    "city",
    "country",
    "language",
    "tags",
    "birth_date",
)
_TABLES = {
    table: prepare(text(f"SELECT {columns} FROM {table} WHERE organization_id = :organization_id ORDER BY 1, 2, 3"))
    for table, columns in (
        ("contacts", "id, kind, to_jsonb(contacts) - 'version' - 'updated_at' AS row"),
        ("contact_keys", "kind, value, contact_id"),
        ("contact_external_ids", "system, external_id, contact_id"),
        ("duplicates", "low_id, high_id, state"),
    )
}


async def everything(world: World) -> dict[str, list[dict[str, Any]]]:
    """Every row that an import writes to."""
    session = world.database.read(world.tenant)
    return {name: [dict(row) for row in await session.fetch(statement)] for name, statement in _TABLES.items()}


def _row(rng: random.Random) -> dict[str, str]:
    """A row of few possible people, so that many meet."""
    number = rng.randrange(6)
    given = ("Олена", "Olena", "Іван", "ნინო", "John", "")[number]
    row = {
        "given_name": given,
        "family_name": rng.choice(("Шевченко", "Shevchenko", "Smith", "")),
        "external_id": rng.choice(("", f"old:{rng.randrange(8)}")),
        "email": rng.choice(("", f"p{rng.randrange(5)}@example.org", "shared@example.org")),
        "phone": rng.choice(("", f"+38050123456{rng.randrange(6)}", "nonsense")),
        "city": rng.choice(("", "Київ", "Львів", "Batumi")),
        "country": rng.choice(("", "UA", "GE")),
        "language": rng.choice(("", "uk", "en", "Klingon?")),
        "tags": rng.choice(("", "friend", "friend; donor", "x")),
        "birth_date": rng.choice(("", "1980-05-17", "1980", "--05-17")),
    }
    return row if any(row.values()) else {**row, "tags": "blank"}


def _file(rng: random.Random, rows: int) -> str:
    target = io.StringIO(newline="")
    writer = csv.DictWriter(target, _HEADERS)
    writer.writeheader()
    writer.writerows(_row(rng) for _ in range(rows))
    return target.getvalue()


@pytest.mark.parametrize("on_match", ["update", "skip", "create", "queue"])
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_undo_leaves_no_trace(
    desk: Desk, world: World, monkeypatch: pytest.MonkeyPatch, seed: int, on_match: str
) -> None:
    rng = random.Random(f"{seed} {on_match}")
    monkeypatch.setattr(work, "CHUNK", rng.choice((1, 3, 7, 50)))
    await desk.done(_file(rng, 12), on_match="create", dry_run=False)
    before = await everything(world)
    file = _file(rng, 40)
    tried = await desk.done(file, on_match=on_match)
    assert await everything(world) == before, "a dry run writes nothing"
    ran = await desk.tell(tried["id"], "run")
    for one in (tried["totals"], ran["totals"]):
        if on_match == "queue":  # whom a new contact may be is asked of contacts as they are at that moment
            one["made"] = one.pop("created") + one.pop("queued")
    assert ran["totals"] == tried["totals"], "a dry run says what then happens"
    totals = ran["totals"]
    assert sum(count for name, count in totals.items() if name != "rows") == totals["rows"] == 40
    if totals["rows"] > totals["skipped"] + totals["failed"]:
        assert await everything(world) != before
    monkeypatch.setattr(work, "CHUNK", rng.choice((1, 4, 9, 50)))
    back = await desk.tell(ran["id"], "undo")
    assert (back["state"], back["undone"]["kept"]) == ("undone", 0)
    assert await everything(world) == before
