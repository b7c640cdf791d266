"""What the fund knows of a donor beyond gifts: further names, greetings, birth dates, roles, first touch."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from crm_api.contacts.households.words import vocative
from crm_api.demo.people import Donor, known
from crm_api.kit.scripts import latin_name

OWNERS = {"major": "major.gifts@example.org", "appeals": "appeals@example.org", "volunteers": "volunteers@example.org"}
_OTHER_SCRIPTS = frozenset({"uk", "ka", "ru", "ar"})
_HOMES = {"uk": {"UA"}, "ka": {"GE"}, "ru": {"GE", "AM", "KZ", "RS", "LV", "LT"}, "ar": {"JO", "LB", "AE", "EG"}}
_STAGES = {"active": 58, "prospect": 12, "lapsed": 16, "former": 14}


@dataclass(slots=True)
class Profile:
    """One contact in the making: `ended` are the roles it has once some of them have ended."""

    donor: Donor
    known_since: datetime
    today: date
    body: dict[str, Any]
    owner: str | None = None
    ended: list[dict[str, Any]] = field(default_factory=list)

    @property
    def language(self) -> str:
        """Of the names' culture."""
        return self.donor.culture

    def finished(self) -> Donor:
        """The donor with all that is known."""
        return replace(self.donor, body=self.body)


def make_profile(
    rng: random.Random, known_since: datetime, donor: Donor, today: date, last_gift: date | None
) -> Profile:
    """Everything about one donor that does not depend on others."""
    profile = Profile(donor, known_since, today, dict(donor.body))
    if donor.source in known()["circle"]["sources"] and rng.random() < 0.8:
        rows = known()["circle"]["sources"][donor.source]
        said = rng.choices([row[1] for row in rows], [row[0] for row in rows])[0]
        profile.body["source"] = {"channel": donor.source, **said}
    if donor.culture:
        _person(rng, profile)
        if donor.body["deceased"] and rng.random() < 0.7:
            died = max(last_gift or known_since.date(), known_since.date()) + timedelta(days=rng.randint(20, 200))
            profile.body["deceased_on"] = min(died, today - timedelta(days=5))
    _role(rng, profile)
    return profile


def _person(rng: random.Random, profile: Profile) -> None:
    donor, body = profile.donor, profile.body
    if rng.random() < 0.7:
        body["gender"] = "female" if donor.female else "male"
    if rng.random() < (0.8 if donor.habit == "great" else 0.36):
        body["birth_date"] = birth_date(rng, profile.today, *((48, 84) if donor.habit == "great" else (20, 80)))
    country = body["addresses"][0]["country"] if body["addresses"] else ""
    if (zone := known()["circle"]["zones"].get(country)) and rng.random() < 0.2:
        body["timezone"] = zone
    if body["addresses"] and country in _HOMES.get(donor.culture, {country}) and rng.random() < 0.45:
        body["addresses"] = [{**body["addresses"][0], "line1": street(rng, donor.culture), "label": "home"}]
    if donor.habit == "great" and body["addresses"] and rng.random() < 0.25:
        season = {"season_from": "06-01", "season_until": "09-15", "label": "summer house"}
        body["addresses"] = [*body["addresses"], {"city": "Batumi", "country": "GE", **season}]
    _greetings(rng, donor, body)
    body["other_names"] = _other_names(rng, donor, body, country)
    body["handles"] = _handles(rng, donor, body)


def birth_date(rng: random.Random, today: date, youngest: int, oldest: int) -> str:
    """A birth date, or as much of it as is known."""
    born = today - timedelta(days=rng.randint(youngest * 366, oldest * 365))
    whole = born.isoformat()
    return rng.choices((whole, f"--{whole[5:]}", whole[:4], whole[:7]), (70, 14, 9, 7))[0]


def street(rng: random.Random, culture: str) -> str:
    """A street and a number."""
    name, number = rng.choice(known()["circle"]["streets"][culture]), rng.randint(1, 60)
    return f"{number} {name}" if culture == "en" else f"{name} {number}"


def _greetings(rng: random.Random, donor: Donor, body: dict[str, Any]) -> None:
    great = donor.habit == "great"
    lady, man, pattern = known()["circle"]["salutations"][donor.culture]
    salutation = lady if donor.female else man
    given = vocative(body["given_name"], donor.culture)
    if great or rng.random() < 0.25:
        body["salutation"] = salutation
    if pattern and (great or rng.random() < 0.08):
        body["formal_greeting"] = pattern.format(
            salutation=salutation, vocative=given, given=body["given_name"], family=body["family_name"]
        )
    if great or rng.random() < 0.1:
        nickname = known()["circle"]["nicknames"].get(body["given_name"])
        body["informal_greeting"] = vocative(nickname, donor.culture) if nickname else given


def latin_parts(donor: Donor) -> dict[str, str]:
    """The donor's name in Latin letters, as their passport has it."""
    given, family = donor.latin
    spelled = latin_name(donor.body["family_name"], donor.culture) if donor.female else None
    return {"given_name": given.title(), "family_name": spelled or family.title()}


def _other_names(rng: random.Random, donor: Donor, body: dict[str, Any], country: str) -> list[dict[str, Any]]:
    names: list[dict[str, Any]] = []
    own = {"given_name": body["given_name"], "family_name": body["family_name"]}
    if donor.culture in _OTHER_SCRIPTS:
        abroad = country and country not in _HOMES[donor.culture]
        if abroad and rng.random() < 0.6:  # known abroad as the passport says; the native spelling is another name
            body.update(latin_parts(donor), middle_name=None)
            names.append({"type": "native", **own})
        elif rng.random() < (0.6 if abroad else 0.22):
            names.append({"type": "latin", **latin_parts(donor)})
    if donor.female and rng.random() < 0.12:
        maiden = rng.choice(known()["people"][donor.culture]["family"]).rsplit(" ", 1)[0]
        names.append({"type": "maiden", "family_name": maiden.rpartition("/")[2]})
    if (nickname := known()["circle"]["nicknames"].get(own["given_name"])) and rng.random() < 0.5:
        names.append({"type": "nickname", "given_name": nickname})
    return names


def _handles(rng: random.Random, donor: Donor, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    handle = f"demo-{donor.latin[0]}-{donor.latin[1].replace(' ', '-')}-{donor.number}"
    found = []
    if "telegram" in body["tags"] or body["preferred_channel"] == "telegram":
        found.append({"network": "telegram", "handle": handle})
    for network, share in (("instagram", 0.05), ("facebook", 0.04)):
        if rng.random() < share:
            found.append({"network": network, "handle": handle})
    if body["phones"] and rng.random() < 0.08:
        found.append({"network": rng.choice(("viber", "whatsapp")), "handle": body["phones"][0]["number"]})
    return found


# Roles and owners


def _role(rng: random.Random, profile: Profile) -> None:
    donor, body = profile.donor, profile.body
    if body.get("deceased"):
        return
    if donor.habit in {"great", "grants"}:
        profile.owner = OWNERS["major"]
    elif donor.habit == "company" or (donor.habit == "monthly" and rng.random() < 0.12):
        profile.owner = OWNERS["appeals"]
    details = []
    if "volunteer" in body["tags"]:
        profile.owner = profile.owner or OWNERS["volunteers"]
        stage = rng.choices(list(_STAGES), list(_STAGES.values()))[0]
        details.append(_detail(rng, profile, "volunteer", stage))
        body["custom"] = _volunteering(rng, stage)
    if donor.habit == "company" and rng.random() < 0.6:
        details.append(_detail(rng, profile, "partner", rng.choice(("active", "active", "prospect"))))
    if "press" in body["tags"]:
        details.append(_detail(rng, profile, "media", "active"))
    if donor.habit == "monthly" and rng.random() < 0.1:
        details.append(_detail(rng, profile, "member", "active"))
    body["role_details"] = [{**item, "until": None} for item in details]
    if any(item["until"] for item in details):
        profile.ended = [
            {**item, "since": str(item["since"]), "until": str(item["until"]) if item["until"] else None}
            for item in details
        ]


def _detail(rng: random.Random, profile: Profile, role: str, stage: str) -> dict[str, Any]:
    longest = max((profile.today - profile.known_since.date()).days, 2)
    since = profile.today - timedelta(days=rng.randint(longest // 2, longest))
    until = None
    if stage == "former":
        until = since + timedelta(days=rng.randint(0, max((profile.today - since).days - 1, 0)))
    return {
        "role": role,
        "stage": stage,
        "since": since,
        "until": until,
    }


def _volunteering(rng: random.Random, stage: str) -> dict[str, Any]:
    areas = [choice["code"] for choice in known()["circle"]["custom_fields"][0]["choices"]]
    hours = {"hours_per_month": rng.choice((2, 4, 6, 8, 10, 12, 16, 24))} if stage == "active" else {}
    return {"volunteer_area": rng.choice(areas), **hours}
