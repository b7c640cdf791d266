"""Exports over HTTP: every format, filters and columns, rights, formulas, and the way back in."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_api.transfers.formulas import guard, unguard
from tests.support.world import World
from tests.transfers.conftest import Desk

RISKY = ("=1+1", "+380", "-5", "@SUM(A1)", "\tx", "\rx", "'=1", "''+2", "＝1", "plain", "'quoted'", "")


async def export(world: World, expect: int = 202, **body: Any) -> dict[str, Any]:
    """Ask for an export and work; the export as it then is."""
    made = await world.post("/v1/exports", {"resource": "contacts", **body}, expect=expect)
    if expect != 202:
        return dict(made)
    await world.drain()
    found: dict[str, Any] = await world.get(f"/v1/exports/{made['id']}")
    assert found["state"] == "succeeded", found
    return found


async def content(world: World, found: dict[str, Any]) -> bytes:
    """The file behind the link, fetched without credentials."""
    path = found["url"].removeprefix(world.settings.public_url)
    answer = await world.client.get(path, headers={"Authorization": ""})
    assert answer.status_code == 200, answer.text
    return answer.content


async def table(world: World, found: dict[str, Any]) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    return list(csv.DictReader(io.StringIO((await content(world, found)).decode("utf-8-sig"), newline="")))


async def people(world: World) -> list[dict[str, Any]]:
    """A few contacts with everything."""
    whole = await world.contact(
        middle_name="Іванівна",
        emails=[{"address": "olena@example.org", "label": "home"}, {"address": "o@work.example.org", "label": "work"}],
        phones=[{"number": "+380501234567", "label": "mobile"}],
        addresses=[{"line1": "Хрещатик 1", "city": "Київ", "country": "UA", "postal_code": "01001"}],
        handles=[{"network": "telegram", "handle": "olena_sh"}],
        other_names=[{"type": "latin", "given_name": "Olena", "family_name": "Shevchenko"}],
        external_ids=[{"system": "old-crm", "id": "42"}, {"system": "stripe", "id": "cus:1"}],
        birth_date="1980-05",
        language="uk",
        tags=["friend", "=danger"],
        roles=["volunteer"],
    )
    company = {
        "kind": "organization",
        "organization_name": "=cmd|' /C calc'!A0",
        "given_name": None,
        "family_name": None,
    }
    firm = await world.contact(**company, emails=[{"address": "firm@example.org"}])
    return [whole, firm, await world.contact(given_name="ნინო", family_name="ბერიძე", emails=[])]


async def test_every_format_holds_what_the_list_shows(world: World) -> None:
    whole, firm, nino = await people(world)
    rows = await table(world, await export(world, format="csv"))
    assert [row["id"] for row in rows] == [whole["id"], firm["id"], nino["id"]]
    assert (rows[0]["given_name"], rows[0]["email"], rows[0]["city"], rows[0]["tags"]) == (
        "Олена",
        "olena@example.org",
        "Київ",
        "friend; =danger",
    )
    assert rows[0]["phone"] == "'+380501234567"
    assert rows[0]["external_id"] == "old-crm:42"
    assert rows[1]["organization_name"] == "'=cmd|' /C calc'!A0"
    found = await export(world, format="xlsx", columns=["id", "organization_name", "phone", "version"])
    sheet = openpyxl.load_workbook(io.BytesIO(await content(world, found))).active
    assert [[cell.value for cell in row] for row in sheet.iter_rows()][:3] == [
        ["id", "organization_name", "phone", "version"],
        [whole["id"], None, "+380501234567", 1],
        [firm["id"], "=cmd|' /C calc'!A0", None, 1],
    ]
    assert sheet["B3"].data_type == "s", "text, not a formula"
    found = await export(world, format="jsonl", filter={"city": "київ"})
    (line,) = (await content(world, found)).decode().splitlines()
    shown = json.loads(line)
    assert {name: shown[name] for name in ("emails", "tags", "role_details")} == {
        name: whole[name] for name in ("emails", "tags", "role_details")
    }
    assert (found["rows"], found["progress"], found["file_size"]) == (1, 1.0, len(line.encode()) + 1)


async def test_an_export_comes_back_as_the_same_contacts(world: World, desk: Desk, make_world: Any) -> None:
    before = await people(world)
    for form in ("csv", "xlsx"):
        file = await content(world, await export(world, format=form))
        again = await desk.done(file, filename=f"people.{form}", dry_run=False)
        assert again["totals"] == {"rows": 3, "created": 0, "updated": 0, "skipped": 3, "queued": 0, "failed": 0}, (
            form,
            again["state"],
            again["reason"],
            await world.jobs(),
        )
        assert await desk.contacts() == before
    other = Desk(await make_world())
    moved = await other.done(file, filename="people.xlsx", dry_run=False)
    assert moved["totals"]["created"] == 3, (moved, await other.rows(moved["id"]))
    own = {"id", "created_at", "updated_at", "source"}
    assert [{k: v for k, v in one.items() if k not in own} for one in await other.contacts()] == [
        {k: v for k, v in one.items() if k not in own} for one in before
    ]


async def test_what_somebody_may_not_read_is_not_in_their_file(world: World) -> None:
    fields = [("diagnosis", "beneficiary_sensitive"), ("shirt", "internal")]
    for key, sensitivity in fields:
        await world.post(
            "/v1/custom-fields",
            {"resource": "contacts", "key": key, "label": key, "type": "text", "sensitivity": sensitivity},
        )
    await world.drain()
    await world.contact(custom={"diagnosis": "secret word", "shirt": "XL"})
    full = await export(world, format="csv")
    (row,) = await table(world, full)
    assert (row["custom.diagnosis"], row["custom.shirt"]) == ("secret word", "XL")
    scopes = ["contacts:read", "exports:read", "exports:write"]
    key = (await world.post("/v1/api-keys", {"name": "Website", "scopes": scopes}))["key"]
    headers = {"Authorization": f"Bearer {key}"}
    seen = await world.get(f"/v1/exports/{full['id']}", headers=headers)
    assert seen["url"] is None, "what the file holds is more than this key may read"
    made = await world.post("/v1/exports", {"resource": "contacts", "format": "csv"}, expect=202, headers=headers)
    await world.drain()
    (row,) = await table(world, await world.get(f"/v1/exports/{made['id']}", headers=headers))
    assert row["custom.shirt"] == "XL"
    assert "custom.diagnosis" not in row
    refused = {"resource": "contacts", "columns": ["custom.diagnosis"]}
    await world.post("/v1/exports", refused, expect=422, headers=headers)
    denied = await world.post("/v1/exports", {"resource": "donations"}, expect=403, headers=headers)
    assert denied["scope"] == "donations:read"


async def test_gifts_are_exported_in_main_units(world: World) -> None:
    contact = await world.contact()
    await world.donation(contact["id"], 12550, "UAH")
    rows = await table(world, await export(world, resource="donations", format="csv"))
    assert (rows[0]["amount"], rows[0]["amount_currency"], rows[0]["contact_id"]) == ("125.50", "UAH", contact["id"])


async def test_a_filter_holds_values_as_json_has_them(world: World) -> None:
    await world.post("/v1/custom-fields", {"key": "rank", "label": "Rank", "type": "number", "filterable": True})
    for tag, rank in (("a", 5), ("b", 5), ("a", 6), ("c", 5)):
        await world.contact(given_name=f"{tag}{rank}", tags=[tag], custom={"rank": rank}, emails=[])
    found = await export(world, format="csv", filter={"tag": ["a", "b"], "custom.rank": 5})
    assert found["filter"] == {"tag[in]": "a,b", "custom.rank": "5"}
    assert [row["given_name"] for row in await table(world, found)] == ["a5", "b5"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"filter": {"tag": [["a"]]}}, "/filter/tag"),
        ({"filter": {"no_such": "x"}}, "/filter/no_such"),
        ({"filter": {"limit": "5"}}, "/filter/limit"),
        ({"filter": {"created_at[gte]": "yesterday"}}, "/filter/created_at[gte]"),
        ({"columns": ["id", "no_such"]}, "/columns"),
        ({"columns": ["id", "id"]}, "/columns"),
    ],
)
async def test_what_cannot_be_exported_says_so_at_once(world: World, body: dict[str, Any], pointer: str) -> None:
    problem = await export(world, expect=422, **body)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_the_file_is_deleted_after_some_days(world: World) -> None:
    start = datetime.now(UTC)
    await world.set_clock(start)
    await world.contact()
    found = await export(world, format="csv")
    await content(world, found)
    await world.set_clock(start + timedelta(days=5))
    await world.drain()
    gone = await world.get(f"/v1/exports/{found['id']}")
    assert (gone["state"], gone["url"]) == ("expired", None)
    path = found["url"].removeprefix(world.settings.public_url)
    assert (await world.client.get(path)).status_code == 404


@given(st.one_of(st.text(), st.sampled_from(RISKY), st.text("'=+-@\t\r＝a;\n", max_size=8)))
def test_no_cell_is_a_formula_and_every_cell_comes_back(text: str) -> None:
    written = guard(text)
    assert written[:1] not in tuple("=+-@\t\r\n＝＋－＠")
    for part in re.split("[;\t\r\n]", written)[1:]:  # where a semicolon separates, our quotation marks hold nothing
        assert part[:1] not in tuple("=+-@＝＋－＠")
    assert unguard(written) == text


async def test_the_members_of_a_segment_are_a_file_now_and_as_they_were(world: World) -> None:
    start = datetime(2026, 11, 22, 9, tzinfo=UTC)
    await world.set_clock(start)
    olena = await world.contact(phones=[{"number": "+380501234567"}], addresses=[{"city": "Kyiv", "country": "UA"}])
    nino = await world.contact(given_name="=1+1", family_name="Beridze", tags=["board"], emails=[])
    await world.contact(given_name="Never", family_name="There", emails=[])
    listed = await world.post("/v1/segments", {"name": "Guests"})
    path = f"/v1/segments/{listed['id']}/members"
    await world.post(path, {"contact_ids": [olena["id"], nino["id"]]}, expect=200)
    await world.set_clock(start + timedelta(days=1))
    await world.post(f"{path}/remove", {"contact_ids": [olena["id"]]}, expect=200)

    async def file(form: str = "csv", **wanted: Any) -> dict[str, Any]:
        return await export(world, resource="segment-members", format=form, **wanted)

    now = {"segment_id": listed["id"]}
    (row,) = await table(world, await file(filter=now))
    assert (row["id"], row["given_name"], row["tags"], row["entered_at"]) == (
        nino["id"],
        "'=1+1",
        "board",
        "2026-11-22T09:00:00Z",
    )
    then = {**now, "as_of": "2026-11-22T12:00:00Z"}
    found = await file("jsonl", filter=then, columns=["id", "entered_at", "phone"])
    lines = [json.loads(line) for line in (await content(world, found)).decode().splitlines()]
    page = await world.get(path, params={"as_of": then["as_of"]})
    assert {one["id"]: one["entered_at"] for one in lines} == {
        one["contact_id"]: one["entered_at"] for one in page["data"]
    }
    assert [one["id"] for one in lines] == [olena["id"], nino["id"]]
    assert (found["rows"], lines[0]["phone"]) == (2, "+380501234567")
    found = await file("xlsx", filter={**then, "city": "Kyiv"}, columns=["given_name", "entered_at"])
    sheet = openpyxl.load_workbook(io.BytesIO(await content(world, found))).active
    assert [[cell.value for cell in line] for line in sheet.iter_rows()] == [
        ["given_name", "entered_at"],
        ["Олена", "2026-11-22T09:00:00Z"],
    ]
    assert (await file(filter={**now, "as_of": "2026-11-22T08:00:00Z"}))["rows"] == 0, "nobody was in it yet"


async def test_a_segment_is_exported_by_whoever_may_read_it_and_its_contacts(world: World) -> None:
    listed = await world.post("/v1/segments", {"name": "Guests"})
    wanted: dict[str, Any] = {"resource": "segment-members", "filter": {"segment_id": listed["id"]}}
    scopes = ["contacts:read", "exports:read", "exports:write"]
    for missing, held in (("segments:read", "contacts:read"), ("contacts:read", "segments:read")):
        given = [*scopes[1:], held]
        key = (await world.post("/v1/api-keys", {"name": held, "scopes": given}))["key"]
        denied = await world.post("/v1/exports", wanted, expect=403, headers={"Authorization": f"Bearer {key}"})
        assert denied["scope"] == missing
    for filters, pointer in (
        ({}, "/filter/segment_id"),
        ({"segment_id": "guests"}, "/filter/segment_id"),
        ({"segment_id": "01890000-0000-7000-8000-000000000000"}, "/filter/segment_id"),
        ({**wanted["filter"], "as_of": "yesterday"}, "/filter/as_of"),
        ({**wanted["filter"], "no_such": "x"}, "/filter/no_such"),
    ):
        problem = await world.post("/v1/exports", {**wanted, "filter": filters}, expect=422)
        assert [error["pointer"] for error in problem["errors"]] == [pointer], filters
