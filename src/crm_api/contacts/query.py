"""What a search looks for: the words of a query as ranges of key rows, level by level. Pure.

    0  words as they are written, whole; whole external ids
    1  beginnings of words in any script; numbers by their beginning or end
    2  consonants, where Arabic or Hebrew meets other scripts
    3  one typo
    4  cities

A contact belongs to the first level it is found on. On a level, contacts come in the order of the keys they are found
by, so whole words stand before longer ones that begin so. A query of several words is driven by the key *pairs* of its
two longest words, which make one narrow range; what other words it has is asked of each row found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations, product

from crm_api.contacts.keys import SHORTEST_WORD, digits, fold_email, frame, pair
from crm_api.kit.scripts import (
    beginnings,
    bones,
    bones_readings,
    canonical,
    name_words,
    readings,
    writes_no_vowels,
)

LAST = "\U0010ffff"
LEVELS = range(5)
WRITTEN, BEGUN, BONES, TYPOS, CITIES = LEVELS
_MOST_TOKENS = 6
_MOST_RANGES = 60
_FEWEST_DIGITS = 5
_ARTICLES = frozenset({"al", "el", "ال"})
_NUMBER_LETTERS = frozenset("0123456789+()-./ \u00a0\u2011\u2013")


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """Keys of a kind from `low` to before `high`, which hold `needle`."""

    kind: str
    low: str
    high: str
    needle: str = ""


def exact(kind: str, value: str) -> Range:
    """One key."""
    return Range(kind, value, value + " ")


def begins(kind: str, value: str) -> Range:
    """Keys that begin so."""
    return Range(kind, value, value + LAST)


def whole(form: str) -> Range:
    """A whole word by its search form, however written."""
    return Range("word", f"{form} ", f"{form}!")


def identifiers(text: str) -> list[Range]:
    """External ids that are written so: the id, or ``system:id``."""
    system, _, code = text.partition(":")
    if not text:
        return []
    return [begins("external", f"{text} "), *([exact("external", f"{code} {system}")] if code else [])]


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the query: `word` folded, where it may be one of a name; `text` as it came."""

    text: str
    word: str = ""
    typos: tuple[str, ...] = ()
    """Search forms of words that are one typo away."""

    @property
    def is_strong(self) -> bool:
        """Whether it names few contacts by itself: an e-mail or a long number."""
        return "@" in self.text or (_is_number(self.text) and len(digits(self.text)) >= _FEWEST_DIGITS)

    def ranges(self, level: int) -> list[Range]:
        """Key ranges that this level adds."""
        found: list[Range] = []
        if level == WRITTEN:
            found += identifiers(self.text)
            if self.word:
                found.append(exact("word", f"{canonical(self.word)} {self.word}"))
        elif level == BEGUN:
            found += _beginnings(self)
        elif level == BONES and self.word:
            side = "v" if writes_no_vowels(self.word) else "a"
            found += [exact("bones", f"{side} {one}") for one in bones_readings(self.word) if len(one) > 1]
        elif level == TYPOS:
            found += [whole(form) for form in self.typos]
        elif level == CITIES and self.word:
            found += [begins("place", form) for form in beginnings(self.word)]
        return found

    def up_to(self, level: int) -> list[Range]:
        """Key ranges of this level and those before it."""
        return apart(one for earlier in LEVELS[: level + 1] for one in self.ranges(earlier))


def _is_number(text: str) -> bool:
    return all(letter in _NUMBER_LETTERS or letter.isdecimal() for letter in text) and any(map(str.isdecimal, text))


def _beginnings(token: Token) -> list[Range]:
    if "@" in token.text:
        return [begins("email", fold_email(token.text))]
    found = [begins("word", form) for form in beginnings(token.word)] if token.word else []
    if not _is_number(token.text):
        return found
    number = digits(token.text)
    if len(number) >= _FEWEST_DIGITS:
        international = number.removeprefix("00") if not token.text.startswith("+") else number
        found.append(begins("phone", f"+{international}"))
        if not token.text.startswith("+"):
            # A national number begins with what is dialled before it: 0 in most countries, 8 in a few.
            for said in (number, number.lstrip("0"), number[1:] if number[0] == "8" else number):
                if len(said) >= _FEWEST_DIGITS:
                    found.append(begins("tail", said[::-1]))
    return found


def apart(ranges: Iterable[Range]) -> list[Range]:
    """The same keys by ranges in their order, none within another."""
    found: list[Range] = []
    for one in sorted(ranges, key=lambda one: (one.kind, one.low, one.needle)):
        last = found[-1] if found else None
        if last and last.kind == one.kind and last.needle == one.needle and one.low < last.high:
            found[-1] = replace(last, high=max(last.high, one.high))
        else:
            found.append(one)
    return found[:_MOST_RANGES]


def without(ranges: list[Range], gone: list[Range]) -> list[Range]:
    """What of ranges is left without the keys of others."""
    for hole in gone:
        left: list[Range] = []
        for one in ranges:
            if one.kind != hole.kind or hole.needle or hole.high <= one.low or one.high <= hole.low:
                left.append(one)
                continue
            if one.low < hole.low:
                left.append(replace(one, high=hole.low))
            if hole.high < one.high:
                left.append(replace(one, low=hole.high))
        ranges = left
    return ranges


@dataclass(frozen=True, slots=True)
class Step:
    """How contacts of one level are found."""

    level: int
    driver: list[Range]
    """Where rows come from; without those an earlier level has shown, as far as ranges can say."""
    same: list[Range]
    """Where else on this level the contact may stand: it is shown for the first of its keys."""
    others: tuple[list[Range], ...]
    """Each further word: the contact has a key in one of its ranges."""
    before: list[Range]
    """Where earlier levels took rows from."""
    others_before: tuple[list[Range], ...]


@dataclass(frozen=True, slots=True)
class Way:
    """Contacts with a key in one of the `driver`'s ranges and one in each of the others'."""

    driver: list[Range]
    others: tuple[list[Range], ...] = ()


@dataclass(frozen=True, slots=True)
class Search:
    """A query, ready to be looked up."""

    tokens: tuple[Token, ...]
    code: str = ""
    """The query where it is one piece of several words, as ids of other systems are."""

    @property
    def words(self) -> list[str]:
        """Words that a typo may be in; the typo may be that a letter is missing."""
        return [token.word for token in self.tokens if len(token.word) >= SHORTEST_WORD - 1]

    def with_typos(self, near: dict[str, tuple[str, ...]]) -> Search:
        """The same with what its words may have been meant for."""
        tokens = tuple(replace(token, typos=near.get(token.word, ())) for token in self.tokens)
        return replace(self, tokens=tokens)

    @property
    def is_strong(self) -> bool:
        """Whether one of several words names few contacts by itself."""
        return len(self.tokens) > 1 and any(token.is_strong for token in self.tokens)

    def ways(self) -> list[Way]:
        """How all contacts of all levels are found."""
        if len(self.tokens) == 1:
            return [Way(self.tokens[0].up_to(CITIES))]
        if self.is_strong:
            step = self.step(BEGUN)
            return [Way(step.driver, step.others)]
        first, second, rest = self._order()
        found = [Way(self._up_to(TYPOS, first, second), tuple(token.up_to(TYPOS) for token in rest))]
        step = self.step(CITIES)
        found.append(Way(step.driver, step.others))
        return [*found, Way(identifiers(self.code))] if self.code else found

    def levels(self) -> range:
        """Levels that this query has."""
        if self.is_strong:
            return range(BEGUN, BEGUN + 1)
        return LEVELS

    def step(self, level: int) -> Step:
        """How contacts of a level are found."""
        if len(self.tokens) == 1:
            return self._one(level)
        strong = next((token for token in self.tokens if token.is_strong), None)
        if strong is None:
            return self._pairs(level)
        same = strong.up_to(BEGUN)
        others = tuple(token.up_to(CITIES) for token in self.tokens if token is not strong)
        return Step(level, same, same, others, [], ())

    def _one(self, level: int) -> Step:
        (token,) = self.tokens
        before = token.up_to(level - 1) if level else []
        same = apart(token.ranges(level))
        return Step(level, without(same, before), same, (), before, ())

    def _order(self) -> tuple[Token, Token, list[Token]]:
        """The two words that pairs are made of, the longer second; and the others."""
        longest = sorted(self.tokens, key=lambda token: -len(canonical(token.word)) if token.word else 1)
        return longest[1], longest[0], longest[2:]

    def _pairs(self, level: int) -> Step:
        first, second, rest = self._order()
        written = () if self.code else tuple(token.ranges(WRITTEN) for token in self.tokens)
        if level == WRITTEN:
            same = self._added(WRITTEN, first, second)
            return Step(level, same, same, written, [], ())
        before = self._up_to(level - 1, first, second)
        if level == CITIES:
            same = apart(self._homes())
            every = tuple(token.up_to(CITIES) for token in self.tokens) if rest else ()
            return Step(level, same, same, every, before, tuple(token.up_to(TYPOS) for token in rest))
        others = tuple(token.up_to(level) for token in rest)
        others_before = written if level == BEGUN else tuple(token.up_to(level - 1) for token in rest)
        same = self._up_to(level, first, second) if rest else self._added(level, first, second)
        return Step(level, same, same, others, before, others_before)

    def _homes(self) -> Iterator[Range]:
        """Ranges of a name's word with a city, whichever of the words is which."""
        for one, other in permutations(self.tokens, 2):
            for city, word in product(beginnings(one.word), beginnings(other.word)):
                yield Range("home", f"{city[:1]}:{word}", f"{city[:1]}:{word}{LAST}", f" {city}")

    def _up_to(self, level: int, first: Token, second: Token) -> list[Range]:
        return apart(one for each in LEVELS[: level + 1] for one in self._added(each, first, second))

    def _added(self, level: int, first: Token, second: Token) -> list[Range]:
        """Ranges of pairs that a level adds."""
        one, other = first.word, second.word
        if not one or not other:
            return []
        found: list[Range] = []
        if level == WRITTEN:
            found += [exact("pair", pair(canonical(one), canonical(other))), *identifiers(self.code)]
        elif level == BEGUN:
            for a, b in product(beginnings(one), beginnings(other)):
                found.append(Range("pair", f"{a[:1]}:{b}", f"{a[:1]}:{b}{LAST}", f" {a}"))
        elif level == BONES and writes_no_vowels(one) == writes_no_vowels(other) and bones(one) and bones(other):
            for a, b in product(bones_readings(one), bones_readings(other)):
                found.append(exact("frame", frame(a, b, vowels=writes_no_vowels(one))))
        elif level == TYPOS:
            for here, there in ((first, second), (second, first)):
                for typo, form in product(here.typos, readings(there.word)):
                    found.append(begins("pair", f"{form[:1]}:{typo} {form}"))
            for a, b in product(first.typos, second.typos):
                found.append(exact("pair", pair(a, b)))
        return apart(found)


def parse(text: str) -> Search:
    """The query in words; `ValueError` says what it lacks."""
    said = " ".join(text.split())
    if _is_number(said) and len(digits(said)) >= _FEWEST_DIGITS:
        return Search((Token(said, digits(said) if said.isdecimal() else ""),))
    tokens: list[Token] = []
    for part in said.split(" "):
        if "@" in part:
            tokens.append(Token(part))
            continue
        found = [word for word in name_words(part) if len(word) >= 2]
        if _is_number(part) and len(digits(part)) >= _FEWEST_DIGITS:
            tokens.append(Token(part))
        elif len(found) == 1:
            tokens.append(Token(part, found[0]))
        else:
            tokens += [Token(word, word) for word in found]
    distinct = list({token.word or token.text: token for token in tokens}.values())
    names = [token for token in distinct if token.word not in _ARTICLES]
    distinct = (names if len(names) > 1 else distinct)[:_MOST_TOKENS]
    if not distinct:
        raise ValueError("needs at least one word of two letters")
    return Search(tuple(distinct), code=said if len(distinct) > 1 and " " not in said else "")
