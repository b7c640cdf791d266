"""Whatever happens to gifts and receipts, in whatever order: numbers have no gap, and nothing is receipted twice."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.donations.receipts.numbers import new_code as code_of
from crm_api.donations.receipts.numbers import number_of, read_code, series_of, valid_prefix
from crm_api.donations.receipts.rendering.qr import qr
from tests.receipts.test_following import dispute
from tests.receipts.test_receipts import receipts
from tests.receipts.test_receipts import settings as choose
from tests.support.effort import examples
from tests.support.world import World

STEPS = st.tuples(
    st.sampled_from(["give", "issue", "annual", "void", "reissue", "refund", "refund_all", "dispute", "won", "move"]),
    st.integers(0, 7),
)


async def _step(world: World, donors: list[str], gifts: list[Any], step: tuple[str, int]) -> None:
    """One thing that somebody does; what cannot be done now is refused in words."""
    what, which = step
    donor = donors[which % len(donors)]
    gift = gifts[which % len(gifts)] if gifts else None
    made = await receipts(world)
    receipt = made[which % len(made)] if made else None
    send = world.client.post
    answer = None
    if what == "give":
        gifts.append(await world.donation(donor, 1000 + which, received_at="2026-03-01T10:00:00Z"))
    elif what == "annual":
        answer = await send("/v1/receipts", json={"contact_id": donor, "year": 2026})
    elif what == "issue" and gift:
        answer = await send("/v1/receipts", json={"donation_id": gift["id"]})
    elif what == "void" and receipt:
        answer = await send(f"/v1/receipts/{receipt['id']}/void", json={"reason": "Why not"})
    elif what == "reissue" and receipt:
        answer = await send(f"/v1/receipts/{receipt['id']}/reissue", json={})
    elif what == "refund" and gift:
        body = {"amount": {"amount": 100, "currency": "USD"}}
        answer = await send(f"/v1/donations/{gift['id']}/refunds", json=body)
    elif what == "refund_all" and gift:
        answer = await send(f"/v1/donations/{gift['id']}/refunds", json={})
    elif what in {"dispute", "won"} and gift:
        await dispute(world, gift, "open" if what == "dispute" else "won")
    elif what == "move" and gift:
        answer = await world.client.patch(
            f"/v1/donations/{gift['id']}", json={"contact_id": donor}, headers={"Content-Type": "application/json"}
        )
    assert answer is None or answer.status_code in {200, 201, 409, 422}, answer.text


async def _holds(world: World) -> None:
    """What must be true at any time: no gap, no gift twice, and every active receipt says what is true of its gifts."""
    made = await receipts(world)
    series: dict[str, list[int]] = {}
    for one in made:
        name, number = one["number"][:-6], int(one["number"][-6:])
        series.setdefault(name, []).append(number)
    for numbers in series.values():
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
    gifts = {one["id"]: one for one in (await world.get("/v1/donations", params={"limit": 200}))["data"]}
    covered: Counter[str] = Counter()
    for one in made:
        if one["status"] == "void":
            continue
        for line in (await world.get(f"/v1/receipts/{one['id']}"))["lines"]:
            gift = gifts[line["donation_id"]]
            covered[gift["id"]] += 1
            assert gift["status"] in {"succeeded", "partially_refunded"}
            assert line["amount"]["amount"] == gift["amount"]["amount"] - gift["refunded_amount"]["amount"]
            assert gift["contact_id"] == one["contact_id"]
    assert max(covered.values(), default=1) == 1


async def _story(world: World, steps: list[tuple[str, int]], automatic: bool) -> None:
    await choose(world, automatic=automatic)
    donors = [(await world.contact(emails=[]))["id"] for _ in range(2)]
    gifts: list[Any] = []
    for step in [("give", 0), ("give", 1), *steps]:
        await _step(world, donors, gifts, step)
        if step[0] in {"refund", "refund_all", "move", "give"}:
            await world.drain()
    await world.drain()
    await _holds(world)


async def test_any_story_leaves_no_gap_and_no_doubt(world: World) -> None:
    """One organization, story after story: numbers go on, and what earlier ones left behind stays true."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=5, deadline=None)
    @given(st.lists(STEPS, min_size=4, max_size=10), st.booleans())
    def stories(steps: list[tuple[str, int]], automatic: bool) -> None:
        asyncio.run_coroutine_threadsafe(_story(world, steps, automatic), loop).result(60)

    await asyncio.to_thread(stories)


PREFIXES = st.text("AБ2-/. ", max_size=6) | st.builds(
    "{}{{year}}{}".format, st.text("A-", max_size=3), st.text("-A2", max_size=2)
)


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(PREFIXES, min_size=2, max_size=2),
    st.integers(2000, 2100),
    st.lists(st.integers(1, 10**8), min_size=2, max_size=2),
)
def test_two_numbers_are_the_same_only_in_one_series(prefixes: list[str], year: int, numbers: list[int]) -> None:
    if not all(valid_prefix(prefix) for prefix in prefixes):
        return
    series = [series_of(prefix, year, specimen=False) for prefix in prefixes]
    made = [number_of(name, number) for name, number in zip(series, numbers, strict=True)]
    assert (made[0] == made[1]) == (series[0] == series[1] and numbers[0] == numbers[1])


@pytest.mark.parametrize("prefix", ["", "2026", "{year}", "A{", "{month}-", "A-1", "<b>-", " A-", "A\n-"])
def test_prefixes_that_are_none(prefix: str) -> None:
    assert not valid_prefix(prefix)


def test_codes_say_whose_they_are() -> None:
    organization = uuid4()
    code = code_of(organization)
    assert read_code(code) == read_code(f" {code[:20].lower()}-{code[20:]}") == (organization, code)
    assert len({code_of(organization) for _ in range(100)}) == 100
    for wrong in ("", "A" * 39, "0" * 40, "é" * 40, code + "A"):
        assert read_code(wrong) is None


def test_the_code_on_the_receipt_is_a_qr_code() -> None:
    """Module for module what another implementation makes of the same text, and what readers read."""
    text = "https://crm.example.org/receipts/verify/ABCDEFGHJKMNPQRSTVWXYZ2345670123456789AB"
    modules = "".join("01"[dark] for row in qr(text, 3) for dark in row)
    digest = hashlib.sha256(modules.encode()).hexdigest()
    assert digest == "e668945844d0a5325ea665ad1ed95adb31eaf2a84132d20eba69562bab547e9d"
    assert [len(qr("x" * length)) for length in (14, 15, 84, 122, 213)] == [21, 25, 37, 45, 57]
    with pytest.raises(ValueError, match="too long"):
        qr("x" * 214)
