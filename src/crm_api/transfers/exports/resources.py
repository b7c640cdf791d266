"""What can be exported: for each resource its list, its columns, and who may see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson

from crm_api.contacts import search
from crm_api.contacts.custom_fields import service as custom_fields
from crm_api.contacts.custom_fields.filters import resolve
from crm_api.contacts.custom_fields.values import Definition
from crm_api.contacts.fields import CONTACTS
from crm_api.contacts.service import to_read as contact_to_read
from crm_api.donations.gifts.fields import GIFTS
from crm_api.donations.gifts.service import shown as shown_gift
from crm_api.kit.db import ReadSession, Row
from crm_api.kit.fields import Catalogue, Field
from crm_api.kit.listing import Filter, ListQuery, parse_list_query
from crm_api.kit.money import Money
from crm_api.kit.problems import FieldError, Invalid, NotFound
from crm_api.segmentation.membership import Members
from crm_api.segmentation.service import get_segment

_NOT_HERE = frozenset({"limit", "cursor", "include_total", "fields"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file. `of` takes the record as the API shows it: None, text, a number, a boolean, a date, or what
    is written as JSON (lists and objects)."""

    name: str
    of: Callable[[dict[str, Any]], Any]


class ExportResource(Protocol):
    """A resource that can be exported."""

    @property
    def name(self) -> str:
        """What clients call it."""
        ...

    @property
    def scopes(self) -> tuple[str, ...]:
        """What somebody needs to see its list."""
        ...

    @property
    def catalogue(self) -> Catalogue:
        """The fields of its list."""
        ...

    async def columns(self, session: ReadSession) -> Sequence[Column]:
        """Every column that the session's actor may read."""
        ...

    async def query(self, session: ReadSession, filters: dict[str, str]) -> ListQuery:
        """The list's query; 422 or 403 for a filter that the list would refuse."""
        ...

    async def shown(self, session: ReadSession, query: ListQuery, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Some records of the query as the API shows them to the session's actor."""
        ...


def _plain(name: str) -> Column:
    return Column(name, lambda record: record[name])


def _first(part: str, member: str, name: str) -> Column:
    def of(record: dict[str, Any]) -> Any:
        items = record[part]
        chosen = next((item for item in items if item.get("is_primary")), items[0] if items else None)
        return None if chosen is None else chosen[member]

    return Column(name, of)


def _joined(name: str) -> Column:
    return Column(name, lambda record: "; ".join(record[name]))


def custom_text(definition: Definition, value: Any) -> Any:
    """A custom value as an import reads it back: codes, not labels; money as ``UAH:12550``."""
    if value is None:
        return None
    if definition.type == "multi_choice":
        return ", ".join(value)
    if definition.type == "money":
        return f"{value['currency']}:{value['amount']}"
    return value


def _custom(definition: Definition) -> Column:
    return Column(
        f"custom.{definition.key}", lambda record: custom_text(definition, record["custom"].get(definition.key))
    )


_EXTERNAL = Column(
    "external_id",
    lambda record: next((f"{one['system']}:{one['id']}" for one in record["external_ids"]), None),
)
_CONTACT_COLUMNS = (
    _plain("id"), _EXTERNAL, *map(_plain, ("kind", "display_name", "given_name", "middle_name", "family_name",
    "organization_name", "salutation", "formal_greeting", "informal_greeting")),
    _first("emails", "address", "email"), _first("phones", "number", "phone"),
    *(_first("addresses", part, part) for part in ("line1", "line2", "city", "region", "postal_code", "country")),
    *map(_plain, ("language", "timezone", "birth_date", "gender", "preferred_channel")),
    _joined("tags"), _joined("roles"),
    *map(_plain, ("do_not_contact", "deceased", "deceased_on")),
    *map(_plain, ("emails", "phones", "addresses", "handles", "other_names", "external_ids", "role_details")),
    *map(_plain, ("version", "created_at", "updated_at")),
)  # fmt: skip


def _query(catalogue: Catalogue, filters: dict[str, str]) -> ListQuery:
    """The query of a list, in the order of ids unless another is asked for: nothing is left out when rows change."""
    wrong = [FieldError(f"/filter/{name}", "not_for_exports", "An export goes through the whole list; leave this out.")
             for name in filters if name in _NOT_HERE]  # fmt: skip
    if wrong:
        raise Invalid("filter holds parameters of pages; see errors.", errors=wrong)
    query = parse_list_query(catalogue, filters.items(), path="")
    return query if "sort" in filters else replace(query, sort=catalogue.by_name["id"], descending=False)


class ContactsExport:
    """Contacts with their custom fields."""

    name, catalogue = "contacts", CONTACTS
    scopes: tuple[str, ...] = ("contacts:read",)

    async def columns(self, session: ReadSession) -> Sequence[Column]:
        """Of the record, and of every custom field that the actor may read."""
        known = await custom_fields.definitions(session)
        sensitive = "contacts:read_sensitive" in session.actor.scopes
        own = [_custom(one) for one in known.values() if one.active and (sensitive or not one.sensitive)]
        return (*_CONTACT_COLUMNS, *own)

    async def query(self, session: ReadSession, filters: dict[str, str]) -> ListQuery:
        """As `GET /v1/contacts` reads it."""
        return await search.resolve(session, await resolve(session, _query(CONTACTS, filters)))

    async def shown(self, session: ReadSession, query: ListQuery, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """As the API shows them."""
        return [contact_to_read(row, session.actor.scopes) for row in rows]


_SEGMENT_ID, _AS_OF = Field("segment_id", "uuid"), Field("as_of", "instant")
_MEMBERS = Field("members", "words")


class SegmentMembersExport(ContactsExport):
    """Contacts of a segment as it is when the file is written, or as it was at a moment, with since when each is in it.
    The filter names the segment; filters of contacts narrow it."""

    name = "segment-members"
    scopes = ("contacts:read", "segments:read")

    async def columns(self, session: ReadSession) -> Sequence[Column]:
        """Those of contacts, and `entered_at`."""
        return (*await super().columns(session), _plain("entered_at"))

    async def query(self, session: ReadSession, filters: dict[str, str]) -> ListQuery:
        """Filters of contacts, with `segment_id`, and `as_of` for a moment that has gone by."""
        own = {name: filters[name] for name in ("segment_id", "as_of") if name in filters}
        if "segment_id" not in own:
            raise Invalid.at("?segment_id", "missing", "Say whose members: the filter needs a segment_id.")
        members = Members(
            _read(_SEGMENT_ID, own["segment_id"]), _read(_AS_OF, own["as_of"]) if "as_of" in own else None
        )
        try:
            await get_segment(session, members.segment_id)
        except NotFound:
            raise Invalid.at("?segment_id", "unknown_segment", "There is no such segment.") from None
        query = await super().query(session, {name: value for name, value in filters.items() if name not in own})
        return replace(query, filters=(*query.filters, Filter(_MEMBERS, "eq", members)))

    async def shown(self, session: ReadSession, query: ListQuery, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """As the API shows them, with `entered_at`."""
        members: Members = query.filters[-1].value
        entered = await members.entered(session, [row["id"] for row in rows])
        records = await super().shown(session, query, rows)
        return [{**record, "entered_at": entered.get(row["id"])} for row, record in zip(rows, records, strict=True)]


def _read(field: Field, value: str) -> Any:
    try:
        return field.parse(value)
    except ValueError as error:
        raise Invalid.at(f"?{field.name}", "invalid_filter", f"This filter {error}.") from None


def _money(name: str) -> tuple[Column, ...]:
    def amount(record: dict[str, Any]) -> Any:
        value = record[name]
        return None if value is None else Money(value["amount"], value["currency"]).major()

    def currency(record: dict[str, Any]) -> Any:
        return None if record[name] is None else record[name]["currency"]

    return Column(name, amount), Column(f"{name}_currency", currency)


class DonationsExport:
    """Gifts, amounts in major units."""

    name, catalogue = "donations", GIFTS
    scopes: tuple[str, ...] = ("donations:read",)

    async def columns(self, session: ReadSession) -> Sequence[Column]:
        """Of the gift."""
        return _GIFT_COLUMNS

    async def query(self, session: ReadSession, filters: dict[str, str]) -> ListQuery:
        """As `GET /v1/donations` reads it."""
        return _query(GIFTS, filters)

    async def shown(self, session: ReadSession, query: ListQuery, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """As the API shows them."""
        return [shown_gift(session, row) for row in rows]


_GIFT_COLUMNS = (
    _plain("id"), _EXTERNAL, *map(_plain, ("contact_id", "status")),
    *_money("amount"), *_money("refunded_amount"), *_money("fee_amount"), *_money("net_amount"), *_money("base_amount"),
    *map(_plain, ("method", "is_anonymous", "received_at", "gift_date", "fund_id", "campaign_id", "recurring_plan_id",
                  "provider", "provider_payment_id", "external_ids", "version", "created_at", "updated_at")),
    *_money("donor_covered_fee"), *_money("deductible_amount"),
    *map(_plain, ("is_split", "appeal_id", "source_code", "channel", "utm", "batch_id", "method_details", "note")),
)  # fmt: skip
_ALL: tuple[ExportResource, ...] = (ContactsExport(), DonationsExport(), SegmentMembersExport())
RESOURCES = {one.name: one for one in _ALL}


def as_text(value: Any) -> str:
    """A list or an object as the text of one cell."""
    return orjson.dumps(value, default=str).decode()
