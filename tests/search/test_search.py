"""Searching contacts over HTTP: what is found, in which order, page by page."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from crm_api.contacts.keys import variants
from crm_api.contacts.words import forget_words, words_near
from crm_api.kit.db import SYSTEM, prepare
from tests.support.world import World


async def find(world: World, q: str, **more: Any) -> list[str]:
    """Ids found, in order."""
    page = await world.get("/v1/contacts", params={"q": q, "limit": 200, **more})
    return [row["id"] for row in page["data"]]


async def test_any_script_any_order(world: World) -> None:
    olena = (await world.contact(middle_name="Петрівна", external_ids=[{"system": "legacy", "id": "A-17"}],
             phones=[{"number": "+380501234567"}], addresses=[{"city": "Київ", "country": "UA"}]))["id"]  # fmt: skip
    other = (await world.contact(given_name="Nino", family_name="Beridze", emails=[{"address": "nino@example.ge"}]))[
        "id"
    ]
    for q in (
        "Олена", "олена шевченко", "ШЕВЧЕНКО Олена", "Olena Shevchenko", "Shevchenko Olena", "ოლენა შევჩენკო", "shevc",
        "ше ол", "Schewtschenko", "Petrivna Shevch Olen", "أولينا شيفتشينكو", "شيفتشينكو", "Шевчнко", "Shevchneko Olena",
        "Olenna Shevchenko", "olena@example.org", "olena@ex", "0501234567", "+380 50 123-45-67", "1234567",
        "050 123 45 67", "38050", "A-17", "legacy:A-17", "Kyiv", "Олена Київ", "Kyiv Shevchenko", "Шевченко olena@example.org",
    ):  # fmt: skip
        assert await find(world, q) == [olena], q
        assert await find(world, q, sort="created_at") == [olena], q
        assert (await world.get("/v1/contacts", params={"q": q, "include_total": True}))["total"] == 1, q
    assert await find(world, "ბერიძე") == [other]
    for q in ("Петренко", "Олег", "xyz", "+380509999999", "Олена Берідзе"):
        assert await find(world, q) == [], q


async def test_the_best_matches_come_first_and_pages_go_on(world: World) -> None:
    """Levels in order, each contact once, on any size of page."""
    people = [
        ("Олена", "Коваль"), ("Олена", "Ткач"), ("Olena", "Smith"), ("Оленара", "Бондар"), ("أولينا", "منصور"), ("Оленва", "Лис"),
        ("Іван", "Петрук"),
    ]  # fmt: skip
    ids = [(await world.contact(given_name=one, family_name=other, emails=[]))["id"] for one, other in people]
    found = await find(world, "Олена")
    assert set(found[:2]) == set(ids[:2]), "as written"
    assert found[2] == ids[2], "another script"
    assert found[3:] == [ids[3], ids[4], ids[5]], "a beginning, consonants, a typo"
    for limit in (1, 2, 3):
        paged: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await world.get(
                "/v1/contacts", params={"q": "Олена", "limit": limit, "include_total": True, **cursor}
            )
            paged += [row["id"] for row in page["data"]]
            assert page["total"] == 6
            if not page["has_more"]:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert paged == found, limit
    assert sorted(await find(world, "Олена", sort="created_at")) == sorted(found)


async def test_filters_narrow_a_search(world: World) -> None:
    rows = [
        await world.contact(given_name="Марія", family_name=f"Кузь{'абвгд'[n]}", emails=[], tags=[f"t{n % 2}"],
                            addresses=[{"city": ("Київ", "Львів")[n % 2], "country": "UA"}], birth_date="1980-05-17",
                            handles=[{"network": "telegram", "handle": f"maria{n}"}], external_ids=[{"system": "old", "id": f"{n}"}])
        for n in range(5)
    ]  # fmt: skip
    ids = [row["id"] for row in rows]
    assert set(await find(world, "Maria", tag="t1")) == {ids[1], ids[3]}
    assert set(await find(world, "мар", city="Київ", birthday="05-17")) == {ids[0], ids[2], ids[4]}
    assert await find(world, "мар куз", handle="telegram:Maria3") == [ids[3]]
    assert await find(world, "Mariia", external_id="old:2") == [ids[2]]
    assert await find(world, "Mariia", **{"created_at[gte]": "2999-01-01T00:00:00Z"}) == []
    for query in ({"q": "x"}, {"q": "."}, {"birthday": "5-17"}, {"handle": "maria"}, {"external_id": "2"}):
        await world.get("/v1/contacts", params=query, expect=422)


async def test_a_change_of_name_is_found_and_the_old_one_is_not(world: World) -> None:
    row = await world.contact(given_name="Ганна", family_name="Яремчук", emails=[])
    await world.patch(f"/v1/contacts/{row['id']}", {"family_name": "Білик"})
    assert await find(world, "Яремчук") == []
    assert await find(world, "Bilyk Ganna") == [row["id"]]
    assert await find(world, "Біличк") == [row["id"]]


async def test_a_maiden_name_counts(world: World) -> None:
    other = {"type": "maiden", "given_name": "Оксана", "family_name": "Лисенко"}
    row = await world.contact(given_name="Оксана", family_name="Мороз", emails=[], other_names=[other])
    for q in ("Lysenko", "Lysenko Oksana", "мороз", "Оксана Мороз"):
        assert await find(world, q) == [row["id"]], q


async def test_words_nobody_bears_are_forgotten(world: World) -> None:
    await world.contact(given_name="Зореслава", family_name="Неповторна", emails=[])
    kept = await world.contact(given_name="Зореслава", family_name="Ткач", emails=[])
    async with world.database.write(world.tenant, SYSTEM) as session:
        assert await forget_words(session, {"зореслава", "неповторна"}) == 0, "they are borne"
        await session.execute(
            prepare(text("DELETE FROM contact_keys WHERE organization_id = :organization_id AND contact_id <> :kept")), kept=kept["id"]
        )  # fmt: skip
        assert await forget_words(session, {"зореслава", "неповторна"}) == len(variants("неповторна"))
    near, _ = await words_near(world.database.read(world.tenant), ["неповтона", "зореслва"])
    assert near == {"неповтона": [], "зореслва": ["зореслава"]}


async def test_words_are_learnt_once(world: World) -> None:
    for _ in range(2):
        await world.contact(given_name="Благовіст", family_name="Ткач", emails=[])
    count = prepare(
        text("SELECT count(*) FROM contact_words WHERE organization_id = :organization_id AND word = 'благовіст'")
    )
    assert await world.database.read(world.tenant).fetch_val(count) == len(variants("благовіст"))
