"""What a rule looks for in the free text of a payment. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

Kind = Literal["contains", "code", "iban", "external_id"]
_TOKEN = re.compile(r"[^\W_]+(?:[-./][^\W_]+)*")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}")
_MOST_TOKENS = 50


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, ready to look."""

    id: UUID
    kind: Kind
    value: str
    connection_id: UUID | None = None
    contact_id: UUID | None = None
    campaign_id: UUID | None = None
    fund_id: UUID | None = None

    def fits(self, hint: str, connection_id: UUID | None) -> bool:
        """Whether the text holds what the rule looks for. One by external id fits where its contact is found."""
        if self.connection_id is not None and self.connection_id != connection_id:
            return False
        if self.kind == "contains":
            return folded(self.value) in folded(hint)
        if self.kind == "code":
            return holds_code(hint, self.value)
        if self.kind == "iban":
            return compact(self.value) in compact(hint)
        return True


def folded(text: str) -> str:
    """Text without case, double spaces and variants of one letter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def compact(text: str) -> str:
    """Capital letters and digits only, as an IBAN is compared."""
    return re.sub(r"[^A-Z0-9]", "", unicodedata.normalize("NFKC", text).upper())


def holds_code(text: str, code: str) -> bool:
    """Whether a code stands in a text by itself: D-2002 is not in D-20021, nor in AD-2002 or D-2002-7."""
    wanted = re.escape(folded(code))
    return re.search(rf"(?<![\w-]){wanted}(?![\w-])", folded(text)) is not None


def tokens(text: str) -> list[str]:
    """What in a text may be an id of the organization's own, as it is written and in capitals."""
    found = [match[0] for match in _TOKEN.finditer(unicodedata.normalize("NFKC", text))][:_MOST_TOKENS]
    return list(dict.fromkeys(one for token in found for one in (token, token.upper())))


def problem_of(kind: Kind, value: str) -> str | None:
    """What is wrong with a rule's value, in words; nothing where it is in order."""
    if kind == "iban" and not _IBAN.fullmatch(compact(value)):
        return "must be an IBAN: country, two digits, account."
    if kind == "code" and not any(letter.isalnum() for letter in value):
        return "needs a letter or a digit."
    if kind == "contains" and len(folded(value)) < 3:
        return "needs three characters at least: less is in too many texts."
    return None


def first_fitting(rules: Iterable[Rule], hint: str, connection_id: UUID | None) -> list[Rule]:
    """The rules that fit a text, in their order."""
    return [rule for rule in rules if rule.fits(hint, connection_id)]
