"""Many exchange rates at once: as JSON, and as a central bank's file."""

from __future__ import annotations

from typing import Any

from tests.support.world import World


def rate(day: str, value: str, source: str = "EUR", target: str = "USD") -> dict[str, str]:
    return {"source_currency": source, "target_currency": target, "rate": value, "rate_date": day}


async def send(world: World, content: bytes, *, expect: int = 200, **data: str) -> Any:
    files = {"file": ("rates.csv", content, "text/csv")}
    return await world.call("POST", "/v1/exchange-rates/file", expect=expect, files=files, data=data)


async def test_gifts_that_waited_are_stamped_once(world: World) -> None:
    gift = await world.donation(None, 1000, "EUR", received_at="2026-02-20T09:00:00Z")
    assert gift["base_amount"] is None
    days = [rate(f"2026-02-{day:02d}", f"1.{day:02d}") for day in range(1, 29)]
    taken = await world.post("/v1/exchange-rates/batch", {"rates": [*days, days[0]]}, expect=200)
    assert taken == {"created": 28, "updated": 0, "unchanged": 0}
    assert len([job for job in await world.jobs() if job["subscriber"] == "donations.stamp_gifts"]) == 1
    await world.drain()
    shown = await world.get(f"/v1/donations/{gift['id']}")
    assert (shown["base_amount"], shown["base_rate_date"]) == ({"amount": 1200, "currency": "USD"}, "2026-02-20")
    again = [*days[:27], rate("2026-02-28", "1.3"), rate("2026-02-28", "1.4")]
    taken = await world.post("/v1/exchange-rates/batch", {"rates": again}, expect=200)
    assert taken == {"created": 0, "updated": 1, "unchanged": 27}
    newest = (await world.get("/v1/exchange-rates"))["data"][0]
    assert newest["rate"] == "1.4"
    five_thousand = [rate(f"{2000 + n // 336}-{n // 28 % 12 + 1:02d}-{n % 28 + 1:02d}", "2") for n in range(5001)]
    await world.post("/v1/exchange-rates/batch", {"rates": five_thousand}, expect=422)
    taken = await world.post("/v1/exchange-rates/batch", {"rates": five_thousand[:5000]}, expect=200)
    assert taken["created"] == 5000


async def test_a_central_banks_file(world: World) -> None:
    content = "\ufeffDate;source_currency;target_currency;rate\r\n2026-11-21;EUR;UAH;48,1021\r\n\r\n2026-11-22;usd;UAH;41.2\r\n"
    assert await send(world, content.encode(), origin="nbu") == {"created": 2, "updated": 0, "unchanged": 0}
    found = (await world.get("/v1/exchange-rates"))["data"]
    assert [(one["source_currency"], one["rate"], one["origin"]) for one in found] == [
        ("USD", "41.2", "nbu"), ("EUR", "48.1021", "nbu")
    ]  # fmt: skip
    again = b"rate,date,target_currency,source_currency\n41.2,2026-11-22,UAH,USD\n"
    assert await send(world, again, origin="nbu") == {"created": 0, "updated": 0, "unchanged": 1}


REFUSED = [
    (b"date,source_currency,rate\n", "unknown_columns"),
    (b"", "unknown_columns"),
    (b"date,source_currency,target_currency,rate\n", "file_empty"),
    (b"date,source_currency,target_currency,rate\n2026-11-22,EUR,UAH,48\n22.11.2026,EUR,UAH,48\n", "invalid_line"),
    (b"date,source_currency,target_currency,rate\n2026-11-22,EUR,EUR,1\n", "invalid_line"),
    (b"date,source_currency,target_currency,rate\n2026-11-22,EUR,UAH,0\n", "invalid_line"),
    (b"date,source_currency,target_currency,rate\n2026-11-22,EUR\n", "invalid_line"),
    ("date,source_currency,target_currency,rate\nя".encode("cp1251"), "invalid_encoding"),
    (b'date,source_currency,target_currency,rate\n"' + b"x" * 140_000 + b'"\n', "not_csv"),
]


async def test_files_of_which_nothing_is_taken(world: World) -> None:
    for content, code in REFUSED:
        problem = await send(world, content, expect=422)
        assert {one["code"] for one in problem["errors"]} == {code}, content[:80]
    assert (await world.get("/v1/exchange-rates"))["data"] == []
