"""Custom values of a row: read from text by their definitions, checked, kept apart by how private they are. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_api.contacts.custom_fields import values as custom
from crm_api.contacts.custom_fields.values import Definitions
from crm_api.kit.problems import Problem
from crm_api.transfers.imports.kinds import CellError, Options, ParsedRow

READ_SENSITIVE = "contacts:read_sensitive"


def accept_custom(
    row: ParsedRow, mapping: Mapping[str, str | None], definitions: Definitions, options: Options
) -> None:
    """Replace the row's custom texts by typed values, or note what is wrong with them.

    A required field that the row leaves out is no error: records that come from elsewhere cannot know of it.
    """
    headers = {target: header for header, target in mapping.items() if target}
    scopes = frozenset({READ_SENSITIVE}) if options.sensitive else frozenset()
    accepted: dict[str, Any] = {}
    for key, said in row.values["custom"].items():
        header = headers.get(f"custom.{key}", headers.get("custom", ""))
        definition = definitions.get(key)
        try:
            value = custom.from_text(definition, said) if definition is not None and isinstance(said, str) else said
            accepted |= custom.check_values(definitions, {key: value}, scopes=scopes)
        except ValueError as error:
            row.errors.append(CellError(header, "invalid_custom_value", f"This cell {error}."))
        except Problem as problem:
            told = problem.errors[0] if problem.errors else None
            code, detail = (told.code, told.detail) if told is not None else (problem.code, problem.detail)
            row.errors.append(CellError(header, code, detail))
    row.values["custom"], row.values["custom_sensitive"] = custom.split(definitions, accepted, ({}, {}))
