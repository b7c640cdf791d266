"""What values of custom fields may be, how they are compared, and who sees them. Pure."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from typing import Any
from uuid import UUID

from crm_api.kit import money
from crm_api.kit.body import escape
from crm_api.kit.names import fold
from crm_api.kit.problems import FieldError, Forbidden, Invalid

READ_SENSITIVE = "contacts:read_sensitive"
LONGEST_TEXT = 10_000
MOST_CHOICES_HELD = 100
LARGEST_NUMBER = 2**53 - 1
_LONGEST_KEY = 160
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,15})?")
_ORDERED = frozenset({"number", "date", "money"})


@dataclass(frozen=True, slots=True)
class Definition:
    """An organization's own field, as values are checked against it."""

    id: UUID
    key: str
    type: str
    label: str = ""
    labels: Mapping[str, str] | None = None
    choices: tuple[Mapping[str, Any], ...] = ()
    required: bool = False
    filterable: bool = False
    sensitivity: str = "internal"
    status: str = "active"
    indexed: bool = False
    position: int = 0

    @property
    def active(self) -> bool:
        """Whether values of it can be seen and written."""
        return self.status == "active"

    @property
    def sensitive(self) -> bool:
        """Whether its values are kept apart, for callers with `contacts:read_sensitive` only."""
        return self.sensitivity == "beneficiary_sensitive"

    @property
    def ordered(self) -> bool:
        """Whether it can be compared by ``gt``, ``gte``, ``lt``, ``lte``."""
        return self.type in _ORDERED

    @property
    def key_kind(self) -> str:
        """The kind of its key rows."""
        return f"custom:{self.key}"


Definitions = Mapping[str, Definition]
"""The definitions of a resource by key, archived ones included."""


# What a value may be


def _text(definition: Definition, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    if not value.strip() or len(value) > LONGEST_TEXT:
        raise ValueError(f"takes 1 to {LONGEST_TEXT} characters; send null to remove it")
    return value


def _number(definition: Definition, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    if not math.isfinite(value) or abs(value) > LARGEST_NUMBER:
        raise ValueError(f"must lie between -{LARGEST_NUMBER} and {LARGEST_NUMBER}")
    return int(value) if float(value).is_integer() else value


def _date(definition: Definition, value: Any) -> str:
    try:
        if isinstance(value, str) and _DAY.fullmatch(value):
            return date.fromisoformat(value).isoformat()
    except ValueError:
        pass
    raise ValueError("must be a date such as 2026-11-22")


def _boolean(definition: Definition, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _choice(definition: Definition, value: Any) -> str:
    codes = [item["code"] for item in definition.choices if not item.get("retired")]
    if not isinstance(value, str) or value not in codes:
        raise ValueError(f"must be one of {', '.join(codes)}" if codes else "has no choices that are not retired")
    return value


def _choices(definition: Definition, value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > MOST_CHOICES_HELD:
        raise ValueError(f"must be a list of at most {MOST_CHOICES_HELD} codes")
    return list(dict.fromkeys(_choice(definition, item) for item in value))


def _money(definition: Definition, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != {"amount", "currency"}:
        raise ValueError("must be an object with exactly amount and currency")
    amount, currency = value["amount"], value["currency"]
    if isinstance(amount, bool) or not isinstance(amount, int) or abs(amount) > money.MAX_MINOR:
        raise ValueError("must have a whole amount in minor units, at most 2^53-1")
    if not isinstance(currency, str) or currency not in money.CURRENCIES:
        raise ValueError("must have an ISO 4217 currency code in capitals")
    return {"amount": amount, "currency": currency}


def _reference(definition: Definition, value: Any) -> str:
    try:
        if isinstance(value, str) and len(value) == 36:
            return str(UUID(value))
    except ValueError:
        pass
    raise ValueError("must be the id of a contact")


_CHECKS = {
    "text": _text,
    "number": _number,
    "date": _date,
    "boolean": _boolean,
    "choice": _choice,
    "multi_choice": _choices,
    "money": _money,
    "reference": _reference,
}


def check_value(definition: Definition, value: Any, before: Any = None) -> Any:
    """One value as it is stored; `ValueError` says in words what is expected. A choice that was retired stays valid
    where it was held `before`."""
    if value is not None and value == before:
        return value
    if definition.type == "multi_choice" and isinstance(value, list) and isinstance(before, list):
        fresh = _choices(definition, [code for code in value if code not in before])
        return [code for code in dict.fromkeys(value) if code in before or code in fresh]
    return _CHECKS[definition.type](definition, value)


def _merged(before: Any, patch: Any) -> Any:
    """RFC 7396: objects are merged, anything else takes the place of what was there."""
    if isinstance(before, dict) and isinstance(patch, dict):
        return {name: value for name, value in {**before, **patch}.items() if value is not None}
    return patch


def check_values(
    definitions: Definitions,
    values: Mapping[str, Any],
    *,
    before: Mapping[str, Any] | None = None,
    complete: bool = False,
    scopes: frozenset[str] | None = None,
    pointer: str = "/custom",
) -> dict[str, Any]:
    """The values as they are stored: checked and in their normal form, null where one is removed.

    `before`: what the record holds now (both documents merged), for a merge patch. `complete`: the record is new, so
    every required field must be there. `scopes`: the caller's; a beneficiary-sensitive value is set or removed only
    with `contacts:read_sensitive`. None: the caller has checked that. Raises `Invalid` with a pointer per value, and
    `Forbidden`.
    """
    held = before or {}
    errors: list[FieldError] = []
    stored: dict[str, Any] = {}
    for key, value in values.items():
        definition = definitions.get(key)
        at = f"{pointer}/{escape(key)}"
        if definition is None or not definition.active:
            errors.append(_unknown(at, definition))
            continue
        if definition.sensitive and scopes is not None:
            require_sensitive(scopes, key, "Setting it or removing it")
        try:
            merged = _merged(held.get(key), value)
            found = None if merged is None else check_value(definition, merged, held.get(key))
        except ValueError as error:
            errors.append(FieldError(at, "invalid_custom_value", f"{definition.key} {error}."))
            continue
        stored[key] = None if found == [] else found
        if stored[key] is None and definition.required:
            errors.append(_missing(at, definition))
    if complete:
        lacking = [one for one in definitions.values() if one.required and one.active and one.key not in values]
        errors += [_missing(f"{pointer}/{one.key}", one) for one in lacking]
    if errors:
        count = len(errors)
        said = f"{count} custom field{'s are' if count > 1 else ' is'} not acceptable; see errors."
        code = errors[0].code if {error.code for error in errors} == {errors[0].code} else None
        raise Invalid(said, code=code, errors=errors[:50])
    return stored


def _unknown(at: str, definition: Definition | None) -> FieldError:
    if definition is not None:
        said = "This custom field is archived. Restore it by PATCH /v1/custom-fields/{id} with status active."
        return FieldError(at, "archived_custom_field", said)
    said = (
        "No custom field has this key. Define it first: POST /v1/custom-fields with resource, key, label and type; "
        "GET /v1/custom-fields lists those there are."
    )
    return FieldError(at, "unknown_custom_field", said)


def _missing(at: str, definition: Definition) -> FieldError:
    return FieldError(at, "missing_custom_value", f"{definition.key} is required; send a value.")


def require_sensitive(scopes: frozenset[str], key: str, what: str) -> None:
    """403 with the scope's name where somebody without it does `what` with a beneficiary-sensitive field."""
    if READ_SENSITIVE not in scopes:
        raise Forbidden(
            f"The custom field {key} is beneficiary-sensitive. {what} needs the scope {READ_SENSITIVE}.",
            code="missing_scope",
            scope=READ_SENSITIVE,
        )


# Where values live and who sees them


def split(
    definitions: Definitions, changes: Mapping[str, Any], before: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """``custom`` and ``custom_sensitive`` after checked changes. A value that still stands in the wrong one of the two,
    because its field has become sensitive a moment ago, is moved."""
    plain, guarded = dict(before[0]), dict(before[1])
    for key, value in changes.items():
        plain.pop(key, None)
        guarded.pop(key, None)
        if value is not None:
            (guarded if definitions[key].sensitive else plain)[key] = value
    return plain, guarded


def settled(definitions: Definitions, content: Mapping[str, Any]) -> dict[str, Any]:
    """Content with its custom values in the one of ``custom`` and ``custom_sensitive`` where they belong today: what
    was noted before a field became sensitive must not come back as it was."""
    plain: dict[str, Any] = {}
    guarded: dict[str, Any] = {}
    for key, value in {**content["custom_sensitive"], **content["custom"]}.items():
        known = definitions.get(key)
        sensitive = key not in content["custom"] if known is None else known.sensitive
        (guarded if sensitive else plain)[key] = value
    return {**content, "custom": plain, "custom_sensitive": guarded}


def visible(definitions: Definitions, custom: Mapping[str, Any], scopes: frozenset[str]) -> dict[str, Any]:
    """Of merged values, those that a caller with these scopes may see: active fields, sensitive ones only with
    `contacts:read_sensitive`. A key that nobody has defined is not shown: nobody has said how private it is."""
    may = READ_SENSITIVE in scopes
    return {
        key: value
        for key, value in custom.items()
        if (definition := definitions.get(key)) is not None and definition.active and (may or not definition.sensitive)
    }


# Key rows


def sortable_number(value: int | float) -> str:
    """Sixteen hexadecimal digits that stand in the order of the numbers, compared byte by byte: the bits of an IEEE
    double, all of them turned for a negative one, else the sign's."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", float(value) + 0.0))
    return f"{bits ^ (0xFFFFFFFFFFFFFFFF if bits >> 63 else 1 << 63):016x}"


def sortable_money(amount: int, currency: str) -> str:
    """The currency, then seventeen digits in the order of the amounts."""
    return f"{currency}{amount + 2**53:017d}"


def _folded(value: str) -> str:
    """Compared without case; a long text by its beginning and a digest of the whole."""
    text = fold(value)
    if len(text) <= _LONGEST_KEY:
        return text
    return f"{text[:_LONGEST_KEY]}…{blake2b(text.encode(), digest_size=12).hexdigest()}"


def key_values(definition: Definition, value: Any) -> list[str]:
    """The key rows' values of one value, bytewise sortable; none where the value is not of the field's type."""
    try:
        kind = definition.type
        if kind == "text":
            return [_folded(_text(definition, value))]
        if kind == "number":
            return [sortable_number(_number(definition, value))]
        if kind == "money":
            return [sortable_money(**_money(definition, value))]
        if kind == "boolean":
            return ["true" if _boolean(definition, value) else "false"]
        if kind == "date":
            return [_date(definition, value)]
        if kind == "reference":
            return [_reference(definition, value)]
    except ValueError:
        return []
    codes = value if isinstance(value, list) else [value]  # retired ones too
    return list(dict.fromkeys(code for code in codes if isinstance(code, str)))


def custom_keys(definitions: Definitions | Iterable[Definition], custom: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The key rows (kind, value) of a record's merged values: of every active field that is filterable."""
    known = definitions.values() if isinstance(definitions, Mapping) else definitions
    return [
        (definition.key_kind, value)
        for definition in known
        if definition.filterable and definition.active and custom.get(definition.key) is not None
        for value in key_values(definition, custom[definition.key])
    ]


# Text of filters, imports and letters


def from_text(definition: Definition, text: str) -> Any:
    """A value from text, as in a filter or a cell of an import; `ValueError` says in words what is expected.

    Money is its currency, a colon and minor units (``UAH:12550``); the codes of a multi-choice are separated by commas.
    """
    text = text.strip()
    if definition.type == "number":
        if not _NUMBER.fullmatch(text):
            raise ValueError("must be a number, such as 12 or -3.5")
        return _number(definition, float(text) if "." in text else int(text))
    if definition.type == "boolean":
        if text.casefold() not in {"true", "false"}:
            raise ValueError("must be true or false")
        return text.casefold() == "true"
    if definition.type == "money":
        currency, colon, amount = text.partition(":")
        if not colon or not re.fullmatch(r"-?[0-9]{1,16}", amount.strip()):
            raise ValueError("must be a currency and minor units, such as UAH:12550")
        return _money(definition, {"amount": int(amount), "currency": currency.strip()})
    if definition.type == "multi_choice":
        return _choices(definition, [part.strip() for part in text.split(",") if part.strip()])
    return _CHECKS[definition.type](definition, text)


def label_of(definition: Definition, language: str | None) -> str:
    """The field's label in a language, else its main one."""
    return (definition.labels or {}).get(language or "", definition.label)


def to_text(definition: Definition, value: Any, language: str | None = None) -> str:
    """A value as an export or a letter shows it; choices by their label in the language."""
    if value is None:
        return ""
    if definition.type in {"choice", "multi_choice"}:
        labels = {
            item["code"]: item.get("labels", {}).get(language or "", item["label"]) for item in definition.choices
        }
        codes = value if isinstance(value, list) else [value]
        return ", ".join(str(labels.get(code, code)) for code in codes)
    if definition.type == "money" and isinstance(value, dict):
        return f"{money.Money(value['amount'], value['currency']).major()} {value['currency']}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
