"""Charts over HTTP, and what every chart must hold: the numbers of the JSON, words in five languages, no code of users."""

from __future__ import annotations

import asyncio
import json
import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from string import Formatter
from typing import Any

import pytest

from crm_api.kit.problems import Unavailable
from crm_api.reports.charts import drawing
from crm_api.reports.charts.reports import spec_of
from crm_api.reports.charts.words import LANGUAGES, texts, words_of
from tests.reports.test_giving import NAMES, history
from tests.support.world import World

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SVG, PNG = "image/svg+xml", "image/png"


def values(spec: Any) -> Iterator[dict[str, Any]]:
    """Every row of data in a specification."""
    if isinstance(spec, dict):
        yield from spec.get("data", {}).get("values", []) if isinstance(spec.get("data"), dict) else []
        for name, part in spec.items():
            if name != "data":
                yield from values(part)
    elif isinstance(spec, list):
        for part in spec:
            yield from values(part)


def rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """What of an answer its chart shows."""
    name = found["report"]
    if name == "cohorts":
        return [{"cohort": one["cohort"], **part} for one in found["cohorts"] for part in one["periods"]]
    if name in ("lybunt", "sybunt"):
        member = "last_year_total" if name == "lybunt" else "total"
        return [{key: one[key] for key in ("contact_id", member)} for one in found["data"]]
    if name == "rfm":
        return found["cells"]  # type: ignore[no-any-return]
    member = {"gain-loss": "states", "giving-pyramid": "levels", "concentration": "shares", "rfm-migration": "moves",
              "retention": "years"}[name]  # fmt: skip
    return found[member]  # type: ignore[no-any-return]


@pytest.mark.parametrize("language", ["en", "ar"])
async def test_charts_show_the_numbers_of_the_json(world: World, language: str) -> None:
    await world.patch("/v1/organization", {"language": language})
    await history(world, random.Random(5), 14)
    for name in NAMES:
        query = {"span": "all"} if name in ("giving-pyramid", "concentration") else {}
        found = await world.get(f"/v1/reports/{name}", params=query)
        drawn = list(values(spec_of(name, found, language)))
        wanted = rows(found)
        assert wanted, name
        if name == "rfm":  # cells of the same recency and frequency stand together
            held = sum(one["donors"] for one in wanted)
            assert sum(one["donors"] for one in drawn) == held == found["donors"]
            continue
        for one in wanted:
            if name == "retention":
                for rate in (key for key in one if key.endswith("_rate")):
                    assert {"_key": str(one["year"]), rate: one[rate]}.items() <= next(
                        row for row in drawn if row["_key"] == str(one["year"]) and rate in row
                    ).items()
            else:
                assert any(one.items() <= row.items() for row in drawn), (name, one)


async def test_every_report_comes_as_a_picture_by_accept(world: World) -> None:
    await world.patch("/v1/organization", {"language": "uk"})
    await world.set_clock(NOW)
    contact = await world.contact(given_name="<b>&Олена", emails=[])
    await world.donation(contact["id"], 5000, received_at="2025-03-01T10:00:00Z")
    await world.donation(None, 7000, received_at="2026-11-01T10:00:00Z", method="cash")
    for name in ("gain-loss", "retention", "lybunt", "cohorts", "giving-pyramid", "rfm", "donations"):
        answer = await world.client.get(f"/v1/reports/{name}", headers={"Accept": SVG})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith(SVG)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["vary"] == "Accept"
        text = "".join(ET.fromstring(answer.content).itertext())
        begins = (
            words_of("uk").say(f"title.{name}", year="2026", before="2025") if name in ("gain-loss", "lybunt") else ""
        )
        assert begins in text
        assert re.search("[а-яіїє]", text), name
        if name == "lybunt":
            assert "<b>&Олена" in text
            assert "50 $" in text.replace("\xa0", " ")
    picture = await world.client.get(
        "/v1/reports/donations?group_by=method", headers={"Accept": "image/png;q=0.9, text/html"}
    )
    assert picture.content.startswith(b"\x89PNG")
    problem = await world.client.get("/v1/reports/rfm", headers={"Accept": "application/pdf"})
    assert (problem.status_code, problem.json()["code"]) == (406, "not_acceptable")
    fields = await world.client.get("/v1/reports/rfm?fields=donors", headers={"Accept": "text/csv"})
    assert fields.text.startswith("code,name")


def test_all_languages_say_everything_with_the_same_values() -> None:
    tables = texts()
    assert set(tables) == set(LANGUAGES)
    for key, text in tables["en"].items():
        wanted = {name for _, name, _, _ in Formatter().parse(text) if name}
        for language in LANGUAGES:
            said = tables[language][key]
            assert said.strip(), (language, key)
            assert {name for _, name, _, _ in Formatter().parse(said) if name} == wanted, (language, key)


@pytest.mark.parametrize(
    ("language", "minor", "currency", "expected"),
    [
        ("en", 123456, "USD", "$1,234.56"), ("en", 500, "JPY", "¥500"), ("uk", 123400, "UAH", "1 234 ₴"),
        ("ka", -5, "GEL", "-0,05 ₾"), ("ar", 1250, "KWD", "1.250 KWD"), ("ru", "12345678901234567890", "UAH", "123 456 789 012 345 678,90 ₴"),
    ],
)  # fmt: skip
def test_money_is_written_exactly(language: str, minor: Any, currency: str, expected: str) -> None:
    said = words_of(language).money(minor, currency)
    assert said.replace("\xa0", " ").replace("\u202f", " ") == expected


def test_other_languages_fall_back_and_directions_hold() -> None:
    assert words_of("uk-UA").language == "uk"
    assert words_of("de").language == "en"
    arabic = words_of("ar")
    assert arabic.say("title.gain-loss", year="2026").startswith("\u2067")
    assert "\u20682026\u2069" in arabic.say("title.gain-loss", year="2026")
    assert words_of("en").say("rfm.Our own name") == "Our own name"
    assert words_of("uk").percent(Decimal("0.6255")) == "62,6%"


def hostile(name: str) -> dict[str, Any]:
    one = {"contact_id": "01938d6e-5a00-7000-8000-000000000001", "display_name": name, "last_year_total": 100}
    return {"report": "lybunt", "as_of": date(2026, 11, 22), "currency": "USD", "gifts_without_rate": 2, "year": 2026,
            "donors": 1, "total": 100, "data": [one]}  # fmt: skip


@pytest.mark.parametrize(
    "name", ['"})[0];alert(1);({"', "</text><script>x()</script>", "\u2028\u202e\\u0022", "👩‍👩‍👧 {{x}} datum.x"]
)
def test_a_name_is_a_name_whatever_it_holds(name: str) -> None:
    svg = drawing.render(spec_of("lybunt", hostile(name), "en"), "image/svg+xml")
    root = ET.fromstring(svg)
    assert not [node for node in root.iter() if node.tag.endswith(("script", "image", "foreignObject"))]
    said = "".join(root.itertext())
    assert name.replace("\u2028", "") in said.replace("\u2028", "") or name.isascii() is False


async def test_who_comes_while_many_charts_wait_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MOST_WAITING", 1)
    spec = spec_of("lybunt", hostile("A"), "en")
    first = asyncio.create_task(drawing.draw(spec, "image/png"))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await drawing.draw(spec, "image/png")
    assert (await first).startswith(b"\x89PNG")
    assert json.dumps(spec["title"]["subtitle"])
