"""Which value of a field a merge keeps, where the caller says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from crm_api.contacts.dedupe.uniting import CHOOSABLE, content_of
from crm_api.contacts.schemas import ContactPatch
from crm_api.contacts.service import READ_SENSITIVE
from crm_api.kit.db import ReadSession, RowLike
from crm_api.kit.problems import Invalid


def chosen_values(session: ReadSession, fields: Mapping[str, Any], parties: Mapping[UUID, RowLike]) -> dict[str, Any]:
    """Column, or ``custom.<key>``, → the value chosen: one contact's, or one that is written out."""
    chosen = {}
    for name, choice in fields.items():
        pointer = f"/fields/{_escaped(name)}"
        column, _, key = name.partition(".")
        if name not in CHOOSABLE and not (column == "custom" and key):
            known = ", ".join((*CHOOSABLE, "custom.<key>"))
            raise Invalid.at(pointer, "not_choosable", f"The value of this field cannot be chosen. Choosable: {known}.")
        if isinstance(choice, UUID):
            row = parties.get(choice)
            if row is None:
                raise Invalid.at(pointer, "not_a_party", "Name the survivor or one of the contacts in from.")
            chosen[name] = _custom(session, row, key, pointer) if key else content_of(row)[column]
        elif key:
            detail = "Name the contact whose value is kept; then change the custom field with PATCH."
            raise Invalid.at(pointer, "contact_expected", detail)
        else:
            chosen[name] = _written(name, choice, pointer)
    return chosen


def _escaped(name: str) -> str:
    return name[:80].replace("~", "~0").replace("/", "~1")


def _custom(session: ReadSession, row: RowLike, key: str, pointer: str) -> Any:
    """One contact's custom value; to somebody who may not read it, it does not exist."""
    if key in row["custom"]:
        return row["custom"][key]
    if key in row["custom_sensitive"] and READ_SENSITIVE in session.actor.scopes:
        return row["custom_sensitive"][key]
    raise Invalid.at(pointer, "no_value", "This contact has no such custom value; leave the field out.")


def _written(name: str, value: Any, pointer: str) -> Any:
    """A value that is written out, in the form a PATCH of the contact takes."""
    try:
        patch = ContactPatch.model_validate_json(_json({name: value}))
    except ValidationError as error:
        raise Invalid.at(
            pointer, "invalid", f"The value {_said(error)}; send what PATCH takes for this field."
        ) from None
    stored = patch.stored()[name]
    return str(stored) if isinstance(stored, UUID) else stored.isoformat() if hasattr(stored, "isoformat") else stored


def _json(value: Any) -> bytes:
    from crm_api.kit.reply import dumps

    return dumps(value)


def _said(error: ValidationError) -> str:
    return str(error.errors(include_input=False, include_url=False)[0]["msg"]).lower().removeprefix("value error, ")
