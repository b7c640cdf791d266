"""A worker process is killed in the middle of an import, and of its undo: another goes on, and nothing is doubled."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crm_api.kit import clock
from tests.support.children import Forked
from tests.support.world import World
from tests.transfers.conftest import Desk, GiftDesk

pytestmark = pytest.mark.fault
ROWS = 400


@pytest.fixture
def worker(world: World, database_url: str, tmp_path: Path) -> Iterator[Callable[[], Forked]]:
    """Starts worker processes for the world's organization, with small chunks."""
    made: list[Forked] = []

    def start() -> Forked:
        told = (database_url, world.settings.files_url or "", str(world.id))
        log = tmp_path / "worker.log"
        made.append(Forked("tests.transfers.worker_process", *told, environment=os.environ, log=log))
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.wait()


async def _until(
    desk: Desk, import_id: str, reached: Callable[[dict[str, Any]], bool], seconds: float = 60
) -> dict[str, Any]:
    deadline = clock.monotonic() + seconds
    while not reached(found := await desk.see(import_id)):
        assert clock.monotonic() < deadline, found
        await asyncio.sleep(0.02)
    return found


async def test_a_killed_import_ends_as_if_nothing_had_happened(
    desk: Desk, world: World, worker: Callable[[], Forked]
) -> None:
    known = await world.contact(external_ids=[{"system": "old", "id": "7"}], language="en")
    lines = [f"old:{n},Олена,Number{n},p{n % 300}@example.org,uk\n" for n in range(ROWS)]
    file = "external_id,given_name,family_name,email,language\n" + "".join(lines)
    made = await desk.send(file, dry_run=False)
    for position in (60, 200):
        process = worker()
        await _until(desk, made["id"], lambda found, position=position: found["totals"]["rows"] >= position)  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (await desk.see(made["id"]))["state"] == "running"
    process = worker()
    done = await _until(desk, made["id"], lambda found: found["state"] not in {"uploaded", "running"})
    assert (done["state"], done["totals"]) == (
        "succeeded",
        {"rows": ROWS, "created": ROWS - 1, "updated": 1, "skipped": 0, "queued": 0, "failed": 0},
    )
    found = await desk.contacts()
    assert sorted(one["external_ids"][0]["id"] for one in found) == sorted(str(n) for n in range(ROWS))
    assert {one["version"] for one in found if one["id"] != known["id"]} == {1}
    assert [row["row"] for row in await desk.rows(made["id"])] == list(range(1, ROWS + 1))
    await desk.tell(made["id"], "undo", work=False)
    await _until(desk, made["id"], lambda found: sum(found["undone"].values()) >= 100)
    process.send_signal(signal.SIGKILL)
    process.wait()
    worker()
    back = await _until(desk, made["id"], lambda found: found["state"] != "running")
    assert (back["state"], back["undone"]) == ("undone", {"removed": ROWS - 1, "restored": 1, "kept": 0})
    (left,) = await desk.contacts()
    assert {**left, "version": 0, "updated_at": 0} == {**known, "version": 0, "updated_at": 0}


async def test_a_killed_import_of_gifts_ends_as_if_nothing_had_happened(
    gift_desk: GiftDesk, world: World, worker: Callable[[], Forked]
) -> None:
    lines = [f"crm:{n},p{n % 50}@example.org,{n + 1},USD,2020-01-01\n" for n in range(ROWS)]
    file = "external_id,email,amount,currency,gift_date\n" + "".join(lines)
    made = await gift_desk.send(file, dry_run=False, create_contacts=True)
    for position in (60, 200):
        process = worker()
        await _until(gift_desk, made["id"], lambda found, position=position: found["totals"]["rows"] >= position)  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (await gift_desk.see(made["id"]))["state"] == "running"
    process = worker()
    done = await _until(gift_desk, made["id"], lambda found: found["state"] not in {"uploaded", "running"})
    assert (done["state"], done["totals"]["rows"], done["totals"]["created"]) == ("succeeded", ROWS, ROWS)
    report = await world.get("/v1/donations", params={"include_total": "true", "limit": 1})
    assert report["total"] == ROWS
    assert len(await gift_desk.contacts()) == 50
    await gift_desk.tell(made["id"], "undo", work=False)
    await _until(gift_desk, made["id"], lambda found: sum(found["undone"].values()) >= 100)
    process.send_signal(signal.SIGKILL)
    process.wait()
    worker()
    back = await _until(gift_desk, made["id"], lambda found: found["state"] != "running")
    assert (back["state"], back["undone"]) == ("undone", {"removed": ROWS, "restored": 0, "kept": 0})
    assert (await gift_desk.gifts(), await gift_desk.contacts()) == ([], [])
