"""Whose an e-mail address or a phone number is: one person's, or a household's. Pure.

Families share a landline and often one mailbox. Such an address speaks for the household; it must not make father and
son of one name the same person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import phonenumbers

from crm_api.contacts.dedupe.comparing import given_word
from crm_api.contacts.dedupe.nicknames import given_names
from crm_api.contacts.dedupe.profiles import Profile, word_forms


@dataclass(frozen=True, slots=True)
class Context:
    """What the rest of the contacts says about what two of them have in common."""

    namesakes: Mapping[str, int] = field(default_factory=dict)
    """Frame of a name → how many contacts have it."""
    bearers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """E-mail or phone → first given names of everybody who has it."""

    def shared(self, point: str) -> bool:
        """Whether people of different given names have this e-mail or phone."""
        names = sorted(self.bearers.get(point, ()))
        return any(
            given_word(one, other).verdict == "differ" for n, one in enumerate(names) for other in names[n + 1 :]
        )

    def rare(self, a: Profile, b: Profile) -> int:
        """Decibans for a name that few have: six where it is next to unique, three where it is seldom."""
        counts = [self.namesakes[frame] for frame in a.frames & b.frames if frame in self.namesakes]
        return 0 if not counts else 6 if min(counts) <= 3 else 3 if min(counts) <= 8 else 0


@lru_cache(maxsize=65_536)
def fixed_line(number: str) -> bool:
    """Whether a number is a landline: a home's or an office's."""
    try:
        kind = phonenumbers.number_type(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False
    return bool(kind == phonenumbers.PhoneNumberType.FIXED_LINE)


def own_phone(a: Profile, b: Profile, context: Context) -> bool:
    """Whether they have a number in common that is one person's."""
    return any(not fixed_line(one) and not context.shared(one) for one in a.phones & b.phones)


def own_email(a: Profile, b: Profile, context: Context) -> bool:
    """Whether they have a mailbox in common that is one person's."""
    common = {one for one in (*a.emails, *b.emails) if one in a.emails & b.emails} or a.emails | b.emails
    boxes = a.mailboxes & b.mailboxes
    if not boxes or any(context.shared(one) for one in common):
        return False
    return any(_bears_own_name(box.partition("@")[0], profile) for box in boxes for profile in (a, b))


def _bears_own_name(box: str, profile: Profile) -> bool:
    """Whether the part before the @ can be this person's: not the bare family name, and nobody else's given name."""
    pieces = [word_forms(piece)[0] for piece in re.findall(r"[^\W\d_]+", box)]
    if not pieces or not profile.names:
        return True
    name = profile.names[0]
    given = [word_forms(word)[0] for word in name.given]
    family = {word_forms(word)[0] for word in name.family}
    table = given_names()
    for piece in pieces:
        if any(piece.startswith(one) or table.same(piece, one) for one in given if len(one) > 2):
            return True
    if any(piece in table.groups for piece in pieces):
        return False  # somebody else's given name
    initials = {one[:1] for one in given}
    bare = [piece for piece in pieces if piece in family]
    return not bare or any(len(piece) == 1 and piece in initials for piece in pieces)
