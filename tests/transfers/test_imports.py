"""The way of an import over HTTP: look, try, change the mapping, run, pause, go on, take back."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from crm_api.transfers.imports import work
from tests.support.world import World
from tests.transfers.conftest import Desk

FIXTURES = Path(__file__).parent.parent / "fixtures/imports"
PEOPLE = (
    "external_id,given_name,family_name,email,phone,city,country,language,tags\n"
    'old:1,Олена,Шевченко,olena@example.org,+380501234567,Київ,UA,uk,"friend, donor"\n'
    "old:2,ნინო,ბერიძე,nino@example.org,+995555123456,თბილისი,GE,ka,friend\n"
    "old:3,John,Smith,john@example.org,,London,GB,en,\n"
)


def counted(found: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in found["totals"].items() if count}


async def test_a_file_is_tried_and_then_written(desk: Desk) -> None:
    tried = await desk.done(PEOPLE)
    assert (tried["state"], tried["progress"], tried["errors_url"]) == ("ready", 1.0, None)
    assert counted(tried) == {"rows": 3, "created": 3}
    assert tried["mapping"] == {name: name for name in PEOPLE.partition("\n")[0].split(",")}
    assert tried["samples"][0]["given_name"] == "Олена"
    assert await desk.contacts() == []
    rows = await desk.rows(tried["id"])
    assert [(row["row"], row["outcome"]) for row in rows] == [(1, "created"), (2, "created"), (3, "created")]
    assert rows[0]["changes"]["given_name"] == {"before": None, "after": "Олена"}
    ran = await desk.tell(tried["id"], "run")
    assert (ran["state"], counted(ran)) == ("succeeded", {"rows": 3, "created": 3})
    olena, nino, john = await desk.contacts()
    assert (olena["display_name"], olena["tags"], olena["source"]["channel"]) == (
        "Олена Шевченко",
        ["friend", "donor"],
        "import",
    )
    assert olena["external_ids"] == [{"system": "old", "id": "1"}]
    assert olena["emails"][0] == {"address": "olena@example.org", "label": None, "is_primary": True, "status": "valid"}
    assert nino["addresses"][0]["city"] == "თბილისი"
    assert john["phones"] == []
    assert [one["id"] for one in await desk.contacts(email="OLENA@example.org")] == [olena["id"]]
    assert [one["id"] for one in await desk.contacts(q="Beridze")] == [nino["id"]]
    again = await desk.done(PEOPLE, dry_run=False)
    assert (again["state"], counted(again)) == ("succeeded", {"rows": 3, "skipped": 3})
    assert [row["reason"] for row in await desk.rows(again["id"])] == ["unchanged"] * 3
    assert [one["version"] for one in await desk.contacts()] == [1, 1, 1]


async def test_without_a_dry_run_it_runs_at_once_and_can_be_taken_back(desk: Desk, world: World) -> None:
    before = await world.contact(external_ids=[{"system": "old", "id": "1"}], tags=["first"])
    ran = await desk.done(PEOPLE, dry_run=False)
    assert (ran["state"], counted(ran)) == ("succeeded", {"rows": 3, "created": 2, "updated": 1})
    changed = await world.get(f"/v1/contacts/{before['id']}")
    assert changed["tags"] == ["first", "friend", "donor"]
    assert changed["language"] == "uk"
    back = await desk.tell(ran["id"], "undo")
    assert (back["state"], back["undone"]) == ("undone", {"removed": 2, "restored": 1, "kept": 0})
    (left,) = await desk.contacts()
    assert {**left, "version": 0, "updated_at": 0} == {**before, "version": 0, "updated_at": 0}
    assert await desk.contacts(tag="friend") == []
    await desk.tell(ran["id"], "undo", expect=409)


async def test_rows_that_cannot_be_read_are_told_apart_and_come_back_as_a_file(desk: Desk, world: World) -> None:
    file = (
        "Ім'я;Прізвище;E-mail;Телефон;Дата народження;Notes\n"
        "Олена;Шевченко;olena@example;;;x\n"
        "Іван;Петренко;ivan@example.org;050 123 45 67;17.05.1980;=1+1\n"
        "Марія;Коваль;maria@example.org;+380 50 765 43 21;1980-05;\n"
        ";;;;;only a note\n"
        "Тарас;Бондар;taras@example.org;;;a;b\n"
        "=cmd;;no;;;x\n"
    )
    tried = await desk.done(file)
    assert tried["detected"]["delimiter"] == ";"
    assert tried["mapping"] == {
        "Ім'я": "given_name", "Прізвище": "family_name", "E-mail": "email", "Телефон": "phone",
        "Дата народження": "birth_date", "Notes": None,
    }  # fmt: skip
    assert counted(tried) == {"rows": 6, "created": 1, "skipped": 1, "failed": 4}
    rows = await desk.rows(tried["id"])
    assert [row["outcome"] for row in rows] == ["failed", "failed", "created", "skipped", "failed", "failed"]
    assert [[error["column"] for error in row["errors"]] for row in rows] == [
        ["E-mail"],
        ["Телефон"],
        [],
        [],
        [""],
        ["E-mail"],
    ]
    assert rows[4]["errors"][0]["code"] == "too_many_cells"
    assert [row["row"] for row in await desk.rows(tried["id"], outcome="failed")] == [1, 2, 5, 6]
    link = tried["errors_url"].removeprefix(world.settings.public_url)
    errors = (await world.client.get(link, headers={"Authorization": ""})).content.decode("utf-8-sig")
    lines = list(csv.reader(io.StringIO(errors, newline="")))
    assert lines[0] == [
        "Ім'я",
        "Прізвище",
        "E-mail",
        "Телефон",
        "Дата народження",
        "Notes",
        "Import row",
        "Import errors",
    ]
    assert lines[2][:2] == ["Іван", "Петренко"]
    assert lines[2][5] == "'=1+1"
    assert "Телефон: This cell has no country code" in lines[2][7]
    assert lines[4][0] == "'=cmd"
    again = await world.patch(f"/v1/imports/{tried['id']}", {"default_country": "UA", "mapping": {"Notes": "tags"}})
    assert again["state"] == "uploaded"
    await world.drain()
    assert counted(await desk.see(tried["id"])) == {"rows": 6, "created": 2, "failed": 4}
    await world.patch(f"/v1/imports/{tried['id']}", {"mapping": {"Nothing": "tags"}}, expect=422)
    ran = await desk.tell(tried["id"], "run")
    assert ran["samples"] == []
    assert sorted(one["phones"][0]["number"] for one in await desk.contacts() if one["phones"]) == [
        "+380501234567",
        "+380507654321",
    ]
    await world.patch(f"/v1/imports/{tried['id']}", {"on_match": "skip"}, expect=409)


async def test_organizations_are_named_by_whatever_column_holds_their_name(desk: Desk) -> None:
    file = (
        "kind,given_name,family_name,email\n"
        "organization,,Добро ТОВ,office@dobro.example.org\n"
        "organization,Red,Cross,rc@example.org\n"
        "organization,,,nameless@example.org\n"
    )
    ran = await desk.done(file, dry_run=False)
    assert counted(ran) == {"rows": 3, "created": 2, "failed": 1}
    found = [(one["kind"], one["organization_name"], one["family_name"]) for one in await desk.contacts()]
    assert found == [("organization", "Добро ТОВ", None), ("organization", "Red Cross", None)]
    (failed,) = await desk.rows(ran["id"], outcome="failed")
    assert failed["errors"][0]["code"] == "organization_name"
    whole = await desk.done(
        "kind,name\norganization,Лікарі без кордонів\n", dry_run=False, mapping={"name": "full_name"}
    )
    assert counted(whole) == {"rows": 1, "created": 1}
    assert (await desk.contacts())[-1]["display_name"] == "Лікарі без кордонів"


async def test_files_of_known_programs_are_recognised(desk: Desk) -> None:
    for preset, totals in (
        ("benevity", {"rows": 2, "created": 1, "skipped": 1}),
        ("donorbox", {"rows": 1, "created": 1}),
        ("google_forms", {"rows": 1, "created": 1}),
    ):
        tried = await desk.done((FIXTURES / f"{preset}.csv").read_bytes(), default_country="UA")
        assert (tried["options"]["preset"], counted(tried)) == (preset, totals)
        ran = await desk.tell(tried["id"], "run")
        assert counted(ran) == totals
    assert (await desk.done(PEOPLE))["options"]["preset"] is None


async def test_a_mapping_is_understood_from_either_side(desk: Desk, world: World) -> None:
    file = "Vorname,Post\nОлена,olena@example.org\n"
    for mapping in ({"Vorname": "given_name", "Post": "email"}, {"given_name": "Vorname", "email": "Post"}):
        tried = await desk.done(file, mapping=mapping)
        assert tried["mapping"] == {"Vorname": "given_name", "Post": "email"}
        assert counted(tried) == {"rows": 1, "created": 1}
    await world.patch(f"/v1/imports/{tried['id']}", {"mapping": {"family_name": "Vorname"}})
    await world.drain()
    assert (await desk.see(tried["id"]))["mapping"] == {"Vorname": "family_name", "Post": "email"}
    for neither in ({"Vorname": "Post"}, {"given_name": "Vorname", "nothing": "Post"}):
        problem = await desk.send(file, mapping=neither, expect=422)
        assert problem["errors"][0]["pointer"] == "/options/mapping"


MATCHES = (
    "external_id,given_name,family_name,email,language\n"
    "old:1,Олена,Шевченко,,uk\n"  # its external id
    ",Olena,Shevchenko,SHARED@example.org,en\n"  # its e-mail and its name, in another script
    ",Іван,Шевченко,shared@example.org,uk\n"  # the same e-mail, another person of the family
    "old:2,Олена,Шевченко,shared@example.org,uk\n"  # the old system knows this one under another id
)


@pytest.mark.parametrize(
    ("on_match", "totals"),
    [
        ("update", {"rows": 4, "created": 2, "updated": 2}),
        ("skip", {"rows": 4, "created": 2, "skipped": 2}),
        ("create", {"rows": 4, "created": 2, "updated": 1, "failed": 1}),
        ("queue", {}),
    ],
)
async def test_whom_a_row_meets_and_what_then(desk: Desk, world: World, on_match: str, totals: dict[str, int]) -> None:
    known = await world.contact(external_ids=[{"system": "old", "id": "1"}], emails=[{"address": "shared@example.org"}])
    tried = await desk.done(MATCHES, on_match=on_match)
    ran = await desk.done(MATCHES, on_match=on_match, dry_run=False)
    assert counted(tried) == counted(ran), "a dry run says what then happens"
    if on_match != "queue":
        assert counted(ran) == totals
    rows = await desk.rows(ran["id"])
    # The last row meets what the second has made, where that is a contact of its own.
    last = "email" if on_match in {"create", "queue"} else None
    assert [row["matched_by"] for row in rows] == ["external_id", "email", None, last]
    if on_match == "create":
        assert rows[0]["errors"][0]["code"] == "external_id_taken"
    if on_match == "queue":
        queued = [row["record_id"] for row in rows if row["outcome"] == "queued"]
        pairs = (await world.get("/v1/duplicates"))["data"]
        assert queued
        assert {known["id"], queued[0]} in [set(pair["contact_ids"]) for pair in pairs]
    back = await desk.tell(ran["id"], "undo")
    assert back["undone"]["kept"] == 0
    (left,) = await desk.contacts()
    assert left["id"] == known["id"]


async def test_rows_of_one_person_in_one_file_become_one_contact(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when they stand in different chunks, and whatever `on_match` says: they meet what the file itself made."""
    monkeypatch.setattr(work, "CHUNK", 2)
    lines = ["external_id,given_name,family_name,email,tags"]
    for turn in range(3):
        lines += [f"old:{n},Олена,Number{n},p{n}@example.org,t{turn}" for n in range(3)]
    file = "\n".join(lines) + "\n"
    for on_match in ("skip", "update"):
        tried = await desk.done(file, on_match=on_match)
        assert counted(tried) == {"rows": 9, "created": 3, "updated": 6}
    ran = await desk.done(file, on_match="create", dry_run=False)
    assert counted(ran) == {"rows": 9, "created": 3, "updated": 6}
    assert [one["tags"] for one in await desk.contacts()] == [["t0", "t1", "t2"]] * 3
    back = await desk.tell(ran["id"], "undo")
    assert back["undone"] == {"removed": 3, "restored": 0, "kept": 0}
    assert await desk.contacts() == []


async def test_what_was_touched_since_is_kept_by_undo_and_listed(desk: Desk, world: World) -> None:
    before = await world.contact(external_ids=[{"system": "old", "id": "9"}], language="en")
    file = PEOPLE + "old:9,Олена,Нова,,,Одеса,,uk,x\n"
    ran = await desk.done(file, dry_run=False)
    _, olena, nino, _ = await desk.contacts()
    await world.patch(f"/v1/contacts/{olena['id']}", {"tags": ["touched"]})
    await world.donation(nino["id"])
    await world.drain()
    await world.patch(f"/v1/contacts/{before['id']}", {"language": "ka"})
    back = await desk.tell(ran["id"], "undo")
    assert back["undone"] == {"removed": 1, "restored": 0, "kept": 3}
    rows = await desk.rows(ran["id"])
    assert [(row["outcome"], row["undone"]) for row in rows] == [
        ("created", "kept"),
        ("created", "kept"),
        ("created", "removed"),
        ("updated", "kept"),
    ]
    left = {one["id"]: one for one in await desk.contacts()}
    assert left.keys() == {before["id"], olena["id"], nino["id"]}
    changed = left[before["id"]]
    assert (changed["family_name"], changed["addresses"], changed["tags"]) == ("Шевченко", [], [])
    assert changed["language"] == "ka", "what somebody has changed since stays"
    assert await desk.contacts(city="Одеса") == []


async def test_a_pause_holds_between_chunks_and_a_run_goes_on(
    desk: Desk, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "CHUNK", 10)
    file = "given_name,email\n" + "".join(f"P{n},p{n}@example.org\n" for n in range(95))
    tried = await desk.done(file)
    seen: list[int] = []
    original = work._Run._chunk

    async def chunk(self: Any, parsed: Any, progress: int) -> None:
        await original(self, parsed, progress)
        seen.append(self.row["position"])
        if self.row["phase"] == "import" and self.row["position"] == 30:
            paused = await desk.tell(tried["id"], "pause", expect=200, work=False)
            assert paused["state"] == "paused"

    monkeypatch.setattr(work._Run, "_chunk", chunk)
    held = await desk.tell(tried["id"], "run")
    assert (held["state"], counted(held)) == ("paused", {"rows": 30, "created": 30})
    assert 0 < held["progress"] < 1
    assert len(await desk.contacts()) == 30
    done = await desk.tell(tried["id"], "run")
    assert (done["state"], counted(done)) == ("succeeded", {"rows": 95, "created": 95})
    assert seen == [10, 20, 30, 40, 50, 60, 70, 80, 90, 95]
    await desk.tell(tried["id"], "pause", expect=409)
    await desk.tell(tried["id"], "run", expect=409)


async def test_only_those_who_may_read_a_field_can_fill_it_and_see_it(desk: Desk, world: World) -> None:
    field = {
        "resource": "contacts",
        "key": "diagnosis",
        "label": "Diagnosis",
        "type": "text",
        "sensitivity": "beneficiary_sensitive",
    }
    await world.post("/v1/custom-fields", field)
    await world.drain()
    file = "given_name,email,Diagnosis\nОлена,olena@example.org,secret word\n"
    ran = await desk.done(file, dry_run=True)
    assert ran["mapping"]["Diagnosis"] == "custom.diagnosis"
    scopes = ["contacts:read", "contacts:write"]
    headers = {
        "Authorization": f"Bearer {(await world.post('/v1/api-keys', {'name': 'Web', 'scopes': scopes}))['key']}"
    }
    for path in ("", "/rows"):
        full = await world.get(f"/v1/imports/{ran['id']}{path}")
        cut = await world.get(f"/v1/imports/{ran['id']}{path}", headers=headers)
        assert "secret word" in str(full)
        assert "secret word" not in str(cut)
    world.client.headers["Authorization"] = headers["Authorization"]
    refused = await desk.done(file)
    (row,) = await desk.rows(refused["id"])
    assert (row["outcome"], row["errors"][0]["column"]) == ("failed", "Diagnosis")
