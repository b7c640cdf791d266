"""Whether two contacts are one: evidence added up by field (Fellegi and Sunter, 1969). Pure.

Each field gives a weight for its verdict: ``10 · log10`` of how much likelier that verdict is for one person recorded
twice than for two persons, so weights are decibans and add up. Ten more mean ten times the odds. Two thresholds divide
the sums: from `certain` on nobody needs to look, from `possible` on somebody should.

A household shares e-mail, phone, address and family name, which is more evidence than many a true pair has. So a
person is never a *certain* match unless the given names agree (or one is a known short form of the other) and nothing
speaks for two people: other birth dates, patronymics, generations, genders. Even then a landline, or an address that
others of the household use too, does not count towards certainty (`personal`): father and son may bear one name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from crm_api.contacts.dedupe import comparing
from crm_api.contacts.dedupe.comparing import Finding
from crm_api.contacts.dedupe.personal import Context, own_email, own_phone
from crm_api.contacts.dedupe.profiles import Profile

Certainty = Literal["certain", "possible"]
FIELDS = (
    "email", "phone", "handle", "given_name", "family_name", "middle_name", "generation", "organization_name",
    "birth_date", "gender", "address", "external_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Weights:
    """Decibans for each verdict on a field; `missing` always weighs nothing."""

    agree: int
    close: int
    differ: int


DEFAULT_WEIGHTS: Mapping[str, Weights] = {
    "email": Weights(24, 10, -1),
    "phone": Weights(24, 8, -1),
    "handle": Weights(24, 10, -1),
    "given_name": Weights(8, 5, -22),
    "family_name": Weights(12, 8, -8),
    "middle_name": Weights(6, 4, -16),
    "generation": Weights(2, 0, -25),
    "organization_name": Weights(22, 13, -16),
    "birth_date": Weights(18, 7, -18),
    "gender": Weights(1, 0, -14),
    "address": Weights(8, 2, -2),
    "external_id": Weights(40, 0, -12),
}
"""From estimates of m (agreement within one person) and u (chance agreement), such as for the given name m = 0.95 and
u = 1/150; less than independence would give where households share a field. `benchmarks/duplicates.py` measures it."""

MOST_FOR_RARITY = 6
_WEAK = {"typo", "initial", "spelling", "part_of_name"}
"""Reasons on which a given name is taken for the same only beside a birth date."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What must agree for two contacts to be shown as candidates, and what is done with certain ones."""

    code: str
    fields: Mapping[str, Literal["agree", "close"]]
    kind: Literal["person", "organization"] = "person"
    action: Literal["queue", "merge"] = "queue"
    active: bool = True

    def fits(self, findings: Mapping[str, Finding]) -> bool:
        """Whether every field it names agrees, or is close where that is enough."""
        return all(findings[name].rank >= (3 if least == "agree" else 2) for name, least in self.fields.items())


DEFAULT_RULES = (
    Rule("email_and_name", {"email": "close", "given_name": "close", "family_name": "close"}),
    Rule("phone_and_name", {"phone": "agree", "given_name": "close", "family_name": "close"}),
    Rule("handle_and_name", {"handle": "agree", "given_name": "close"}),
    Rule("name_and_birth_date", {"given_name": "close", "family_name": "close", "birth_date": "close"}),
    Rule("name_and_address", {"given_name": "close", "family_name": "close", "address": "agree"}),
    Rule("email_and_given_name", {"email": "agree", "given_name": "close"}),
    Rule("phone_and_given_name", {"phone": "agree", "given_name": "close"}),
    Rule("given_name_and_birth_date", {"given_name": "close", "birth_date": "agree"}),
    Rule("name", {"given_name": "close", "family_name": "close"}),
    Rule("email", {"email": "agree"}),
    Rule("phone", {"phone": "agree"}),
    Rule("organization_name", {"organization_name": "close"}, "organization"),
    Rule("organization_email", {"email": "agree"}, "organization"),
    Rule("organization_phone", {"phone": "agree"}, "organization"),
)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """An organization's rules, weights and thresholds."""

    version: int = 0
    certain: int = 36
    possible: int = 24
    largest_block: int = 60
    """A key that more contacts share than this tells nothing; a sweep skips it and says so."""
    rules: tuple[Rule, ...] = DEFAULT_RULES
    weights: Mapping[str, Weights] = field(default_factory=lambda: DEFAULT_WEIGHTS)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one field says."""

    field: str
    verdict: str
    reason: str
    weight: int

    def shown(self) -> dict[str, Any]:
        """For the API: a verdict and a weight, never a value."""
        return {"field": self.field, "verdict": self.verdict, "reason": self.reason or None, "weight": self.weight}


@dataclass(frozen=True, slots=True)
class Match:
    """Two contacts that may be one."""

    score: int
    certainty: Certainty
    rules: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    merges: bool
    """Whether a rule that fits says that certain pairs are merged without asking."""


def compare(a: Profile, b: Profile) -> dict[str, Finding]:
    """The finding of every field."""
    names = comparing.compare_names(a, b)
    return {
        "email": comparing.compare_emails(a, b),
        "phone": comparing.compare_sets(a.phones, b.phones),
        "handle": comparing.compare_sets(a.handles, b.handles),
        "given_name": names.given,
        "family_name": names.family,
        "middle_name": names.middle,
        "generation": names.generation,
        "organization_name": comparing.compare_organizations(a, b),
        "birth_date": comparing.compare_birth(a.birth_date, b.birth_date),
        "gender": comparing.compare_gender(a, b),
        "address": comparing.compare_places(a.places, b.places),
        "external_id": comparing.compare_external_ids(a, b),
    }


def likely(a: Profile, b: Profile, rules: RuleSet) -> dict[str, Finding] | None:
    """The findings, where a rule fits and enough may speak for the two; the first and cheap look at a pair."""
    if a.kind != b.kind:
        return None
    findings = compare(a, b)
    if a.kind == "person" and _two_people(findings):
        return None
    if not any(rule.active and rule.kind == a.kind and rule.fits(findings) for rule in rules.rules):
        return None
    score = sum(_weighed(name, findings[name], rules).weight for name in FIELDS)
    return findings if score + MOST_FOR_RARITY >= rules.possible else None


def judge(a: Profile, b: Profile, findings: Mapping[str, Finding], rules: RuleSet, context: Context) -> Match | None:
    """The match, in the light of what others have in common with the two; nothing where too little speaks for it."""
    fitting = [rule for rule in rules.rules if rule.active and rule.kind == a.kind and rule.fits(findings)]
    comparisons = [_weighed(name, findings[name], rules) for name in FIELDS]
    named = findings["given_name"].rank >= 2 and findings["family_name"].rank >= 2
    rare = context.rare(a, b) if named else 0
    comparisons.append(Comparison("name_rarity", "agree" if rare else "missing", "rare_name" if rare else "", rare))
    score = sum(one.weight for one in comparisons)
    if score < rules.possible:
        return None
    sure = a.kind == "organization" or _one_person(findings)
    if sure and a.kind == "person":
        sure = score - _of_the_household(a, b, comparisons, context) >= rules.certain
    sure = sure and score >= rules.certain
    return Match(
        score=score,
        certainty="certain" if sure else "possible",
        rules=tuple(rule.code for rule in fitting),
        comparisons=tuple(comparisons),
        merges=sure and any(rule.action == "merge" for rule in fitting),
    )


def match(a: Profile, b: Profile, rules: RuleSet, context: Context | None = None) -> Match | None:
    """Both looks at once."""
    findings = likely(a, b, rules)
    return None if findings is None else judge(a, b, findings, rules, context or Context())


def _of_the_household(a: Profile, b: Profile, comparisons: list[Comparison], context: Context) -> int:
    """What of the score rests on an e-mail or a phone that may be a whole household's."""
    weights = {one.field: one.weight for one in comparisons if one.verdict in {"agree", "close"}}
    email = 0 if own_email(a, b, context) else weights.get("email", 0)
    return email + (0 if own_phone(a, b, context) else weights.get("phone", 0))


def _weighed(name: str, finding: Finding, rules: RuleSet) -> Comparison:
    weights = rules.weights.get(name, DEFAULT_WEIGHTS[name])
    weight = 0 if finding.verdict == "missing" else int(getattr(weights, finding.verdict))
    return Comparison(name, finding.verdict, finding.reason, weight)


def _two_people(findings: Mapping[str, Finding]) -> bool:
    """Whether the given names are those of two people: a couple is no candidate, however much it shares. Names that
    only look alike may be two typos away from each other; and a birth date can outweigh a name."""
    given = findings["given_name"]
    return given.verdict == "differ" and given.reason != "similar" and findings["birth_date"].verdict != "agree"


def _one_person(findings: Mapping[str, Finding]) -> bool:
    """Whether this can be a certain match: the given names say so, and nothing speaks for two people."""
    if any(findings[name].verdict == "differ" for name in ("birth_date", "middle_name", "generation", "gender")):
        return False
    if findings["external_id"].verdict == "differ":
        return False
    given = findings["given_name"]
    if given.rank < 2:
        return False
    return not (given.verdict == "close" and given.reason in _WEAK) or findings["birth_date"].verdict == "agree"
