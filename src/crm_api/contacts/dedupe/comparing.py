"""How two contacts agree, field by field: a verdict and a reason for each, never a value. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from rapidfuzz.distance import OSA, JaroWinkler

from crm_api.contacts.dedupe.nicknames import given_names
from crm_api.contacts.dedupe.profiles import Name, Place, Profile, word_forms

Verdict = Literal["agree", "close", "differ", "missing"]
_RANK: dict[str, int] = {"agree": 3, "close": 2, "missing": 1, "differ": 0}


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict on one field and what it rests on."""

    verdict: Verdict
    reason: str = ""

    @property
    def rank(self) -> int:
        """For choosing the best of several."""
        return _RANK[self.verdict]


MISSING = Finding("missing")
DIFFERENT = Finding("differ", "different")
OTHER_NAME = Finding("differ", "another_name")
SAME = Finding("agree", "same")


def _typo(one: str, other: str) -> bool:
    """One letter changed, added, left out or swapped with its neighbour, in words of at least four letters."""
    return min(len(one), len(other)) >= 4 and OSA.distance(one, other, score_cutoff=1) <= 1


@lru_cache(maxsize=65_536)
def given_word(one: str, other: str) -> Finding:
    """Two given names. A typo that turns one known name into another, or a man's into a woman's, is no typo."""
    a, b = word_forms(one), word_forms(other)
    if a[1] & b[1]:
        return SAME
    table = given_names()
    if table.same(a[0], b[0]):
        both = a[0] in table.full and b[0] in table.full
        return Finding("agree", "same_name") if both else Finding("close", "nickname")
    if min(len(one), len(other)) == 1:
        return Finding("close", "initial") if one[0] == other[0] or a[0][:1] == b[0][:1] else DIFFERENT
    if table.apart(a[0], b[0]) or _feminine(a[0], b[0]) or _feminine(b[0], a[0]):
        return OTHER_NAME
    if _typo(a[0], b[0]):
        return Finding("close", "typo")
    if a[2] and a[2] == b[2] and len(a[0]) >= 4:
        return Finding("close", "spelling")
    return Finding("differ", "similar") if JaroWinkler.similarity(a[0], b[0]) >= 0.85 else DIFFERENT


def _feminine(one: str, other: str) -> bool:
    return other in {f"{one}a", f"{one}ia", f"{one}na"} or (one.endswith("i") and other == f"{one[:-1]}ia")


@lru_cache(maxsize=65_536)
def family_word(one: str, other: str) -> Finding:
    """Two family names. Endings of men's and women's forms of one name (Ковальський, Ковальська) count as close."""
    a, b = word_forms(one), word_forms(other)
    if a[1] & b[1]:
        return SAME
    if min(len(one), len(other)) == 1:
        return Finding("close", "initial") if a[0][:1] == b[0][:1] else DIFFERENT
    if len(a[0]) >= 5 and len(b[0]) >= 5 and _stem(a[0]) == _stem(b[0]):
        return Finding("close", "gendered_form")
    if _typo(a[0], b[0]) or (min(len(a[0]), len(b[0])) >= 6 and JaroWinkler.similarity(a[0], b[0]) >= 0.94):
        return Finding("close", "typo")
    if a[2] and a[2] == b[2] and min(len(a[0]), len(b[0])) >= 4:
        return Finding("close", "spelling")
    return DIFFERENT


def _stem(word: str) -> str:
    for ending in ("skaia", "skaya", "skii", "skij", "skyi", "ska", "ski", "sky"):
        if word.endswith(ending):
            return word[: -len(ending)] + "sk"
    for ending in ("ova", "eva", "ina"):
        if word.endswith(ending):
            return word[:-1]
    return word


def _words(one: tuple[str, ...], other: tuple[str, ...], by: Callable[[str, str], Finding]) -> Finding:
    """Two parts of a name: of several words one suffices, as in double names, but then they are only close."""
    if not one or not other:
        return MISSING
    if len(one) == len(other):
        findings = [by(a, b) for a, b in zip(one, other, strict=True)]
        worst = min(findings, key=lambda finding: finding.rank)
        if worst.rank > 0:
            return worst
    best = max((by(a, b) for a in one for b in other), key=lambda finding: finding.rank)
    return (
        Finding("close", "part_of_name")
        if best.verdict == "agree" and best.rank and len(one) + len(other) > 2
        else (best if len(one) == len(other) == 1 else DIFFERENT)
    )


@dataclass(frozen=True, slots=True)
class Names:
    """What the names of two persons say."""

    given: Finding
    family: Finding
    middle: Finding
    generation: Finding


def _one_name(a: Name, b: Name) -> Names:
    given, family = _words(a.given, b.given, given_word), _words(a.family, b.family, family_word)
    if min(given.rank, family.rank) <= 1:
        given, family = _other_order(a, b, given, family)
    generation = MISSING
    if a.generation is not None and b.generation is not None:
        generation = SAME if a.generation == b.generation else DIFFERENT
    return Names(given, family, _words(a.middle, b.middle, family_word), generation)


def _other_order(a: Name, b: Name, given: Finding, family: Finding) -> tuple[Finding, Finding]:
    """The names the other way round, or all in one field, where that says more."""
    swapped = Finding("close", "swapped")
    if a.given and a.family and b.given and b.family:
        crossed = (_words(a.given, b.family, given_word), _words(a.family, b.given, family_word))
        if all(finding.rank >= 2 for finding in crossed):
            whole = all(finding.verdict == "agree" for finding in crossed)
            return (Finding("agree", "swapped"), Finding("agree", "swapped")) if whole else (swapped, swapped)
        return given, family
    one, other = {*a.given, *a.family}, {*b.given, *b.family}
    mine, theirs = ({word_forms(word)[0] for word in words} for words in (one, other))
    if len(mine) > 1 and mine == theirs:
        return Finding("agree", "one_field"), Finding("agree", "one_field")
    return given, family


def compare_names(a: Profile, b: Profile) -> Names:
    """The best that any name of one says beside any name of the other; other names (maiden, former, Latin) count."""
    best: Names | None = None
    for position, mine in enumerate(a.names):
        for number, theirs in enumerate(b.names):
            found = _one_name(mine, theirs)
            if position or number:
                found = _by_other_name(found)
            if best is None or _sum(found) > _sum(best):
                best = found
    return best or Names(MISSING, MISSING, MISSING, MISSING)


def _by_other_name(found: Names) -> Names:
    family = Finding(found.family.verdict, "other_name") if found.family.rank >= 2 else found.family
    return Names(found.given, family, found.middle, found.generation)


def _sum(names: Names) -> int:
    return names.given.rank * 4 + names.family.rank * 4 + names.middle.rank


def compare_sets(mine: frozenset[str], theirs: frozenset[str]) -> Finding:
    """Addresses of one kind: one in common is enough."""
    if not mine or not theirs:
        return MISSING
    return SAME if mine & theirs else DIFFERENT


def compare_emails(a: Profile, b: Profile) -> Finding:
    """E-mail addresses, then the mailboxes behind them, then one typo in the part before the @."""
    found = compare_sets(a.emails, b.emails)
    if found.verdict != "differ":
        return found
    if a.mailboxes & b.mailboxes:
        return Finding("agree", "same_mailbox")
    for one in a.mailboxes:
        for other in b.mailboxes:
            name, _, domain = one.rpartition("@")
            theirs, _, their_domain = other.rpartition("@")
            if domain == their_domain and len(name) >= 6 and not _numbered(name, theirs) and _typo(name, theirs):
                return Finding("close", "typo")
    return found


def _numbered(one: str, other: str) -> bool:
    """Whether the difference is one of digits: olena1 and olena2 are two mailboxes."""
    strip = str.maketrans("", "", "0123456789")
    return one.translate(strip) == other.translate(strip)


def compare_birth(one: str | None, other: str | None) -> Finding:
    """Birth dates of which parts may be unknown: parts that both have must be the same."""
    if not one or not other:
        return MISSING
    if one == other:
        return Finding("agree", "same") if len(one) >= 10 else Finding("close", "partial")
    mine, theirs = _date_parts(one), _date_parts(other)
    shared = [(x, y) for x, y in zip(mine, theirs, strict=True) if x and y]
    if shared and all(x == y for x, y in shared):
        return Finding("close", "partial")
    if len(one) == len(other) == 10:
        if mine[0] == theirs[0] and mine[1:] == (theirs[2], theirs[1]):
            return Finding("close", "day_and_month_swapped")
        if one[:3] == other[:3] and sum(x != y for x, y in zip(one, other, strict=True)) == 1:
            return Finding("close", "one_digit")  # never another decade: that is a generation
    return DIFFERENT


def _date_parts(text: str) -> tuple[str, str, str]:
    if text.startswith("--"):
        return "", text[2:4], text[5:7]
    year, month, day = (*text.split("-"), "", "")[:3]
    return year, month, day


def compare_places(mine: tuple[Place, ...], theirs: tuple[Place, ...]) -> Finding:
    """Postal addresses: the street in the same city agrees, the city alone is close."""
    best = MISSING
    for a in mine:
        for b in theirs:
            found = _place(a, b)
            if best.verdict == "missing" or found.rank > best.rank:
                best = found
    return best


def _place(a: Place, b: Place) -> Finding:
    city = bool(a.city and b.city and (a.city == b.city or _typo(a.city, b.city)))
    code = bool(a.postal_code and a.postal_code == b.postal_code)
    if a.street and b.street and (city or code):
        return SAME if a.street == b.street or _typo(a.street, b.street) else Finding("close", "same_city")
    if city or code:
        return Finding("close", "same_city")
    return DIFFERENT if (a.city and b.city) or (a.postal_code and b.postal_code) else MISSING


def compare_gender(a: Profile, b: Profile) -> Finding:
    """What is said of gender; else what known given names say."""
    mine, theirs = _gender(a), _gender(b)
    if len(mine) != 1 or len(theirs) != 1:
        return MISSING
    return SAME if mine == theirs else DIFFERENT


def _gender(profile: Profile) -> set[str]:
    if profile.gender:
        return {profile.gender}
    words = profile.names[0].given if profile.names else ()
    return given_names().genders(word_forms(words[0])[0]) if words else set()


def compare_external_ids(a: Profile, b: Profile) -> Finding:
    """Ids in other systems: one system that knows both, by different ids, holds them for two."""
    if a.external_ids & b.external_ids:
        return SAME
    mine, theirs = {system for system, _ in a.external_ids}, {system for system, _ in b.external_ids}
    return Finding("differ", "two_ids_in_one_system") if mine & theirs else MISSING


def compare_organizations(a: Profile, b: Profile) -> Finding:
    """Names of organizations: without legal forms, in any order of words."""
    best = MISSING
    for mine in a.names:
        for theirs in b.names:
            found = _organization(mine.organization, theirs.organization)
            if best.verdict == "missing" or found.rank > best.rank:
                best = found
    return best


_LEGAL = frozenset(
    word_forms(word)[0]
    for word in ("тов", "ооо", "ао", "го", "бф", "бо", "пп", "llc", "ltd", "inc", "gmbh", "foundation", "fund", "фонд",
                 "благодійний", "благотворительный", "шпс", "შპს", "ააიპ", "company", "corp", "ngo", "the")
)  # fmt: skip


def _organization(one: tuple[str, ...], other: tuple[str, ...]) -> Finding:
    if not one or not other:
        return MISSING
    mine = frozenset(one) - _LEGAL or frozenset(one)
    theirs = frozenset(other) - _LEGAL or frozenset(other)
    if mine == theirs:
        return SAME
    a, b = " ".join(sorted(mine)), " ".join(sorted(theirs))
    if _typo(a, b) or (len(a) >= 8 and JaroWinkler.similarity(a, b) >= 0.95):
        return Finding("close", "typo")
    if (mine < theirs or theirs < mine) and min(len(mine), len(theirs)) >= 2:
        return Finding("close", "part_of_name")
    return DIFFERENT
