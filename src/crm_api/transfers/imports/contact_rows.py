"""Rows of a table as contacts: cells are read by their targets and checked by the rules of the API. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from crm_api.contacts.fields import fold_email
from crm_api.contacts.schemas import ContactPatch
from crm_api.kit.names import fold, split_name
from crm_api.transfers.formulas import unguard
from crm_api.transfers.imports import values
from crm_api.transfers.imports.headers import ABSENT
from crm_api.transfers.imports.kinds import CellError, Options, ParsedRow, Target

_ADDRESS = ("line1", "line2", "city", "region", "postal_code", "country")
_TEXT = (
    "given_name", "middle_name", "family_name", "organization_name", "salutation", "formal_greeting",
    "informal_greeting", "timezone", "gender", "preferred_channel",
)  # fmt: skip
_PERSONAL = ("given_name", "middle_name", "family_name")
_FLAGS = ("do_not_contact", "deceased")
_JSON = ("emails", "phones", "addresses", "handles", "other_names", "external_ids", "role_details", "custom")
_PATRONYMIC = re.compile(
    r".*(?:ович|евич|йович|івна|ївна|овна|евна|ична|ovych|ovich|evich|ivna|ovna|evna)$", re.IGNORECASE
)
_WHERE_MANY = re.compile(r"[;,\n]+")
TARGETS = (
    Target("id", "Our own id of the contact, as an export has it."),
    Target("external_id", "Id in another system, as system:id.", repeated=True),
    Target("kind", "person or organization."),
    *(Target(name, name.replace("_", " ").capitalize() + ".") for name in _TEXT),
    Target("full_name", "Whole name, taken apart: given names first."),
    Target("full_name_family_first", "Whole name with the family name first."),
    Target("email", "E-mail address, or several separated by commas or semicolons.", repeated=True),
    Target("phone", "Phone number, or several separated by commas or semicolons.", repeated=True),
    *(Target(name, f"Part of the postal address: {name}.") for name in _ADDRESS),
    Target("birth_date", "1980-05-17, or as much of it as is known."),
    Target("deceased_on", "Date of death."),
    Target("language", "Language code or name."),
    Target("tags", "Tags separated by commas or semicolons.", repeated=True),
    Target("roles", "Roles separated by commas or semicolons.", repeated=True),
    *(Target(name, f"yes or no: {name.replace('_', ' ')}.") for name in _FLAGS),
    *(Target(name, f"The whole of {name} as JSON, as an export has it.") for name in _JSON),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a contact is matched by."""

    id: UUID | None
    external_ids: tuple[tuple[str, str], ...]
    emails: tuple[str, ...]
    phones: tuple[str, ...]


@dataclass(slots=True)
class _Draft:
    """A row being read."""

    body: dict[str, Any] = field(default_factory=dict)
    address: dict[str, str] = field(default_factory=dict)
    origin: dict[tuple[Any, ...], str] = field(default_factory=dict)
    """Where in the body a column's value went."""
    errors: list[CellError] = field(default_factory=list)
    id: UUID | None = None
    region: str | None = None
    whole_name: str | None = None

    def put(self, name: str, value: Any, header: str) -> None:
        self.body[name] = value
        self.origin[(name,)] = header

    def append(self, name: str, value: Any, header: str) -> None:
        items = self.body.setdefault(name, [])
        self.origin[(name, len(items))] = header
        items.append(value)


Setter = Callable[[_Draft, str, str], None]


def _text(name: str) -> Setter:
    return lambda draft, cell, header: draft.put(name, cell, header)


def _converted(name: str, convert: Callable[[str], Any]) -> Setter:
    return lambda draft, cell, header: draft.put(name, convert(cell), header)


def _part(name: str) -> Setter:
    def put(draft: _Draft, cell: str, header: str) -> None:
        draft.address[name] = values.country(cell) if name == "country" else cell
        draft.origin[("addresses", 0, name)] = header

    return put


def _several(name: str) -> Setter:
    def put(draft: _Draft, cell: str, header: str) -> None:
        for one in _WHERE_MANY.split(cell):
            if one := one.strip():
                draft.append(name, one, header)

    return put


def _emails(draft: _Draft, cell: str, header: str) -> None:
    for one in [cell] if cell.count("@") < 2 else re.split(r"[;,\s]+", cell):
        if one := one.strip().removeprefix("mailto:"):
            draft.append("emails", {"address": one}, header)


def _phones(options: Options) -> Setter:
    def put(draft: _Draft, cell: str, header: str) -> None:
        for one in re.split(r"[;,\n]+|\s/\s", cell):
            if one := one.strip():
                number = values.international(one, draft.region or options.default_country)
                draft.append("phones", {"number": number}, header)

    return put


def _external_id(system: str | None) -> Setter:
    def put(draft: _Draft, cell: str, header: str) -> None:
        named, colon, rest = cell.partition(":")
        if colon and rest and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", named.strip()):
            draft.append("external_ids", {"system": named.strip(), "id": rest.strip()}, header)
        elif system:
            draft.append("external_ids", {"system": system, "id": cell}, header)
        else:
            raise ValueError("needs its system: write system:id, or say options.external_system")

    return put


def _json(name: str) -> Setter:
    def put(draft: _Draft, cell: str, header: str) -> None:
        try:
            value = orjson.loads(cell)
        except ValueError:
            raise ValueError("must be JSON, as an export writes it") from None
        if not isinstance(value, dict if name == "custom" else list):
            raise ValueError("must be a JSON object" if name == "custom" else "must be a JSON array")
        if name == "custom":
            draft.body.setdefault("custom", {}).update(value)
            draft.origin[("custom",)] = header
            return
        if name == "addresses":
            draft.address.clear()
        if name == "role_details":
            draft.body.pop("roles", None)
        draft.body.pop(name, None)  # the whole list says more than a column for its first item
        for item in value:
            draft.append(name, item, header)

    return put


def _custom(key: str) -> Setter:
    def put(draft: _Draft, cell: str, header: str) -> None:
        draft.body.setdefault("custom", {})[key] = cell
        draft.origin[("custom", key)] = header

    return put


def _own_id(draft: _Draft, cell: str, header: str) -> None:
    try:
        draft.id = UUID(cell)
    except ValueError:
        raise ValueError("must be the id of a contact as an export has it") from None


def take_apart(name: str, *, family_first: bool) -> dict[str, str]:
    """The parts of a whole name. A comma stands after the family name; a patronymic says that it came first."""
    head, comma, tail = name.partition(",")
    if comma and tail.strip():
        name, family_first = f"{head.strip()} {tail.strip()}", True
    parts = name.split()
    if len(parts) == 3 and _PATRONYMIC.match(parts[2]):
        return {"family_name": parts[0], "given_name": parts[1], "middle_name": parts[2]}
    if len(parts) == 3 and _PATRONYMIC.match(parts[1]):
        return {"given_name": parts[0], "middle_name": parts[1], "family_name": parts[2]}
    if family_first and len(parts) > 1:
        return {"family_name": parts[0], "given_name": " ".join(parts[1:])}
    given, family = split_name(name)
    return {key: part for key, part in (("given_name", given), ("family_name", family)) if part}


def _whole_name(*, family_first: bool) -> Setter:
    def put(draft: _Draft, cell: str, header: str) -> None:
        draft.whole_name = cell
        for part, value in take_apart(cell, family_first=family_first).items():
            if part not in draft.body:
                draft.put(part, value, header)

    return put


def setter_of(target: str, options: Options, order: str | None) -> Setter:
    """What puts a cell where the target says; `ValueError` for a target we do not know."""
    if target.startswith("custom."):
        return _custom(target.removeprefix("custom."))
    if target == "external_id" or target.startswith("external_id:"):
        return _external_id(target.partition(":")[2] or options.external_system)
    if target in _TEXT:
        return _text(target)
    if target in _ADDRESS:
        return _part(target)
    if target in _JSON:
        return _json(target)
    if target in _FLAGS:
        return _converted(target, values.yes_or_no)
    found: dict[str, Setter] = {
        "id": _own_id,
        "kind": _converted("kind", values.kind),
        "language": _converted("language", values.language),
        "birth_date": _converted("birth_date", lambda cell: values.partial_date(cell, order)),
        "deceased_on": _converted("deceased_on", lambda cell: values.whole_date(cell, order)),
        "email": _emails,
        "phone": _phones(options),
        "tags": _several("tags"),
        "roles": _several("roles"),
        "full_name": _whole_name(family_first=False),
        "full_name_family_first": _whole_name(family_first=True),
    }
    return found[target]


_LAST = {"phone": 1, "full_name": 2, "full_name_family_first": 2, **dict.fromkeys(_JSON, 3)}
"""Read after the others: they look at what those have said."""


class ContactParser:
    """Turns the cells of a row into the columns of a contact."""

    def __init__(
        self,
        headers: Sequence[str],
        mapping: Mapping[str, str | None],
        options: Options,
        samples: Sequence[Sequence[str]],
    ) -> None:
        self._width = len(headers)
        self._absent = ABSENT.get(options.preset or "", frozenset())
        plan: list[tuple[int, int, str, Setter]] = []
        for index, header in enumerate(headers):
            target = mapping.get(header)
            if target is not None:
                column = [row[index].strip() for row in samples if index < len(row)]
                order = options.date_order or values.date_order(column)
                plan.append((_LAST.get(target, 0), index, header, setter_of(target, options, order)))
        self._plan = [item[1:] for item in sorted(plan, key=lambda item: item[:2])]

    def __call__(self, number: int, cells: Sequence[str]) -> ParsedRow:
        """A row, checked; what is wrong with it stands in its errors."""
        row = ParsedRow(number, cells)
        draft = _Draft()
        self._read(draft, cells)
        if len(cells) > self._width and any(cell.strip() for cell in cells[self._width :]):
            said = f"The row has {len(cells)} cells, the header {self._width}; is a separator inside a cell unquoted?"
            draft.errors.append(CellError("", "too_many_cells", said))
        if draft.address:
            draft.append("addresses", draft.address, "")
        row.blank = not draft.body and draft.id is None and not draft.errors
        if not draft.errors and not row.blank:
            self._check(row, draft)
        row.errors = draft.errors
        return row

    def _read(self, draft: _Draft, cells: Sequence[str]) -> None:
        count = len(cells)
        for index, header, setter in self._plan:
            if index >= count or not (cell := cells[index].strip()):
                continue
            cell = unguard(cell)
            if "\x00" in cell or "\ufffd" in cell:
                draft.errors.append(_unreadable(header, cell))
                continue
            if self._absent and fold(cell) in self._absent:
                continue
            try:
                setter(draft, cell, header)
            except ValueError as error:
                draft.errors.append(CellError(header, "invalid", f"This cell {error}."))
            if "country" in draft.address and draft.region is None:
                draft.region = draft.address["country"]

    @staticmethod
    def _check(row: ParsedRow, draft: _Draft) -> None:
        body = draft.body
        if "kind" not in body and "organization_name" in body and not {"given_name", "family_name"} & body.keys():
            body["kind"] = "organization"
        if body.get("kind") == "organization" and "organization_name" not in body:
            _name_organization(draft)
        try:
            row.values = ContactPatch.model_validate_json(orjson.dumps(body), strict=True).stored()
        except ValidationError as error:
            for item in error.errors(include_url=False, include_input=False, include_context=False)[:20]:
                draft.errors.append(_told(item, draft.origin))
            return
        stored = row.values
        row.facts = Facts(
            draft.id,
            tuple((item["system"], item["id"]) for item in stored.get("external_ids", ())),
            tuple(fold_email(item["address"]) for item in stored.get("emails", ())),
            tuple(item["number"] for item in stored.get("phones", ())),
        )


def _name_organization(draft: _Draft) -> None:
    """An organization whose name stands in the columns for people's names is named by it."""
    parts = {name: draft.body.pop(name) for name in _PERSONAL if name in draft.body}
    if parts:
        header = next(header for place, header in draft.origin.items() if place[0] in parts)
        draft.put("organization_name", draft.whole_name or " ".join(parts.values()), header)


def _unreadable(header: str, cell: str) -> CellError:
    if "\x00" in cell:
        return CellError(
            header, "nul_character", "This cell holds the NUL character. Clean the file, then send it anew."
        )
    return CellError(
        header, "not_decodable", "This cell holds bytes that are no text in this encoding. Say options.encoding."
    )


def _told(item: Any, origin: Mapping[tuple[Any, ...], str]) -> CellError:
    """Our error from pydantic's, at the column the value came from."""
    place = tuple(item["loc"])
    header = next((origin[place[:size]] for size in range(len(place), 0, -1) if origin.get(place[:size])), "")
    message = str(item["msg"]).removeprefix("Value error, ")
    if not header:
        return CellError(header, str(item["type"]), f"{message}.")
    ours = item["type"] == "value_error"  # these go on from the name of a member
    return CellError(header, str(item["type"]), f"This cell {message}." if ours else f"This cell: {message}.")
