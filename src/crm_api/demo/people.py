"""Who gives: people and organizations made of common names, in their own scripts."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

PERSONS = 500
_DOMAINS = ("example.org", "example.com", "example.net")
_SOURCES = {"stripe": 46, "website": 24, "event": 16, "import": 14}

# How people give, and how many of each kind there are.
HABITS = {
    "prospect": 11, "once": 29, "sometimes": 20, "yearly": 10, "monthly": 18, "faded": 7, "great": 4, "tried": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Donor:
    """Somebody the fund knows."""

    number: int
    body: dict[str, Any]
    """As `ContactCreate` takes it."""
    habit: str
    currency: str
    source: str
    customer: str
    """Stripe's id of the customer; used when they pay by card."""
    email: str
    name: str
    gift_fund: str
    culture: str = ""
    """The list of names the person comes from; empty for organizations."""
    female: bool = False
    latin: tuple[str, str] = ("", "")
    """Given and family name (a man's form) as the lists spell them in Latin letters, in small ones."""


@lru_cache(maxsize=1)
def known() -> Mapping[str, Any]:
    """The lists of names, organizations and the fund's own words."""
    folder = resources.files("crm_api.demo").joinpath("data")
    return {
        name: json.loads(folder.joinpath(f"{name}.json").read_text(encoding="utf-8"))
        for name in ("people", "organizations", "fund", "circle", "touches")
    }


def choose(rng: random.Random, shares: Mapping[str, int]) -> str:
    """One of the names, by its share."""
    return rng.choices(list(shares), list(shares.values()))[0]


def reference(rng: random.Random, prefix: str) -> str:
    """An id as Stripe makes them, easily told from a real one."""
    letters = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    return f"{prefix}_demo{''.join(rng.choices(letters, k=18))}"


def make_donors(rng: random.Random) -> list[Donor]:
    """Everybody, in no particular order."""
    taken: set[str] = set()
    persons = [_person(rng, number, taken) for number in range(PERSONS)]
    companies = known()["organizations"]["organizations"]
    return persons + [_organization(rng, PERSONS + number, item) for number, item in enumerate(companies)]


def _person(rng: random.Random, number: int, taken: set[str]) -> Donor:
    people = known()["people"]
    cultures = {key: item["share"] for key, item in people.items() if isinstance(item, dict) and "share" in item}
    code = choose(rng, cultures)
    culture = people[code]
    female = rng.random() < 0.58
    given, given_latin = rng.choice(culture["female" if female else "male"]).rsplit(" ", 1)
    family, family_latin = rng.choice(culture["family"]).rsplit(" ", 1)
    man, _, woman = family.partition("/")
    family = woman if female and woman else man
    middle = None
    if "middle" in culture and rng.randrange(100) < culture["middle"]["share"]:
        middle = rng.choice(culture["middle"]["female" if female else "male"])
    city, country = _place(rng, culture)
    habit = choose(rng, HABITS)
    email = _address(rng, given_latin, family_latin, taken)
    name = f"{given} {family}"
    body = {
        "given_name": given,
        "middle_name": middle,
        "family_name": family,
        "emails": _emails(rng, email, habit),
        "phones": _phones(rng, country),
        "addresses": [{"city": city, "country": country}] if rng.random() < 0.86 else [],
        "language": culture["language"] if rng.random() < 0.94 else None,
        "tags": _tags(rng, habit),
        "preferred_channel": rng.choice(["email", "telegram", "phone"]) if rng.random() < 0.2 else None,
        "do_not_contact": rng.random() < 0.012,
        "deceased": habit == "faded" and rng.random() < 0.09,
        "external_ids": [{"system": "old-crm", "id": str(10_000 + number)}] if rng.random() < 0.25 else [],
    }
    source = choose(rng, _SOURCES)
    currency = choose(rng, culture["currencies"])
    fund = rng.choices(("general", "winter", "medical", "schools", "shelter"), (46, 16, 18, 12, 8))[0]
    customer = reference(rng, "cus")
    latin = (given_latin, family_latin)
    return Donor(number, body, habit, currency, source, customer, email, name, fund, code, female, latin)


def _place(rng: random.Random, culture: Mapping[str, Any]) -> tuple[str, str]:
    rows = [row.rsplit(" ", 2) for row in culture["cities"]]
    city, country, _ = rng.choices(rows, [int(row[2]) for row in rows])[0]
    return city, country


def _address(rng: random.Random, given: str, family: str, taken: set[str]) -> str:
    domain = rng.choices(_DOMAINS, (70, 20, 10))[0]
    forms = (f"{given}.{family}", f"{given[0]}.{family}", f"{family}.{given}", f"{given}{family[0]}")
    local = rng.choice(forms)
    address, more = f"{local}@{domain}", 0
    while address in taken:
        more += rng.randrange(1, 60)
        address = f"{local}{more}@{domain}"
    taken.add(address)
    return address


def _emails(rng: random.Random, address: str, habit: str) -> list[dict[str, Any]]:
    status = "valid"
    if rng.random() < 0.03:
        status = rng.choice(["bouncing", "opted_out"])
    first = {"address": address, "label": "home", "is_primary": True, "status": status}
    local, _, domain = address.partition("@")
    if habit in {"great", "monthly"} and rng.random() < 0.2:
        return [first, {"address": f"{local}.work@{domain}", "label": "work"}]
    return [first]


def _phones(rng: random.Random, country: str) -> list[dict[str, Any]]:
    known_ranges = known()["people"]["phones"]
    if country not in known_ranges or rng.random() > 0.6:
        return []
    prefix, digits = known_ranges[country]
    return [{"number": f"{prefix}{rng.randrange(10**digits):0{digits}d}", "label": "mobile"}]


def _tags(rng: random.Random, habit: str) -> list[str]:
    tags = [tag for tag, share in known()["people"]["tags"].items() if rng.randrange(100) < share]
    if habit == "great":
        tags.append("major-donor")
    return tags


def _organization(rng: random.Random, number: int, item: Mapping[str, Any]) -> Donor:
    email = f"{item['email']}@example.org"
    body = {
        "kind": "organization",
        "organization_name": item["name"],
        "emails": [{"address": email, "label": "office", "is_primary": True}],
        "phones": _phones(rng, item["country"]),
        "addresses": [{"city": item["city"], "country": item["country"]}],
        "language": item["language"],
        "tags": ["organization", item["kind"]],
        "external_ids": [{"system": "old-crm", "id": f"org-{number}"}] if rng.random() < 0.5 else [],
    }
    habit = "grants" if item["kind"] == "foundation" else rng.choices(("company", "once", "prospect"), (80, 12, 8))[0]
    fund = rng.choice(["general", "medical", "schools", "winter"])
    customer = reference(rng, "cus")
    return Donor(number, body, habit, item["currency"], "import", customer, email, item["name"], fund)
