"""Lists: pages that hold every row once, cursors that belong to one filter and sort, filters that are typed."""

from __future__ import annotations

import base64
import hmac
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_api.kit.cursors import _CURSOR_KEY
from tests.api.surface import Planted, operations
from tests.support.effort import examples
from tests.support.services import Services
from tests.support.world import World, open_world

START = datetime(2024, 2, 28, 12, tzinfo=UTC)


@dataclass
class Shelf:
    """An organization with gifts, many of one instant, and what was put in."""

    world: World
    gifts: list[dict[str, Any]]


@pytest.fixture(scope="module")
async def shelf(
    database_url: str, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shelf]:
    """60 gifts over 7 instants, so that most sort values are shared."""
    world = await open_world(database_url, services, tmp_path_factory.mktemp("mail"))
    contacts = [(await world.contact(given_name=f"Donor {n}", emails=[]))["id"] for n in range(3)]
    gifts = []
    for number in range(60):
        gifts.append(
            await world.donation(
                contacts[number % 3],
                amount=1000 + number % 5,
                currency=("USD", "EUR")[number % 2],
                method=("cash", "card", "bank_transfer")[number % 3],
                received_at=(START + timedelta(days=number % 7)).isoformat(),
            )
        )
    yield Shelf(world, gifts)
    await world.close()


async def walk(world: World, path: str, **query: Any) -> list[dict[str, Any]]:
    """Every row of a list, page by page over the Link header, which must agree with the body."""
    found: list[dict[str, Any]] = []
    answer = await world.client.get(path, params=query)
    for _ in range(500):
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["data"]
        assert page["has_more"] == (page["next_cursor"] is not None) == ("link" in answer.headers)
        if not page["has_more"]:
            return found
        assert len(page["data"]) == int(query.get("limit", 50))
        link, _, relation = answer.headers["link"].partition("; ")
        assert relation == 'rel="next"'
        target = link.strip("<>")
        assert urlsplit(target).path == path
        answer = await world.client.get(target)
    raise AssertionError("the list has no end")


def _moment(value: Any) -> Any:
    """What is compared: an instant as one, since written out whole seconds stand behind their fractions."""
    if isinstance(value, dict):
        return value["amount"]  # money is sorted by its minor units
    text = isinstance(value, str) and value.endswith("Z") and value[4:5] == "-"
    return datetime.fromisoformat(value) if text else value


def _in_order(rows: list[dict[str, Any]], sort: str) -> bool:
    name = sort.removeprefix("-")
    keys = [(_moment(row[name]), row["id"]) for row in rows]
    return keys == sorted(keys, reverse=sort.startswith("-"))


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sort=st.sampled_from(["id", "-id", "received_at", "-received_at", "created_at", "-created_at"]),
    limit=st.integers(1, 200),
    chosen=st.sampled_from(
        [{}, {"currency": "EUR"}, {"method[ne]": "cash"}, {"amount[gte]": "1003"}, {"method[in]": "cash,card"}]
    ),
)
async def test_pages_hold_every_row_once(shelf: Shelf, sort: str, limit: int, chosen: dict[str, str]) -> None:
    rows = await walk(shelf.world, "/v1/donations", sort=sort, limit=str(max(limit, 3)), **chosen)
    assert _in_order(rows, sort)
    expected = {row["id"] for row in shelf.gifts if _matches(row, chosen)}
    assert len(rows) == len(expected)
    assert {row["id"] for row in rows} == expected


def _matches(row: dict[str, Any], chosen: dict[str, str]) -> bool:
    tests: dict[str, Callable[[str], bool]] = {
        "currency": lambda value: row["amount"]["currency"] == value,
        "method[ne]": lambda value: row["method"] != value,
        "amount[gte]": lambda value: row["amount"]["amount"] >= int(value),
        "method[in]": lambda value: row["method"] in value.split(","),
    }
    return all(tests[name](value) for name, value in chosen.items())


async def test_pages_of_one(shelf: Shelf) -> None:
    rows = await walk(shelf.world, "/v1/donations", limit="1", sort="received_at", currency="EUR")
    assert [row["id"] for row in rows] == [
        row["id"]
        for row in sorted(shelf.gifts, key=lambda row: (row["received_at"], row["id"]))
        if row["amount"]["currency"] == "EUR"
    ]


@pytest.mark.parametrize("sort", ["id", "-id", "received_at", "-received_at"])
async def test_rows_that_come_meanwhile_move_nothing(make_world: Any, sort: str) -> None:
    """What was there when the walk began comes exactly once, whatever is added on both sides of the cursor."""
    world: World = await make_world()
    contact = (await world.contact())["id"]

    async def add(day: int) -> str:
        moment = (START + timedelta(days=day)).isoformat()
        return str((await world.donation(contact, received_at=moment))["id"])

    there = [await add(day) for day in (10, 10, 10, 20, 20, 30, 30, 30)]
    seen: list[str] = []
    query = {"sort": sort, "limit": "3"}
    page = await world.get("/v1/donations", params=query)
    for _ in range(20):
        seen += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            break
        for day in (5, 10, 25, 35):
            await add(day)
        page = await world.get("/v1/donations", params={**query, "cursor": page["next_cursor"]})
    assert len(seen) == len(set(seen))
    assert set(there) <= set(seen)


async def test_every_list_walks_under_every_sort(planted: Planted) -> None:
    world = planted.world
    for code in ("b", "c", "d"):
        await world.post("/v1/funds", {"code": code, "name": code})
        await world.post("/v1/campaigns", {"code": code, "name": code})
        appeal = {"campaign_id": planted.ids["campaign_id"], "code": code, "name": code, "channel": "email"}
        await world.post("/v1/appeals", appeal)
        await world.contact(given_name=code)
        await world.post("/v1/members", {"email": f"{code}@fund.example", "role": "viewer"})
        await world.post("/v1/deals", {"pipeline_id": planted.ids["pipeline_id"], "title": code})
        await world.post("/v1/pipelines", {"name": code})
        rate = {
            "source_currency": "USD",
            "target_currency": "EUR",
            "rate": "0.9",
            "rate_date": f"2026-01-1{ord(code) % 9}",
        }
        await world.post("/v1/exchange-rates", rate)
    lists = [operation for operation in operations() if operation.is_list]
    assert len(lists) >= 15
    for operation in lists:
        path = planted.url(operation)
        (sorts,) = [one["schema"]["enum"] for one in operation.parameters if one["name"] == "sort"]
        whole = await world.get(path, params={"limit": 200, "include_total": "true"})
        ids = {row["id"] for row in await walk(world, path, limit="200")}
        assert whole["total"] == len(ids) > 0, operation
        for sort in sorts:
            rows = await walk(world, path, sort=sort, limit=str(max(2, len(ids) // 20)))
            assert {row["id"] for row in rows} == ids, f"{operation} sort={sort}"
            assert len(rows) == len(ids), f"{operation} sort={sort}"
            if sort.removeprefix("-") in rows[0]:
                assert _in_order(rows, sort), f"{operation} sort={sort}"


async def test_filters_agree_with_their_rows(planted: Planted) -> None:
    """Every equality filter of every list, asked for a value that a row has, gives back that row."""
    world = planted.world
    asked = 0
    for operation in operations():
        if not operation.is_list:
            continue
        path = planted.url(operation)
        row = (await world.get(path))["data"][0]
        names = {one["name"] for one in operation.parameters if one["in"] == "query"}
        for name in names:
            field, _, operator = name.removesuffix("]").partition("[")
            value = row.get(field)
            if value is None or isinstance(value, bool | dict | list):
                continue
            if operator in {"", "in", "gte", "lte"}:
                found = await world.get(path, params={name: value, "limit": 200})
                assert row["id"] in {one["id"] for one in found["data"]}, f"{operation} {name}={value}"
                if operator == "":
                    assert all(one[field] == value for one in found["data"]), f"{operation} {name}={value}"
                asked += 1
            if operator in {"ne", "gt", "lt"}:
                found = await world.get(path, params={name: value, "limit": 200})
                assert row["id"] not in {one["id"] for one in found["data"]}, f"{operation} {name}={value}"
                asked += 1
    assert asked > 80


async def test_each_operator(shelf: Shelf) -> None:
    async def count(**query: Any) -> int:
        page = await shelf.world.get("/v1/donations", params={"limit": 200, **query})
        return len(page["data"])

    moment = START + timedelta(days=3)
    gifts = shelf.gifts
    received = [datetime.fromisoformat(row["received_at"]) for row in gifts]
    amounts = [row["amount"]["amount"] for row in gifts]
    text = moment.isoformat()
    assert await count(**{"received_at[gt]": text}) == sum(one > moment for one in received)
    assert await count(**{"received_at[gte]": text}) == sum(one >= moment for one in received)
    assert await count(**{"received_at[lt]": text}) == sum(one < moment for one in received)
    assert await count(**{"received_at[lte]": text}) == sum(one <= moment for one in received)
    assert await count(received_at=text) == sum(one == moment for one in received)
    assert await count(**{"received_at[gte]": text.replace("+00:00", "Z"), "received_at[lt]": "2024-03-04T12:00:00+02:00"}) == sum(
        moment <= one < datetime.fromisoformat("2024-03-04T12:00:00+02:00") for one in received)  # fmt: skip
    assert await count(amount="1002") == amounts.count(1002)
    assert await count(**{"amount[gt]": "1002"}) == sum(one > 1002 for one in amounts)
    assert await count(**{"amount[lte]": "1002"}) == sum(one <= 1002 for one in amounts)
    assert await count(**{"gift_date[gte]": "2024-03-01"}) == sum(row["gift_date"] >= "2024-03-01" for row in gifts)
    assert await count(**{"method[ne]": "cash"}) == sum(row["method"] != "cash" for row in gifts)
    assert await count(**{"method[in]": "cash,card"}) == sum(row["method"] != "bank_transfer" for row in gifts)
    assert await count(**{"currency[in]": "EUR,XXX"}) == sum(row["amount"]["currency"] == "EUR" for row in gifts)
    assert await count(**{"id[in]": ",".join(row["id"] for row in gifts[:7])}) == 7
    assert await count(currency="EUR", method="cash", amount="1000") == sum(
        row["amount"] == {"amount": 1000, "currency": "EUR"} and row["method"] == "cash" for row in gifts
    )


async def test_contacts_are_found_by_what_they_are_known_by(world: World) -> None:
    olena = await world.contact(
        emails=[{"address": "Olena@Example.org"}, {"address": "work@example.org"}],
        phones=[{"number": "+380501234567"}],
        addresses=[{"city": "Київ", "country": "UA"}],
        tags=["friend", "Major"],
    )
    nino = await world.contact(given_name="ნინო", family_name="ბერიძე", emails=[], addresses=[{"city": "Tbilisi"}])
    both = {olena["id"], nino["id"]}

    async def found(**query: str) -> set[str]:
        return {row["id"] for row in (await world.get("/v1/contacts", params=query))["data"]}

    for query in (
        {"email": "olena@example.ORG"}, {"email": "work@example.org"}, {"email[in]": "x@x.org,work@example.org"},
        {"phone": "+380 50 123-45-67"}, {"city": "київ"}, {"country": "ua"}, {"tag": "friend"}, {"tag[in]": "a,Major"},
        {"q": "олен"}, {"q": "шевч ОЛЕ"}, {"q": "olena@exa"}, {"q": "+38050"}, {"q": "Шевченко", "city": "Київ"},
        {"email": "olena@example.org", "tag": "Major", "city": "київ"},
    ):  # fmt: skip
        assert await found(**query) == {olena["id"]}, query
    assert await found(q="ნინო") == {nino["id"]}
    assert await found(kind="person") == both
    for query in ({"tag": "FRIEND"}, {"email": "olena@example.or"}, {"q": "ена"}, {"role": "donor"}, {"city": "Lviv"}):
        assert await found(**query) == set(), query
    rows = await walk(world, "/v1/contacts", limit="1", kind="person", sort="created_at")
    assert [row["id"] for row in rows] == [olena["id"], nino["id"]]


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ({"nonsense": "1"}, "?nonsense", "invalid_filter"),
        ({"status[like]": "a"}, "?status[like]", "invalid_filter"),
        ({"status": "paid"}, "?status", "invalid_filter"),
        ({"status[in]": "succeeded,paid"}, "?status[in]", "invalid_filter"),
        ({"currency[in]": ""}, "?currency[in]", "invalid_filter"),
        ({"currency[in]": "EUR,,USD"}, "?currency[in]", "invalid_filter"),
        ({"currency": "x" * 501}, "?currency", "invalid_filter"),
        ({"amount[gte]": "ten"}, "?amount[gte]", "invalid_filter"),
        ({"received_at[gte]": "2026-11-22"}, "?received_at[gte]", "invalid_filter"),
        ({"received_at[gte]": "2026-11-22T09:00:00"}, "?received_at[gte]", "invalid_filter"),
        ({"gift_date": "22.11.2026"}, "?gift_date", "invalid_filter"),
        ({"contact_id": "1"}, "?contact_id", "invalid_filter"),
        ({"id[in]": ",".join(["01938d6e-5a00-7000-8000-000000000001"] * 101)}, "?id[in]", "invalid_filter"),
        ({"sort": "amount"}, "?sort", "unknown_sort"),
        ({"sort": "--id"}, "?sort", "unknown_sort"),
        ({"sort": ""}, "?sort", "unknown_sort"),
        ({"limit": "0"}, "?limit", "out_of_range"),
        ({"limit": "201"}, "?limit", "out_of_range"),
        ({"limit": "ten"}, "?limit", "out_of_range"),
        ({"include_total": "1"}, "?include_total", "invalid"),
        ({"cursor": "x"}, "?cursor", "cursor_invalid"),
        ({"cursor": ""}, "?cursor", "cursor_invalid"),
    ],
)
async def test_what_a_list_refuses(shelf: Shelf, query: dict[str, str], pointer: str, code: str) -> None:
    said = await shelf.world.get("/v1/donations", params=query, expect=422)
    assert [(error["pointer"], error["code"]) for error in said["errors"]] == [(pointer, code)]


async def test_at_most_twenty_filters(shelf: Shelf) -> None:
    names = [f"{name}[{operator}]" for name in ("amount", "received_at", "created_at", "gift_date")
             for operator in ("gt", "gte", "lt", "lte")]  # fmt: skip
    values = {
        name: ("2024-03-01" if "date" in name else "1" if "amount" in name else START.isoformat()) for name in names
    }
    more = dict.fromkeys(("provider", "provider_payment_id", "currency"), "x") | {
        "status": "failed",
        "method": "cash",
    }
    said = await shelf.world.get("/v1/donations", params={**values, **more}, expect=422)
    assert said["errors"][0]["code"] == "too_many_filters"


async def test_totals_only_when_asked(shelf: Shelf) -> None:
    page = await shelf.world.get("/v1/donations", params={"limit": 2})
    assert "total" not in page
    page = await shelf.world.get("/v1/donations", params={"limit": 2, "include_total": "true", "currency": "EUR"})
    assert page["total"] == 30
    page = await shelf.world.get("/v1/donations", params={"limit": 2, "include_total": "false"})
    assert "total" not in page


async def test_a_cursor_belongs_to_its_filter_and_sort(shelf: Shelf) -> None:
    world = shelf.world
    first = await world.get("/v1/donations", params={"limit": 2, "currency": "EUR"})
    cursor = first["next_cursor"]
    for query in ({}, {"currency": "USD"}, {"currency": "EUR", "sort": "id"}, {"currency": "EUR", "method": "cash"}):
        said = await world.get("/v1/donations", params={**query, "cursor": cursor}, expect=422)
        assert said["errors"][0]["code"] == "cursor_mismatch", query
    said = await world.get("/v1/contacts", params={"cursor": cursor}, expect=422)
    assert said["errors"][0]["code"] == "cursor_mismatch"
    more = await world.get("/v1/donations", params={"limit": 100, "currency": "EUR", "cursor": cursor})
    assert len(more["data"]) == 28


async def test_a_tampered_cursor_is_refused(shelf: Shelf) -> None:
    cursor = (await shelf.world.get("/v1/donations", params={"limit": 2}))["next_cursor"]
    tampered = [cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(len(cursor) - 1)]
    for text in (*tampered, cursor[:-4], cursor + "AAAA", cursor * 2, "=" * 8, "é", "%00"):
        said = await shelf.world.get("/v1/donations", params={"cursor": text}, expect=422)
        assert said["errors"][0]["code"] == "cursor_invalid", text


def _forge(cursor: str, value: Any, row_id: Any) -> str:
    """A cursor with a correct seal and what the server never wrote: the key is in the source."""
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    payload = orjson.dumps([orjson.loads(raw[6:])[0], value, row_id])
    seal = hmac.digest(_CURSOR_KEY, payload, "sha256")[:6]
    return base64.urlsafe_b64encode(seal + payload).decode().rstrip("=")


_FORGED: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 2**31, 2**53, 2**63 - 1, "", "x", "x\x00", [], {}, "2026-11-22", "2026-11-22T09:00:00",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "01938d6e-5a00-7000-8000-000000000001", ["x"], "1",
)  # fmt: skip


async def test_a_forged_cursor_is_harmless(planted: Planted) -> None:
    """One sort of each kind: an instant, a date, a number, an id."""
    world = planted.world
    row_id = "01938d6e-5a00-7000-8000-000000000001"
    stages = f"/v1/pipelines/{planted.ids['pipeline_id']}/stages"
    for day in ("2020-01-01", "2020-01-02"):  # enough of them for a second page
        rate = {"source_currency": "EUR", "target_currency": "USD", "rate": "1.1", "rate_date": day}
        await world.post("/v1/exchange-rates", rate)
    for path, sort in (
        ("/v1/contacts", "created_at"), ("/v1/exchange-rates", "-rate_date"), (stages, "position"), (stages, "-id"),
    ):  # fmt: skip
        page = await world.get(path, params={"limit": 1, "sort": sort})
        for forged in [(value, row_id) for value in _FORGED] + [(row_id, value) for value in _FORGED]:
            cursor = _forge(page["next_cursor"], *forged)
            answer = await world.client.get(path, params={"limit": 1, "sort": sort, "cursor": cursor})
            assert answer.status_code in {200, 422}, f"{path} sort={sort} {forged}: {answer.text}"


async def test_a_link_keeps_the_filters(shelf: Shelf) -> None:
    answer = await shelf.world.client.get(
        "/v1/donations?limit=2&currency=EUR&received_at[gte]=2024-03-01T00:00:00%2B02:00"
    )
    target = answer.headers["link"].partition(">")[0].strip("<")
    assert target.isascii()
    assert "limit=2" in target
    again = await shelf.world.get(target)
    assert {row["amount"]["currency"] for row in again["data"]} == {"EUR"}
    assert not {row["id"] for row in again["data"]} & {row["id"] for row in answer.json()["data"]}
