"""Rows of a table as gifts: cells are read by their targets and checked. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from crm_api.campaigns.appeals.models import CHANNELS
from crm_api.contacts.fields import fold_email
from crm_api.kit.names import fold
from crm_api.transfers.formulas import unguard
from crm_api.transfers.imports import gift_values, values
from crm_api.transfers.imports.contact_rows import take_apart
from crm_api.transfers.imports.gift_money import Opened, Refused, Unreachable, opened_of
from crm_api.transfers.imports.headers import ABSENT
from crm_api.transfers.imports.kinds import CellError, Options, ParsedRow

_SYSTEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_LONGEST_ID = 200
_LONGEST_NOTE = 500
_NAMES = ("given_name", "family_name", "organization_name")
_MONEY = ("amount", "match_amount", "refunded_amount", "fee")
_SOFT = "soft_credit_"


@dataclass(slots=True)
class Named:
    """Somebody whom a row names."""

    id: UUID | None = None
    external_id: tuple[str, str] | None = None
    email: str | None = None
    address: str | None = None
    """The e-mail as it was written."""
    names: dict[str, str] = field(default_factory=dict)

    @property
    def anybody(self) -> bool:
        """Whether there is anything to find them by."""
        return self.id is not None or self.external_id is not None or self.email is not None


@dataclass(slots=True)
class Facts:
    """What a gift is matched by, and whom it names."""

    id: UUID | None = None
    external_ids: list[tuple[str, str]] = field(default_factory=list)
    payment_id: str | None = None
    donor: Named = field(default_factory=Named)
    credited: Named = field(default_factory=Named)
    opened: Opened | None = None
    """The gift that the row makes where it matches none; None where it could not be one."""


@dataclass(slots=True)
class _Draft:
    """A row being read."""

    said: dict[str, Any] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    money: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Cells that need the currency, with their headers."""


Setter = Callable[[_Draft, str, str], None]


@dataclass(frozen=True, slots=True)
class Moment:
    """When money arrived."""

    at: datetime
    day: date
    exact: bool
    """A time was said, and not only a day."""


def _put(name: str, convert: Callable[[str], Any]) -> Setter:
    def put(draft: _Draft, cell: str, header: str) -> None:
        draft.said[name] = convert(cell)

    return put


def _limited(name: str, most: int) -> Setter:
    def put(draft: _Draft, cell: str, header: str) -> None:
        if len(cell) > most:
            raise ValueError(f"must not be longer than {most} characters")
        draft.said[name] = cell

    return put


def _code(cell: str) -> str:
    if not _CODE.fullmatch(cell):
        raise ValueError("must be a code: up to 64 letters, digits, dots, colons and dashes")
    return cell


def _channel(cell: str) -> str:
    if fold(cell) not in CHANNELS:
        raise ValueError(f"must be one of {', '.join(CHANNELS)}")
    return fold(cell)


def _uuid(cell: str) -> UUID:
    try:
        return UUID(cell)
    except ValueError:
        raise ValueError("must be an id as an export has it") from None


def external(cell: str, system: str | None) -> tuple[str, str]:
    """System and id of ``system:id``, or of an id of a `system` that is known; `ValueError` where none is."""
    named, colon, rest = cell.partition(":")
    if system is None:
        if not (colon and rest.strip() and _SYSTEM.fullmatch(named.strip())):
            raise ValueError("needs its system: write system:id, or say options.external_system")
        system, cell = named.strip(), rest.strip()
    elif colon and named.strip() == system:
        cell = rest.strip()
    if not cell or len(cell) > _LONGEST_ID:
        raise ValueError(f"must be an id of at most {_LONGEST_ID} characters")
    return system, cell


def _external_id(system: str | None) -> Setter:
    def put(draft: _Draft, cell: str, header: str) -> None:
        found = external(cell, system)
        if found not in draft.facts.external_ids:
            draft.facts.external_ids.append(found)

    return put


def _money(name: str) -> Setter:
    def put(draft: _Draft, cell: str, header: str) -> None:
        draft.money[name] = (cell, header)

    return put


def _person(which: str, member: str, convert: Callable[[str], Any]) -> Setter:
    def put(draft: _Draft, cell: str, header: str) -> None:
        setattr(getattr(draft.facts, which), member, convert(cell))

    return put


def _email(which: str) -> Setter:
    def put(draft: _Draft, cell: str, header: str) -> None:
        address = cell.removeprefix("mailto:")
        if "@" not in address or " " in address or len(address) > 254:
            raise ValueError("must be one e-mail address")
        person: Named = getattr(draft.facts, which)
        person.address, person.email = address, fold_email(address)

    return put


def _name(which: str, part: str) -> Setter:
    def put(draft: _Draft, cell: str, header: str) -> None:
        if len(cell) > 200:
            raise ValueError("must not be longer than 200 characters")
        person: Named = getattr(draft.facts, which)
        if part == "full_name":
            for name, value in take_apart(cell, family_first=False).items():
                person.names.setdefault(name, value)
        else:
            person.names[part] = cell

    return put


def _company(system: str) -> Setter:
    def put(draft: _Draft, cell: str, header: str) -> None:
        draft.facts.donor.external_id = external(f"{system}:{fold(cell)}", system)
        draft.facts.donor.names["organization_name"] = cell

    return put


def _payment_id(draft: _Draft, cell: str, header: str) -> None:
    draft.facts.payment_id = cell


def setter_of(target: str, options: Options, order: str | None, zone: str) -> Setter:
    """What puts a cell where the target says; `KeyError` for a target we do not know."""
    base, _, system = target.partition(":")
    known = system or options.external_system
    if base == "external_id":
        return _external_id(known)
    if base in {"contact_external_id", "soft_credit_external_id"}:
        which = "donor" if base == "contact_external_id" else "credited"
        return _person(which, "external_id", lambda cell: external(cell, known))
    if base in _MONEY:
        return _money(base)
    if base.startswith(_SOFT):
        part = base.removeprefix(_SOFT)
        return _email("credited") if part == "email" else _name("credited", part)
    if base in {*_NAMES, "full_name"}:
        return _name("donor", base)
    if base in {"gift_date", "received_at", "refunded_on"}:
        name = "refunded_on" if base == "refunded_on" else "received"
        return _put(name, lambda cell: Moment(*gift_values.moment(cell, order, zone)))
    found: dict[str, Setter] = {
        "id": lambda draft, cell, header: setattr(draft.facts, "id", _uuid(cell)),
        "receipt_number": _external_id("receipt"),
        "payment_id": _payment_id,
        "contact_id": _person("donor", "id", _uuid),
        "email": _email("donor"),
        "company": _company(f"{options.preset or options.external_system or 'import'}-company"),
        "currency": _put("currency", gift_values.currency),
        "status": _put("status", gift_values.status),
        "method": _put("method", gift_values.method),
        "fund": _put("fund", _code),
        "campaign": _put("campaign", _code),
        "source_code": _put("source_code", _code),
        "channel": _put("channel", _channel),
        "note": _limited("note", _LONGEST_NOTE),
        "is_anonymous": _put("is_anonymous", values.yes_or_no),
    }
    return found[base]


class GiftParser:
    """Turns the cells of a row into what it says of a gift."""

    def __init__(
        self,
        headers: Sequence[str],
        mapping: Mapping[str, str | None],
        options: Options,
        samples: Sequence[Sequence[str]],
        zone: str,
    ) -> None:
        self._width = len(headers)
        self._absent = ABSENT.get(options.preset or "", frozenset())
        self._currency = options.default_currency
        self._plan: list[tuple[int, str, Setter]] = []
        for index, header in enumerate(headers):
            target = mapping.get(header)
            if target is not None:
                column = [row[index].strip().partition(" ")[0] for row in samples if index < len(row)]
                order = options.date_order or values.date_order(column)
                self._plan.append((index, header, setter_of(target, options, order, zone)))
        # A whole name is read after its parts, which say more.
        self._plan.sort(key=lambda item: mapping[item[1]] == "full_name")

    def __call__(self, number: int, cells: Sequence[str]) -> ParsedRow:
        """A row, checked; what is wrong with it stands in its errors."""
        row = ParsedRow(number, cells)
        draft = _Draft()
        self._read(row, draft, cells)
        if len(cells) > self._width and any(cell.strip() for cell in cells[self._width :]):
            said = f"The row has {len(cells)} cells, the header {self._width}; is a separator inside a cell unquoted?"
            row.errors.append(CellError("", "too_many_cells", said))
        facts = draft.facts
        row.blank = not (
            draft.said or draft.money or facts.external_ids or facts.id or facts.donor.anybody or row.errors
        )
        if not row.blank and not row.errors:
            self._count(row, draft)
        if not row.blank and not row.errors:
            with suppress(Refused, Unreachable):
                facts.opened = opened_of(draft.said, facts.external_ids)
        row.values, row.facts = draft.said, facts
        return row

    def _read(self, row: ParsedRow, draft: _Draft, cells: Sequence[str]) -> None:
        count = len(cells)
        for index, header, setter in self._plan:
            if index >= count or not (cell := cells[index].strip()):
                continue
            cell = unguard(cell)
            if "\x00" in cell or "\ufffd" in cell:
                said = "This cell holds bytes that are no text in this encoding. Say options.encoding."
                row.errors.append(CellError(header, "not_decodable", said))
                continue
            if self._absent and fold(cell) in self._absent:
                continue
            try:
                setter(draft, cell, header)
            except ValueError as error:
                row.errors.append(CellError(header, "invalid", f"This cell {error}."))

    def _count(self, row: ParsedRow, draft: _Draft) -> None:
        """Amounts, which need the currency."""
        if not draft.money:
            return
        code = draft.said.setdefault("currency", self._currency)
        if code is None:
            said = "The row does not say its currency. Give it a column, or say options.default_currency."
            row.errors.append(CellError("", "no_currency", said))
            return
        for name, (cell, header) in draft.money.items():
            try:
                draft.said[name] = gift_values.amount(cell, code)
            except ValueError as error:
                row.errors.append(CellError(header, "invalid_amount", f"This cell {error}."))
        if not row.errors and "match_amount" in draft.said:
            match = draft.said.pop("match_amount")
            draft.said["own_amount"] = draft.said.get("amount", 0)
            draft.said["amount"] = draft.said["own_amount"] + match
        if not row.errors and draft.said.get("amount") == 0:
            said = "A gift has an amount above zero."
            row.errors.append(CellError(draft.money.get("amount", ("", ""))[1], "zero_amount", said))
        if "amount" in draft.said and draft.said.get("refunded_amount", 0) > draft.said["amount"]:
            header = draft.money["refunded_amount"][1]
            row.errors.append(CellError(header, "exceeds_amount", "More was given back than was given."))
