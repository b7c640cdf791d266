"""HTTP of duplicates: candidates, match rules, the review queue, sweeps, merges."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.contacts.dedupe import batches, candidates, merging, queue, rules, sweeps
from crm_api.contacts.dedupe.fields import DUPLICATES, MERGE_BATCHES, MERGES, SWEEPS
from crm_api.contacts.dedupe.rule_schemas import (
    CandidateList,
    DuplicateMerge,
    DuplicatePage,
    DuplicateRead,
    DuplicateRules,
    DuplicateRulesRead,
    SweepPage,
    SweepRead,
)
from crm_api.contacts.dedupe.schemas import (
    MOST_BATCH_BYTES,
    MergeBatchCreate,
    MergeBatchPage,
    MergeBatchRead,
    MergeCreate,
    MergePage,
    MergeRead,
)
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import created, reply

routes = router("duplicates")


@routes.post(
    "/v1/contacts/{contact_id}/merge", operation_id="contacts_merge", status_code=201, response_model=MergeRead
)
async def contacts_merge(
    session: Annotated[WriteSession, writes("contacts:write")],
    contact_id: UUID,
    body: Annotated[MergeCreate, json_body(MergeCreate)],
) -> Response:
    """Merge other contacts into this one. All they have becomes this contact's; their ids answer 301 from then on."""
    merge = await merging.merge_contacts(session, contact_id, body.from_, body.choices())
    return created(merge, f"/v1/merges/{merge['id']}")


@routes.get("/v1/merges", operation_id="merges_list", response_model=MergePage)
async def merges_list(
    session: Annotated[ReadSession, reads("contacts:read")], query: Annotated[ListQuery, list_query(MERGES)]
) -> Response:
    """List merges, newest first."""
    return await read_page(session, MERGES, query, merging.to_read)


@routes.post("/v1/merges/batch", operation_id="merges_batch", status_code=202, response_model=MergeBatchRead)
async def merges_batch(
    session: Annotated[WriteSession, writes("contacts:write")],
    body: Annotated[MergeBatchCreate, json_body(MergeBatchCreate, max_bytes=MOST_BATCH_BYTES)],
) -> Response:
    """Queue many merges. Each can be undone by itself; `results` name them."""
    batch = batches.start_batch(session, [(pair.into, pair.from_) for pair in body.merges])
    return reply(batch, status=202, version=1, headers={"Location": f"/v1/merge-batches/{batch['id']}"})


@routes.get("/v1/merge-batches", operation_id="merge_batches_list", response_model=MergeBatchPage)
async def merge_batches_list(
    session: Annotated[ReadSession, reads("contacts:read")], query: Annotated[ListQuery, list_query(MERGE_BATCHES)]
) -> Response:
    """List batches of merges, newest first."""
    return await read_page(session, MERGE_BATCHES, query, batches.to_read)


@routes.get("/v1/merge-batches/{batch_id}", operation_id="merge_batches_get", response_model=MergeBatchRead)
async def merge_batches_get(session: Annotated[ReadSession, reads("contacts:read")], batch_id: UUID) -> Response:
    """One batch of merges."""
    batch = await batches.get_batch(session, batch_id)
    return reply(batch, version=batch["version"])


@routes.get("/v1/merges/{merge_id}", operation_id="merges_get", response_model=MergeRead)
async def merges_get(session: Annotated[ReadSession, reads("contacts:read")], merge_id: UUID) -> Response:
    """One merge, with what it moved."""
    merge = await merging.get_merge(session, merge_id)
    return reply(merge, version=merge["version"])


@routes.post("/v1/merges/{merge_id}/undo", operation_id="merges_undo", response_model=MergeRead)
async def merges_undo(session: Annotated[WriteSession, writes("contacts:write")], merge_id: UUID) -> Response:
    """Undo a merge: every row goes back where it was. What came after the merge stays with the survivor."""
    merge = await merging.undo_merge(session, merge_id)
    return reply(merge, version=merge["version"])


@routes.get("/v1/contacts/{contact_id}/duplicates", operation_id="contacts_duplicates", response_model=CandidateList)
async def contacts_duplicates(session: Annotated[ReadSession, reads("contacts:read")], contact_id: UUID) -> Response:
    """Contacts that may be the same as this one, the best first, with what speaks for and against it field by field."""
    found = await candidates.candidates_of(session, contact_id)
    return reply({"data": [candidate.shown() for candidate in found]})


@routes.get("/v1/duplicate-rules", operation_id="duplicate_rules_get", response_model=DuplicateRulesRead)
async def duplicate_rules_get(session: Annotated[ReadSession, reads("contacts:read")]) -> Response:
    """The match rules in force, with their weights and thresholds."""
    found = rules.to_read(await rules.rules_of(session))
    return reply(found, version=found["version"])


@routes.put("/v1/duplicate-rules", operation_id="duplicate_rules_replace", response_model=DuplicateRulesRead)
async def duplicate_rules_replace(
    session: Annotated[WriteSession, writes("organization:write")],
    body: Annotated[DuplicateRules, json_body(DuplicateRules)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Put other match rules in force; what is left out takes its default. Earlier versions are kept."""
    found = await rules.save_rules(session, body, expected=expected)
    return reply(found, version=found["version"])


@routes.get("/v1/duplicates", operation_id="duplicates_list", response_model=DuplicatePage)
async def duplicates_list(
    session: Annotated[ReadSession, reads("contacts:read")], query: Annotated[ListQuery, list_query(DUPLICATES)]
) -> Response:
    """List the review queue, the best matches first; `state=open` is what waits for a decision."""
    return await read_page(session, DUPLICATES, query, queue.to_read)


@routes.post("/v1/duplicates/sweeps", operation_id="duplicate_sweeps_create", status_code=202, response_model=SweepRead)
async def duplicate_sweeps_create(session: Annotated[WriteSession, writes("contacts:write")]) -> Response:
    """Look for duplicates in the whole organization. While a sweep is under way, it is the answer."""
    sweep = await sweeps.start_sweep(session, origin="request")
    location = f"/v1/duplicates/sweeps/{sweep['id']}"
    return reply(sweep, status=202, version=sweep["version"], headers={"Location": location})


@routes.get("/v1/duplicates/sweeps", operation_id="duplicate_sweeps_list", response_model=SweepPage)
async def duplicate_sweeps_list(
    session: Annotated[ReadSession, reads("contacts:read")], query: Annotated[ListQuery, list_query(SWEEPS)]
) -> Response:
    """List sweeps, newest first."""
    return await read_page(session, SWEEPS, query, sweeps.to_read)


@routes.get("/v1/duplicates/sweeps/{sweep_id}", operation_id="duplicate_sweeps_get", response_model=SweepRead)
async def duplicate_sweeps_get(session: Annotated[ReadSession, reads("contacts:read")], sweep_id: UUID) -> Response:
    """One sweep, with how far it has come."""
    sweep = await sweeps.get_sweep(session, sweep_id)
    return reply(sweep, version=sweep["version"])


@routes.get("/v1/duplicates/{duplicate_id}", operation_id="duplicates_get", response_model=DuplicateRead)
async def duplicates_get(session: Annotated[ReadSession, reads("contacts:read")], duplicate_id: UUID) -> Response:
    """One pair of the review queue."""
    pair = await queue.get_pair(session, duplicate_id)
    return reply(pair, version=pair["version"])


@routes.post("/v1/duplicates/{duplicate_id}/dismiss", operation_id="duplicates_dismiss", response_model=DuplicateRead)
async def duplicates_dismiss(
    session: Annotated[WriteSession, writes("contacts:write")], duplicate_id: UUID
) -> Response:
    """Not a duplicate: the two are never shown again, also not after one of them is merged with somebody else."""
    pair = await queue.dismiss(session, duplicate_id)
    return reply(pair, version=pair["version"])


@routes.post(
    "/v1/duplicates/{duplicate_id}/merge",
    operation_id="duplicates_merge",
    status_code=201,
    response_model=MergeRead,
)
async def duplicates_merge(
    session: Annotated[WriteSession, writes("contacts:write")],
    duplicate_id: UUID,
    body: Annotated[DuplicateMerge, json_body(DuplicateMerge)],
) -> Response:
    """Merge the two of a pair; the older one survives unless `survivor_id` says otherwise."""
    merge = await queue.merge_pair(session, duplicate_id, body.survivor_id)
    return created(merge, f"/v1/merges/{merge['id']}")
