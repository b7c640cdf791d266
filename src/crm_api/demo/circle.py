"""Who is around the donors: families, colleagues, those who are helped, those who work here; and some who stand there
twice."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from crm_api.demo.people import Donor, choose, known
from crm_api.demo.profiles import OWNERS, Profile, birth_date, latin_parts, make_profile, street

HOMES = 25
_CHILDREN = 9
_FIRST_OTHER = 10_000
_VOWELS = frozenset("aeiouyаеиіоуяюєїёыэაეიოუ")


@dataclass(frozen=True, slots=True)
class Other:
    """Somebody who is no donor; `why`: ``child``, ``beneficiary``, ``staff`` or ``twin``."""

    number: int
    moment: datetime
    body: dict[str, Any]
    why: str
    source: str
    owner: str | None = None
    twin_of: int | None = None


@dataclass(frozen=True, slots=True)
class Home:
    """A household: numbers of its people with their roles."""

    members: tuple[tuple[int, str], ...]
    language: str
    address: Mapping[str, Any]
    since: datetime


@dataclass(frozen=True, slots=True)
class Tie:
    """A relationship, as `RelationshipCreate` takes it but for the two contacts."""

    first: int
    second: int
    body: Mapping[str, Any]
    moment: datetime


@dataclass(slots=True)
class Circle:
    """All of them."""

    donors: list[tuple[datetime, Donor]] = field(default_factory=list)
    """The donors with all that is known of them; oldest first."""
    owners: dict[int, str] = field(default_factory=dict)
    """E-mail of the member who looks after a contact, by its number."""
    ended: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    """Roles of those of which one has ended since."""
    others: list[Other] = field(default_factory=list)
    homes: list[Home] = field(default_factory=list)
    ties: list[Tie] = field(default_factory=list)


def make_circle(
    rng: random.Random, ends: datetime, donors: Sequence[tuple[datetime, Donor]], last_gifts: Mapping[int, date]
) -> Circle:
    """The circle of these donors, as of the end of the demo."""
    making = _Making(rng, ends, [make_profile(rng, since, one, ends.date(), last_gifts.get(one.number))
                                 for since, one in donors])  # fmt: skip
    for step in (_homes, _children, _twins, _beneficiaries, _staff, _jobs, _friends):
        step(making)
    circle = making.circle
    circle.donors = [(profile.known_since, profile.finished()) for profile in making.profiles]
    circle.owners |= {one.donor.number: one.owner for one in making.profiles if one.owner}
    circle.owners |= {one.number: one.owner for one in circle.others if one.owner}
    circle.ended = {one.donor.number: one.ended for one in making.profiles if one.ended}
    circle.others.sort(key=lambda one: (one.moment, one.number))
    return circle


@dataclass(slots=True)
class _Making:
    rng: random.Random
    ends: datetime
    profiles: list[Profile]
    circle: Circle = field(default_factory=Circle)
    at_home: set[int] = field(default_factory=set)

    def ago(self, least: int, most: int) -> datetime:
        """A working hour some days before the end."""
        day = self.ends - timedelta(days=self.rng.randint(least, most))
        return day.replace(hour=self.rng.randint(7, 15), minute=self.rng.randrange(60), second=0, microsecond=0)

    def after(self, *moments: datetime) -> datetime:
        """A while after all of these, but before the end."""
        return min(max(moments) + timedelta(days=self.rng.randint(1, 90)), self.ends)

    def people(self, fits: Callable[[Profile], bool] = lambda _: True) -> list[Profile]:
        """Living persons."""
        return [one for one in self.profiles if one.donor.culture and not one.body["deceased"] and fits(one)]

    def some(self, found: Sequence[Profile], count: int) -> list[Profile]:
        """So many of them, or all."""
        return self.rng.sample(found, min(count, len(found)))

    def add(self, moment: datetime, body: dict[str, Any], why: str, source: str = "import", **more: Any) -> Other:
        """Somebody else."""
        other = Other(_FIRST_OTHER + len(self.circle.others), moment, body, why, source, **more)
        self.circle.others.append(other)
        return other

    def tie(self, kind: str, first: int, second: int, moment: datetime, **more: Any) -> None:
        """A relationship."""
        self.circle.ties.append(Tie(first, second, {"type": kind, **more}, moment))


def _own_script(one: Profile) -> bool:
    """Whether the contact's own name is not the passport's."""
    return bool(one.body["family_name"] == one.donor.body["family_name"])


# Families


def _couples(making: _Making) -> Iterable[tuple[Profile, Profile]]:
    """A woman and a man with one family name, from one country where possible."""
    families: defaultdict[tuple[str, str], list[Profile]] = defaultdict(list)
    for one in making.people(lambda p: p.body["addresses"] and _own_script(p) and not p.body["do_not_contact"]):
        families[one.language, one.donor.latin[1]].append(one)
    for key in sorted(families):
        women = [one for one in families[key] if one.donor.female]
        men = [one for one in families[key] if not one.donor.female]
        for woman in women:
            country = woman.body["addresses"][0]["country"]
            man = next((one for one in men if one.body["addresses"][0]["country"] == country), None)
            if man is not None:
                men.remove(man)
                yield woman, man


def _homes(making: _Making) -> None:
    rng = making.rng
    couples = list(_couples(making))
    for woman, man in rng.sample(couples, min(HOMES, len(couples))):
        first, second = rng.choice(((woman, man), (man, woman)))
        place = first.body["addresses"][0]
        place = {**place, "line1": place.get("line1") or street(rng, first.language), "label": "home"}
        for one in (first, second):
            one.body["addresses"] = [place]
            making.at_home.add(one.donor.number)
        _greet_alike(rng, first, second)
        if rng.random() < 0.7:
            first.body["birth_date"] = birth_date(rng, making.ends.date(), 34, 58)
            second.body.pop("birth_date", None)
        since = making.after(first.known_since, second.known_since)
        members = ((first.donor.number, "head"), (second.donor.number, "spouse"))
        making.circle.homes.append(Home(members, first.language, place, since))
        if rng.random() < 0.6:
            making.tie("spouse", first.donor.number, second.donor.number, since)


def _greet_alike(rng: random.Random, *people: Profile) -> None:
    """A household's greeting is made of its members': both get a salutation, or neither does."""
    formal = rng.random() < 0.5
    for one in people:
        one.body.pop("formal_greeting", None)
        lady, man, _pattern = known()["circle"]["salutations"][one.language]
        one.body["salutation"] = (lady if one.donor.female else man) if formal else None


def _children(making: _Making) -> None:
    rng, circle = making.rng, making.circle
    profiles = {one.donor.number: one for one in making.profiles}
    for number in range(min(_CHILDREN, len(circle.homes))):
        home = circle.homes[number]
        parent = profiles[home.members[0][0]]
        female = rng.random() < 0.5
        given = rng.choice(known()["people"][home.language]["female" if female else "male"]).rsplit(" ", 1)[0]
        family = next(
            (profiles[one].body["family_name"] for one, _ in home.members if profiles[one].donor.female == female),
        )
        born = making.ends.date() - timedelta(days=rng.randint(6 * 366, 16 * 365))
        body = {
            "given_name": given, "family_name": family, "birth_date": born.isoformat(), "language": home.language,
            "addresses": [dict(home.address)], "tags": ["family"],
        }  # fmt: skip
        child = making.add(home.since - timedelta(minutes=9), body, "child", parent.donor.source)
        circle.homes[number] = Home((*home.members, (child.number, "child")), home.language, home.address, home.since)
        for adult, _ in home.members:
            making.tie("parent", adult, child.number, home.since)


# Those who stand there twice


def _twins(making: _Making) -> None:
    """The same person again: in Latin letters, or with two letters changed over. Of some only the year of birth is
    known as well: somebody has to look."""
    for culture, count in known()["circle"]["twins"].items():
        plain = [
            one
            for one in making.people(_own_script)
            if one.language == culture and one.donor.number not in making.at_home and len(one.body["family_name"]) > 5
        ]
        for number, one in enumerate(making.some(plain, count)):
            typo = culture == "en" or number % 2 == 1
            _twin(making, one, typo=typo, sure=typo or number < 2)


def _twin(making: _Making, one: Profile, *, typo: bool, sure: bool) -> None:
    rng, body = making.rng, one.body
    born = making.ends.date() - timedelta(days=rng.randint(25 * 366, 70 * 365))
    body["birth_date"] = born.isoformat()
    latin = latin_parts(one.donor)
    if one.language == "ar" and not any(name["type"] == "latin" for name in body["other_names"]):
        body["other_names"] = [*body["other_names"], {"type": "latin", **latin}]
    name = {"given_name": body["given_name"], "family_name": swapped(body["family_name"])} if typo else latin
    local, _, domain = one.donor.email.partition("@")
    again = {
        **name,
        "birth_date": body["birth_date"] if sure else body["birth_date"][:4],
        "emails": [{"address": f"{local}.events@{domain}", "is_primary": True}],
        "phones": body["phones"] if sure and rng.random() < 0.6 else [],
        "addresses": [{name: place[name] for name in ("city", "country")} for place in body["addresses"][:1]],
        "language": one.language,
        "tags": ["gala-guest"],
    }
    making.add(making.after(one.known_since), again, "twin", "event", twin_of=one.donor.number)


def swapped(word: str) -> str:
    """A word with a vowel near its end and the consonant beside it changed over: the usual slip at a keyboard."""
    for place in range(len(word) - 3, 1, -1):
        if (word[place] in _VOWELS) != (word[place + 1] in _VOWELS):
            return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    return word


# Those who are helped, and those who work here


def _beneficiaries(making: _Making) -> None:
    rng, ends = making.rng, making.ends
    needs = [choice["code"] for choice in known()["circle"]["custom_fields"][2]["choices"]]
    for code, count in known()["circle"]["beneficiaries"].items():
        culture = known()["people"][code]
        for _ in range(count):
            female = rng.random() < 0.65
            family = rng.choice(culture["family"]).rsplit(" ", 1)[0]
            city, country, _weight = rng.choice(culture["cities"][:8]).rsplit(" ", 2)
            moment = making.ago(30, 700)
            stage = choose(rng, {"active": 60, "prospect": 20, "former": 20})
            prefix, digits = known()["people"]["phones"].get(country, ("+38020", 7))
            body = {
                "given_name": rng.choice(culture["female" if female else "male"]).rsplit(" ", 1)[0],
                "family_name": family.rpartition("/")[2] if female else family.partition("/")[0],
                "phones": [{"number": f"{prefix}{rng.randrange(10**digits):0{digits}d}", "label": "mobile"}],
                "addresses": [{"city": city, "country": country}],
                "birth_date": birth_date(rng, ends.date(), 20, 82),
                "language": culture["language"],
                "role_details": [{"role": "beneficiary", "stage": stage, "since": moment.date()}],
                "custom": {"support_needs": sorted(rng.sample(needs, rng.randint(1, 3)))},
                "source": {"channel": rng.choice(("referral", "phone", "event")), "referrer": "St Ulmar's Parish"},
            }  # fmt: skip
            making.add(moment, body, "beneficiary", owner=OWNERS["volunteers"])


def _staff(making: _Making) -> None:
    moment = making.ago(1380, 1400)
    for item in known()["circle"]["staff"]:
        body = {
            "given_name": item["given_name"],
            "family_name": item["family_name"],
            "emails": [{"address": item["address"], "label": "office", "is_primary": True}],
            "language": item["language"],
            "tags": ["team"],
            "role_details": [{"role": "staff", "stage": "active", "since": moment.date()}],
        }
        making.add(moment, body, "staff")


# Work and friends


def _jobs(making: _Making) -> None:
    """Who works where, sits on which board, owns what; organizations that stand together."""
    rng = making.rng
    companies = [one for one in making.profiles if not one.donor.culture]
    adults = making.people()
    free = [one for one in adults if one.language in known()["circle"]["jobs"]]
    for one in making.some(free, 22):
        same = [firm for firm in companies if firm.body["language"] == one.language]
        if not same:
            continue
        firm = rng.choice(same)
        moment = making.after(one.known_since, firm.known_since)
        since = (moment - timedelta(days=rng.randint(200, 2500))).date()
        kind = rng.choices(("employee", "board_member", "owner"), (68, 20, 12))[0]
        more: dict[str, Any] = {"since": since}
        if kind == "employee":
            more |= {"job_title": rng.choice(known()["circle"]["jobs"][one.language]), "is_primary": True}
            if rng.random() < 0.2:
                more |= {"until": moment.date(), "is_primary": False}
        making.tie(kind, one.donor.number, firm.donor.number, moment, **more)
    for one in making.some([one for one in adults if one.donor.habit == "great"], 5):
        firm = rng.choice([firm for firm in companies if firm.donor.habit == "grants"] or companies)
        making.tie("board_member", one.donor.number, firm.donor.number, making.after(one.known_since, firm.known_since),
                   note="Opens doors there.")  # fmt: skip
    for first, second in zip(companies[::7], companies[1::7], strict=False):
        making.tie("partner_organization", first.donor.number, second.donor.number,
                   making.after(first.known_since, second.known_since))  # fmt: skip


def _friends(making: _Making) -> None:
    adults = [one for one in making.people() if one.donor.number not in making.at_home]
    chosen = making.some(adults, 28)
    for number, (one, other) in enumerate(zip(chosen[::2], chosen[1::2], strict=False)):
        kind = ("introduced", "friend", "relative")[number % 3]
        making.tie(kind, one.donor.number, other.donor.number, making.after(one.known_since, other.known_since))
