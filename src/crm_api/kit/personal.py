"""What a table holds of a person, and what becomes of it when that person is erased. Declared next to each table.

A declaration says three things: the way from a row to its contact (a chain of foreign keys, or a condition where no key
leads there), the action, and for what stays, the legal ground and the day on which it ends. Erasure, its plan and the
subject's export are made of these declarations alone, so a new table cannot be forgotten: a structure test refuses one
that leads to a contact, or holds a sensitive column, and says nothing here.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote_plus

Action = Literal["erase", "anonymise", "retain", "none"]
Rewrite = Callable[[Any], Any]
_SHORTEST_IN_BASE64 = 7

ACCOUNTING = "accounting law: vouchers of donations and refunds must be kept"
PROOF = "proof of consent and objection (GDPR Art. 7(1), 17(3)(e))"
ACCOUNTABILITY = "accountability: who changed what and when, without any value (GDPR Art. 5(2))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal:
    """One way in which rows of a table belong to a contact.

    `via` holds chains of columns that end at a contact, such as ``gift_id.contact_id``. `where` is a condition on the
    row in SQL for what no key leads to: it may use ``t`` (the row), ``:ids`` (the person's contact ids as uuid[]),
    ``:names`` (the same as text[]) and ``:traces`` (what `traces` of all tables yield, as text[]).
    """

    action: Action
    via: tuple[str, ...] = ()
    where: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Column → SQL of what is put in its place."""
    rewrite: Mapping[str, Rewrite] = field(default_factory=dict)
    """Column → a function that makes a harmless value of a personal one; `None` leaves the value as it is."""
    ground: str = ""
    """Why something stays; or, for ``none``, why nothing of it is personal."""
    until: str = ""
    """The column that the organization's retention period is counted from; empty: as long as the contact's row."""
    files: str = ""
    """The column that holds the key of a stored file, which goes with the row."""
    export: bool = True
    """Whether it belongs into the subject's export."""
    hidden: tuple[str, ...] = ()
    """Columns that no export shows: other people's data, secrets, internals."""
    traces: tuple[str, ...] = ()
    """SQL over ``t`` of texts that name the person in documents of others, such as a provider's customer id."""


def erase(
    *via: str,
    where: str = "",
    files: str = "",
    export: bool = True,
    hidden: tuple[str, ...] = (),
    traces: tuple[str, ...] = (),
) -> Personal:
    """The rows are deleted."""
    return Personal(action="erase", via=via, where=where, files=files, export=export, hidden=hidden, traces=traces)


def anonymise(
    *via: str,
    columns: Mapping[str, str] | None = None,
    rewrite: Mapping[str, Rewrite] | None = None,
    where: str = "",
    ground: str,
    until: str = "",
    export: bool = True,
    hidden: tuple[str, ...] = (),
    traces: tuple[str, ...] = (),
) -> Personal:
    """The rows stay for a ground, without what names the person."""
    return Personal(
        action="anonymise",
        via=via,
        where=where,
        columns=columns or {},
        rewrite=rewrite or {},
        ground=ground,
        until=until,
        export=export,
        hidden=hidden,
        traces=traces,
    )


def retain(
    *via: str, ground: str, until: str = "", where: str = "", export: bool = True, traces: tuple[str, ...] = ()
) -> Personal:
    """The rows stay as they are: nothing in them names the person once the contact is anonymous, or the law says so.

    Without a way to the person the table may hold something of anybody until its own last day (the latest `until`), as
    an import's file does: the plan then names the whole table.
    """
    return Personal(action="retain", via=via, where=where, ground=ground, until=until, export=export, traces=traces)


def nobody(why: str) -> Personal:
    """Nothing of a person, although a column is tagged as sensitive or a key leads to contacts."""
    return Personal(action="none", ground=why, export=False)


def spellings(trace: str) -> list[str]:
    """How a text stands in documents of others: as it is, in a form's body, and within base64, where it looks different
    by the place it begins at (that, too, within a form). What is too short to be told from chance is left out."""
    raw, found = trace.encode("utf-8", "replace"), [trace, quote_plus(trace)]
    for lead in range(3):
        coded = base64.b64encode(b"\0" * lead + raw).decode()
        first, last = -(-lead * 8 // 6), (lead + len(raw)) * 8 // 6
        if last - first >= _SHORTEST_IN_BASE64:
            found += [coded[first:last], quote_plus(coded[first:last])]
    return list(dict.fromkeys(found))
