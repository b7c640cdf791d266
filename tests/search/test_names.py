"""The table of docs/search.md: 200 names, each found over HTTP by its other-script spelling and by one typo."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.world import World

PAGE = Path(__file__).parents[2] / "docs" / "search.md"


def table() -> list[tuple[str, str, str]]:
    """The names of the page."""
    rows = PAGE.read_text().rpartition("| name | other spelling | with a typo |\n|---|---|---|\n")[2].splitlines()
    found = [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in rows if row.startswith("|")]
    return [(name, other, typo) for name, other, typo in found]


async def test_every_name_is_found_by_its_other_spelling_and_by_one_typo(world: World) -> None:
    names = table()
    assert len(names) == 200
    ids: dict[str, str] = {}
    for name, _, _ in names:
        given, _, family = name.rpartition(" ")
        ids[name] = (await world.contact(given_name=given, family_name=family, emails=[]))["id"]
    missing: list[str] = []
    most = 0

    async def check(name: str, q: str, *, first: bool = False) -> None:
        nonlocal most
        rows = [row["id"] for row in (await world.get("/v1/contacts", params={"q": q, "limit": 200}))["data"]]
        most = max(most, len(rows))
        if ids[name] not in (rows[:1] if first else rows):
            missing.append(f"{name} by {q}")

    for begin in range(0, len(names), 8):
        for name, other, typo in names[begin : begin + 8]:
            assert typo not in {name, other}
            await asyncio.gather(check(name, name, first=True), check(name, other), check(name, typo))
    assert not missing, "; ".join(missing)
    assert most <= 5, "a full name finds few"
