"""An organization's own fields as rules can ask about them."""

from __future__ import annotations

from crm_api.contacts.custom_fields.service import definitions
from crm_api.contacts.custom_fields.values import Definition
from crm_api.kit.db import ReadSession
from crm_api.kit.predicates.catalogue import Attribute, Kind

_KINDS: dict[str, Kind] = {
    "text": "text", "number": "decimal", "date": "date", "choice": "text", "multi_choice": "set", "boolean": "boolean",
    "money": "money", "reference": "uuid",
}  # fmt: skip
_CASTS = {"number": "numeric", "date": "date", "boolean": "boolean", "reference": "uuid"}


def _attribute(definition: Definition) -> Attribute:
    key = definition.key.replace("'", "''")
    member, currency = f"{{t}}.custom ->> '{key}'", None
    sql = f"({member})"
    if definition.type in _CASTS:
        sql = f"CAST({member} AS {_CASTS[definition.type]})"
    elif definition.type == "multi_choice":
        sql = f"({{t}}.custom -> '{key}')"
    elif definition.type == "money":
        sql = f"CAST({{t}}.custom -> '{key}' ->> 'amount' AS bigint)"
        currency = f"({{t}}.custom -> '{key}' ->> 'currency')"
    return Attribute(
        f"custom.{definition.key}",
        _KINDS[definition.type],
        sql,
        currency=currency,
        sensitivity="donor_sensitive",
        description=definition.label,
    )


async def own_attributes(session: ReadSession) -> list[Attribute]:
    """Active fields. Those kept apart as beneficiary-sensitive cannot be asked about: the answer would tell them."""
    found = await definitions(session)
    return [_attribute(one) for one in found.values() if one.active and not one.sensitive]
