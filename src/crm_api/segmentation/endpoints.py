"""HTTP of segments."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, get_args
from uuid import UUID

from fastapi import Query, Response

from crm_api.auth.rights import need
from crm_api.contacts import service as contacts
from crm_api.contacts.custom_fields.service import guarded_keys
from crm_api.contacts.schemas import ContactPage
from crm_api.contacts.seen import note_shown
from crm_api.donations.gifts import service as gifts
from crm_api.donations.gifts.schemas import DonationPage
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, Row, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.predicates.catalogue import Attribute, Source
from crm_api.kit.predicates.nodes import Aggregate
from crm_api.kit.predicates.parsing import OPERATORS
from crm_api.kit.reply import created, reply
from crm_api.kit.schemas import Instant, QueryDay
from crm_api.segmentation import members, rules, service
from crm_api.segmentation.fields import SEGMENTS
from crm_api.segmentation.schemas import (
    ChangePage,
    Comparison,
    ContactSegments,
    ExplanationRead,
    FieldsRead,
    MembersChange,
    MembersChanged,
    PreviewRead,
    PreviewRequest,
    SegmentCreate,
    SegmentMemberPage,
    SegmentPage,
    SegmentPatch,
    SegmentRead,
    SizeList,
)
from crm_api.segmentation.search import ContactSearch, DonationSearch, search_contacts, search_gifts

routes = router("segments")
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=500)]


@routes.post("/v1/contacts/search", operation_id="contacts_search", response_model=ContactPage)
async def contacts_search(
    session: Annotated[WriteSession, writes("contacts:read")],
    body: Annotated[ContactSearch, json_body(ContactSearch)],
) -> Response:
    """Contacts that a rule holds for, in the language of segments. A page goes on with `next_cursor` in `cursor`."""
    scopes, guarded = session.actor.scopes, await guarded_keys(session)

    def to_item(row: Row) -> dict[str, Any]:
        note_shown(session, row, None)
        return contacts.to_read(row, scopes, guarded)

    return await search_contacts(session, body, to_item)


@routes.post("/v1/donations/search", operation_id="donations_search", response_model=DonationPage)
async def donations_search(
    session: Annotated[WriteSession, writes("donations:read")],
    body: Annotated[DonationSearch, json_body(DonationSearch)],
) -> Response:
    """Gifts that a rule over their own fields holds for, in the language of segments."""
    return await search_gifts(session, body, partial(gifts.shown, session))


@routes.get("/v1/segments/fields", operation_id="segments_fields", response_model=FieldsRead)
async def segments_fields(session: Annotated[ReadSession, reads("segments:read")]) -> Response:
    """Everything that rules can ask about, the organization's own fields included."""
    found = await rules.catalogue(session)
    fields = [_field(name, source, one) for name, (source, one) in sorted(found.fields().items())]
    related = [
        {
            "name": name,
            "description": source.description,
            "scope": source.scope,
            "fields": [_field(one.name, source, one) for one in source.attributes],
        }
        for name, source in sorted(found.related().items())
    ]
    return reply({"fields": fields, "related": related, "aggregates": list(get_args(Aggregate))})


def _field(name: str, source: Source, one: Attribute) -> dict[str, Any]:
    kind = "set" if source.values else one.kind
    return {
        "name": name,
        "kind": kind,
        "operators": list(OPERATORS[kind]),
        "choices": list(one.choices),
        "description": one.description or (source.description if source.values else ""),
        "scope": source.scope,
    }


@routes.post("/v1/segments/preview", operation_id="segments_preview", response_model=PreviewRead)
async def segments_preview(
    session: Annotated[WriteSession, writes("segments:read")],
    body: Annotated[PreviewRequest, json_body(PreviewRequest)],
) -> Response:
    """Whom a rule would hold for: how many, some of them, and what finding them costs. Nothing is stored."""
    need(session, "contacts:read")
    return reply(await service.preview(session, body))


@routes.get(
    "/v1/segments/{segment_id}/compare/{other_segment_id}", operation_id="segments_compare", response_model=Comparison
)
async def segments_compare(
    session: Annotated[ReadSession, reads("segments:read")], segment_id: UUID, other_segment_id: UUID
) -> Response:
    """How two segments overlap, and how many only one of them has."""
    return reply(await service.compare(session, segment_id, other_segment_id))


@routes.post("/v1/segments", operation_id="segments_create", status_code=201, response_model=SegmentRead)
async def segments_create(
    session: Annotated[WriteSession, writes("segments:write")],
    body: Annotated[SegmentCreate, json_body(SegmentCreate)],
) -> Response:
    """Make a segment. With a rule, whom it holds for is found by the worker: `state` says how far that is."""
    segment = await service.create_segment(session, body)
    return created(segment, f"/v1/segments/{segment['id']}")


@routes.get("/v1/segments", operation_id="segments_list", response_model=SegmentPage)
async def segments_list(
    session: Annotated[ReadSession, reads("segments:read")], query: Annotated[ListQuery, list_query(SEGMENTS)]
) -> Response:
    """List segments, newest first, with the size of each one's last reckoning."""
    return await read_page(session, SEGMENTS, query, service.to_read)


@routes.get("/v1/segments/{segment_id}", operation_id="segments_get", response_model=SegmentRead)
async def segments_get(session: Annotated[ReadSession, reads("segments:read")], segment_id: UUID) -> Response:
    """One segment, with its size as of now."""
    segment = await service.get_segment(session, segment_id)
    return reply(segment, version=segment["version"])


@routes.patch("/v1/segments/{segment_id}", operation_id="segments_update", response_model=SegmentRead)
async def segments_update(
    session: Annotated[WriteSession, writes("segments:write")],
    segment_id: UUID,
    body: Annotated[SegmentPatch, json_body(SegmentPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a segment by JSON merge patch; archive it with `status`."""
    segment = await service.patch_segment(session, segment_id, body, expected=expected)
    return reply(segment, version=segment["version"])


@routes.post(
    "/v1/segments/{segment_id}/reckonings",
    operation_id="segments_reckon",
    status_code=202,
    response_model=SegmentRead,
)
async def segments_reckon(session: Annotated[WriteSession, writes("segments:write")], segment_id: UUID) -> Response:
    """Have everybody looked at anew. Members are kept up to date anyway; this is for the doubtful."""
    return reply(await service.request_reckoning(session, segment_id), status=202)


@routes.get("/v1/segments/{segment_id}/members", operation_id="segments_members_list", response_model=SegmentMemberPage)
async def segments_members_list(
    session: Annotated[ReadSession, reads("segments:read")],
    segment_id: UUID,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_of: Annotated[Instant | None, Query(description="Who was in it at that moment; now when not given.")] = None,
    include_total: Annotated[bool, Query()] = False,
) -> Response:
    """Who is in a segment, by contact id; with `as_of`, who was."""
    need(session, "contacts:read")
    return await members.page(session, segment_id, limit=limit, cursor=cursor, as_of=as_of, include_total=include_total)


@routes.post("/v1/segments/{segment_id}/members", operation_id="segments_members_add", response_model=MembersChanged)
async def segments_members_add(
    session: Annotated[WriteSession, writes("segments:write")],
    segment_id: UUID,
    body: Annotated[MembersChange, json_body(MembersChange)],
) -> Response:
    """Add contacts to a static segment."""
    return reply(await service.change_members(session, segment_id, body, entering=True))


@routes.post(
    "/v1/segments/{segment_id}/members/remove", operation_id="segments_members_remove", response_model=MembersChanged
)
async def segments_members_remove(
    session: Annotated[WriteSession, writes("segments:write")],
    segment_id: UUID,
    body: Annotated[MembersChange, json_body(MembersChange)],
) -> Response:
    """Take contacts out of a static segment."""
    return reply(await service.change_members(session, segment_id, body, entering=False))


@routes.get("/v1/segments/{segment_id}/changes", operation_id="segments_changes_list", response_model=ChangePage)
async def segments_changes_list(
    session: Annotated[ReadSession, reads("segments:read")],
    segment_id: UUID,
    limit: Limit = 50,
    cursor: Cursor = None,
    include_total: Annotated[bool, Query()] = False,
) -> Response:
    """Who entered and left, newest first."""
    need(session, "contacts:read")
    return await members.changes(session, segment_id, limit=limit, cursor=cursor, include_total=include_total)


@routes.get("/v1/segments/{segment_id}/sizes", operation_id="segments_sizes_list", response_model=SizeList)
async def segments_sizes_list(
    session: Annotated[ReadSession, reads("segments:read")],
    segment_id: UUID,
    since: Annotated[QueryDay | None, Query(description="From this day on; the last two years when not given.")] = None,
) -> Response:
    """A segment's size over time: that of each day's last reckoning."""
    return reply(await members.sizes(session, segment_id, since))


@routes.get(
    "/v1/segments/{segment_id}/explain/{contact_id}", operation_id="segments_explain", response_model=ExplanationRead
)
async def segments_explain(
    session: Annotated[ReadSession, reads("segments:read")], segment_id: UUID, contact_id: UUID
) -> Response:
    """Why a contact is in a segment, or is not: the rule's tree with each part's value and verdict."""
    need(session, "contacts:read")
    return reply(await service.explain(session, segment_id, contact_id))


@routes.get("/v1/contacts/{contact_id}/segments", operation_id="contacts_segments_list", response_model=ContactSegments)
async def contacts_segments_list(session: Annotated[ReadSession, reads("segments:read")], contact_id: UUID) -> Response:
    """The active segments a contact is in."""
    need(session, "contacts:read")
    return reply({"data": await service.of_contact(session, contact_id)})
