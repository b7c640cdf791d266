"""A rule is decided twice: by one SELECT over everybody, and in memory for one contact. The two never differ, and what an
explanation shows, put together again, gives the same verdict."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from crm_api.auth.scopes import ALL_SCOPES
from crm_api.kit import clock
from crm_api.kit.db import SYSTEM, prepare
from crm_api.kit.predicates.catalogue import CONTACT, Attribute, Kind
from crm_api.kit.predicates.compiling import Moment, compile_rule
from crm_api.kit.predicates.judging import explain, judge, load
from crm_api.kit.predicates.nodes import moves_with_time
from crm_api.kit.predicates.parsing import AGGREGATES, OPERATORS, parse
from crm_api.registry import load_predicates
from tests.support.effort import seeds
from tests.support.world import World

NOW = datetime(2026, 2, 28, 21, 30, tzinfo=UTC)  # 1 March in Tbilisi, 2026 has no 29 February
LANGUAGES, TAGS, CITIES = ("uk", "ka", "ar", "en"), ("board", "press", "школа"), ("Kyiv", "თბილისი", "حلب")
BIRTHDAYS = ("1980-05-17", "--02-29", "1992-03-01", "1975", "1988-06", None)


async def people(world: World, rng: random.Random) -> list[str]:
    """Contacts of every sort with gifts of every sort."""
    ids = []
    for number in range(18):
        body: dict[str, Any] = {"given_name": f"Name{number}", "tags": rng.sample(TAGS, rng.randrange(3))}
        body["emails"] = [{"address": f"p{number}@example.org"}] if rng.random() < 0.6 else []
        body["addresses"] = [{"city": rng.choice(CITIES), "country": rng.choice(["UA", "GE"])}] * rng.randrange(2)
        body |= {"language": rng.choice([*LANGUAGES, None]), "birth_date": rng.choice(BIRTHDAYS)}
        body |= {"do_not_contact": rng.random() < 0.2, "preferred_channel": rng.choice(["email", "telegram", None])}
        ids.append((await world.contact(**body))["id"])
        for _ in range(rng.choice([0, 0, 1, 2, 5])):
            day = f"{rng.choice([2023, 2024, 2025, 2026])}-0{rng.randrange(1, 3)}-{rng.randrange(10, 29)}"
            when = f"{day}T{rng.choice(['03', '12', '22'])}:00:00Z"
            gift = await world.donation(
                ids[-1], rng.choice([500, 50_000, 100_000]), rng.choice(["USD", "UAH"]), received_at=when
            )
            if rng.random() < 0.2:
                await world.post(f"/v1/donations/{gift['id']}/refunds", {})
    await world.drain()
    return ids


class Rules:
    """Random rules over the whole catalogue."""

    def __init__(self, rng: random.Random, ids: list[str]) -> None:
        self.rng, self.ids = rng, ids
        self.sources = load_predicates()

    def node(self, depth: int = 0) -> dict[str, Any]:
        """Any rule."""
        shape = self.rng.random()
        if depth < 3 and shape < 0.45:
            return {self.rng.choice(["all", "any"]): [self.node(depth + 1) for _ in range(self.rng.randrange(1, 4))]}
        if depth < 3 and shape < 0.6:
            return {"not": self.node(depth + 1)}
        return self.test(None) if shape < 0.8 else self.related()

    def test(self, source: str | None) -> dict[str, Any]:
        """A test of a field, or of a column of related rows."""
        if source is None:
            name, (found, attribute) = self.rng.choice(sorted(self.sources.fields().items()))
            return self.compared(name, attribute, "set" if found.values else attribute.kind)
        attribute = self.rng.choice(self.sources.by_name[source].attributes)
        return self.compared(attribute.name, attribute, attribute.kind)

    def compared(self, name: str, attribute: Attribute, kind: Kind) -> dict[str, Any]:
        operator = self.rng.choice(OPERATORS[kind])
        value: Any
        if operator == "is_null":
            value = self.rng.random() < 0.5
        elif operator in {"within_last", "within_next"}:
            value = {self.rng.choice(["days", "weeks", "months", "years"]): self.rng.randrange(0, 40)}
        elif operator in {"in", "not_in"}:
            value = [self.value(name, attribute) for _ in range(self.rng.randrange(1, 3))]
        elif operator == "between":
            value = [self.value(name, attribute), self.value(name, attribute)]
            while len({isinstance(end, str) and "T" in end for end in value}) > 1:
                value = [self.value(name, attribute), self.value(name, attribute)]
        else:
            value = self.value(name, attribute)
        return {"field": name, "op": operator, "value": value}

    def value(self, name: str, attribute: Attribute) -> Any:
        if attribute.choices:
            return self.rng.choice(attribute.choices)
        texts = {
            "language": LANGUAGES, "tag": TAGS, "city": CITIES, "country": ("UA", "ge"), "role": ("donor", "volunteer"),
            "email": ("P3@example.org", "p4@example.org"), "phone": ("+380501234567",), "external_id": ("a:1",),
        }  # fmt: skip
        pools: dict[Kind, Any] = {
            "text": texts.get(name, ("u", "uk")), "boolean": (True, False), "integer": (0, 1, 2, 5),
            "money": [{"amount": a, "currency": "USD"} for a in (0, 500, 50_000, 150_000)],
            "date": ("2024-02-11", "2026-01-15", {"ago": {"days": 365}}, {"start_of": "fiscal_year", "back": 1}),
            "instant": ("2026-02-28T21:30:00Z", "2025-01-20", {"ago": {"months": 13}}, {"start_of": "quarter"}),
            "decimal": ("0.1", "0.75", "3"), "uuid": self.ids[:6], "birthday": ("05-17", "02-29", "03-01"),
        }  # fmt: skip
        found = self.rng.choice(pools[attribute.kind])
        if attribute.kind == "money" and attribute.currency is not None and self.rng.random() < 0.4:
            found = {**found, "currency": "UAH"}
        return found

    def related(self) -> dict[str, Any]:
        """A figure over related rows."""
        name = self.rng.choice(["gifts", "gifts", "gifts", *self.sources.related()])
        found: dict[str, Any] = {"related": name}
        if self.rng.random() < 0.6:
            found["where"] = self.rng.choice(
                [self.test(name), {"all": [self.test(name), {"not": self.test(name)}]}, {"any": [self.test(name)] * 2}]
            )
        fit = [
            (one, aggregate)
            for one in self.sources.by_name[name].attributes
            for aggregate in AGGREGATES.get(one.kind, ())
        ]
        if not fit or self.rng.random() < 0.4:
            return {
                **found,
                "op": self.rng.choice(["eq", "ne", "gt", "gte", "lt", "lte"]),
                "value": self.rng.randrange(4),
            }
        attribute, aggregate = self.rng.choice(fit)
        operator = self.rng.choice(["gt", "gte", "lt", "lte"])
        value = self.value(attribute.name, attribute)
        return {**found, "aggregate": aggregate, "field": attribute.name, "op": operator, "value": value}


def again(told: dict[str, Any]) -> bool:
    """The verdict of an explanation from its parts alone."""
    if "all" in told:
        return all(again(part) for part in told["all"])
    if "any" in told:
        return any(again(part) for part in told["any"])
    return not again(told["not"]) if "not" in told else bool(told["verdict"])


@pytest.mark.parametrize("seed", seeds(1))
async def test_sql_and_memory_agree_on_every_rule(world: World, seed: int) -> None:
    rng = random.Random(seed)
    await world.patch("/v1/organization", {"timezone": "Asia/Tbilisi", "fiscal_year_start_month": 7})
    await world.set_clock(NOW)
    ids = await people(world, rng)
    tenant = await world.worker.tenant(world.id)
    assert tenant is not None
    rules, moment = Rules(rng, ids), Moment(clock.local_date(tenant.now(), tenant.timezone), tenant.timezone, 7)
    assert str(moment.today) == "2026-03-01"
    contact = rules.sources.by_name[CONTACT]
    verdicts = {True: 0, False: 0}
    async with world.database.write(tenant, SYSTEM) as session:
        for _ in range(150):
            raw = rules.node()
            node = parse(raw, rules.sources, scopes=ALL_SCOPES, currency="USD")
            compiled = compile_rule(node, contact, moment)
            found = {row["id"] for row in await session.fetch(prepare(text(compiled.sql)), **compiled.parameters)}
            some = ids[: rng.randrange(1, len(ids))]
            narrow = compile_rule(node, contact, moment, only="only")
            rows = await session.fetch(prepare(text(narrow.sql)), **narrow.parameters, only=some)
            assert {row["id"] for row in rows} == {one for one in found if str(one) in some}, raw
            facts = await load(session, contact, [node], [UUID(one) for one in ids])
            assert len(facts) == len(ids)
            for one in map(UUID, ids):
                verdict = judge(node, facts[one], moment)
                told = explain(node, raw, facts[one], moment)
                assert verdict == (one in found) == told["verdict"] == again(told), (raw, told)
                verdicts[verdict] += 1
            moves_with_time(node)
    assert min(verdicts.values()) > 500, "the rules hold for nearly everybody, or nearly nobody"
