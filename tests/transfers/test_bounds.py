"""What a file can do to the worker: rows, sheets and imports without end; and who a row of an old export is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import openpyxl
import pytest

from crm_api.contacts.dedupe import merging
from crm_api.kit.ids import new_id
from crm_api.transfers.exports import work as exporting
from crm_api.transfers.imports import reading, work, workbook_child
from crm_api.transfers.imports.kinds import ParsedRow
from crm_api.transfers.imports.reading import Shape, Table, Unreadable
from crm_api.transfers.places import Places
from tests.support.world import World
from tests.transfers.conftest import Desk


def _table(folder: Path, content: bytes) -> Table:
    path = folder / "table"
    path.write_bytes(content)
    return Table(path, Shape("utf-8", ","))


@pytest.mark.parametrize(
    "row",
    [b"," * 5_000, b'"a\nb",' * 1_000, b'"' + b"x\n" * 2_500 + b'"'],
    ids=["cells without end", "a row of many lines", "a cell of many lines"],
)
def test_a_row_without_end_is_refused_before_it_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: bytes
) -> None:
    monkeypatch.setattr(reading, "_LONGEST_ROW", 4_000)
    table = _table(tmp_path, b"given_name,email\nA,a@example.org\n" + row + b"\nB,b@example.org\n")
    with pytest.raises(Unreadable) as refused:
        list(table.rows())
    assert refused.value.code == "row_too_long"
    with pytest.raises(Unreadable):
        _table(tmp_path, row + b"\n")
    many = _table(tmp_path, b"given_name,email\n" + b"A,a@example.org\n" * 1_000)
    assert sum(1 for _ in many.rows()) == 1_000, "the bound is of one row, not of all"


def test_large_rows_come_in_small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_LARGEST_CHUNK", 1_000)
    rows = iter([(number, ["x" * 400]) for number in range(1, 8)])
    found = []
    while chunk := work._read(rows, ParsedRow):
        found.append([one.number for one in chunk])
    assert found == [[1, 2, 3], [4, 5, 6], [7]]


def test_a_text_that_many_cells_share_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook_child, "_LARGEST_SHEET", 1_000_000)
    book = openpyxl.Workbook()
    for _ in range(100):
        book.active.append(["x" * 30_000] * 10)
    source, target = tmp_path / "bomb.xlsx", tmp_path / "sheet.csv"
    book.save(source)
    assert source.stat().st_size < 50_000
    assert workbook_child.convert(str(source), str(target), None) == {"error": "too_large"}
    assert target.stat().st_size < 2_000_000


def test_an_organization_has_one_place_and_others_theirs() -> None:
    places, one, other, third = Places(2), new_id(), new_id(), new_id()
    with places.taken(new_id(), one):
        assert not places.free_for(one)
        assert places.free_for(other)
        with places.taken(new_id(), other):
            assert not places.free_for(third)
        assert places.free_for(third)
    assert places.free_for(one)


async def test_a_second_import_and_a_second_export_wait_for_the_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = desk.world
    at_work: dict[str, int] = {}
    most: dict[str, int] = {}

    def counted(name: str, inner: Any) -> Any:
        async def counting(*arguments: Any) -> None:
            at_work[name] = at_work.get(name, 0) + 1
            most[name] = max(most.get(name, 0), at_work[name])
            await asyncio.sleep(0.1)
            await inner(*arguments)
            at_work[name] -= 1

        return counting

    monkeypatch.setattr(work, "_work", counted("imports", work._work))
    monkeypatch.setattr(exporting, "_work", counted("exports", exporting._work))
    made = [await desk.send(f"given_name,email\nA{n},a{n}@example.org\n", dry_run=False) for n in range(2)]
    asked = [await world.post("/v1/exports", {"resource": "contacts"}, expect=202) for _ in range(2)]
    await world.drain()
    await asyncio.sleep(3.2)
    await world.drain()
    assert most == {"imports": 1, "exports": 1}
    assert {(await desk.see(one["id"]))["state"] for one in made} == {"succeeded"}
    assert {(await world.get(f"/v1/exports/{one['id']}"))["state"] for one in asked} == {"succeeded"}


async def test_a_row_with_the_id_of_a_merged_contact_is_its_survivor(desk: Desk) -> None:
    world = desk.world
    survivor = (await world.contact(given_name="A", emails=[]))["id"]
    retired = (await world.contact(given_name="B", emails=[]))["id"]
    await world.post(f"/v1/contacts/{survivor}/merge", {"from": [retired]})
    await world.drain()
    file = f"id,given_name,city\n{retired},B,Lviv\n"
    tried = await desk.done(file)
    assert tried["totals"]["updated"] == 1
    done = await desk.tell(tried["id"], "run")
    assert (done["totals"]["created"], done["totals"]["updated"]) == (0, 1)
    (found,) = await desk.contacts()
    assert (found["id"], found["addresses"][0]["city"]) == (survivor, "Lviv")


async def test_a_merge_while_a_chunk_waits_makes_no_second_contact(desk: Desk) -> None:
    world = desk.world
    survivor = (await world.contact(given_name="Anna", emails=[]))["id"]
    retired = (await world.contact(given_name="Anna", emails=[{"address": "anna@example.org"}]))["id"]
    made = await desk.send("given_name,email,city\nAnna,anna@example.org,Lviv\n", dry_run=False)
    async with world.worker.database.write(world.tenant) as session:
        await merging.merge_contacts(session, UUID(survivor), [UUID(retired)])
        await session.flush()
        working = asyncio.create_task(world.drain())
        await asyncio.sleep(1.0)  # the chunk has found who has the address, and waits for the lock
    await working
    done = await desk.see(made["id"])
    assert (done["state"], done["totals"]["created"], done["totals"]["updated"]) == ("succeeded", 0, 1)
    (found,) = await desk.contacts()
    assert (found["id"], found["addresses"][0]["city"]) == (survivor, "Lviv")


async def test_a_subject_export_is_for_those_who_may_read_everything(world: World) -> None:
    contact = await world.contact()
    key = (await world.post("/v1/api-keys", {"name": "Some", "scopes": ["privacy:read", "privacy:write"]}))["key"]
    headers = {"Authorization": f"Bearer {key}"}
    path = f"/v1/contacts/{contact['id']}/subject-export"
    made = await world.post(path, expect=202, headers=headers)
    await world.drain()
    own = f"/v1/subject-exports/{made['id']}"
    assert (await world.get(own, headers=headers))["download"] is None
    assert json.dumps((await world.get(own))["download"]).count("/v1/files/") == 1
