"""HTTP of proofs."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.donations.ledger.proofs import service
from crm_api.donations.ledger.proofs.fields import PROOFS
from crm_api.donations.ledger.proofs.schemas import ProofPage, ProofRead
from crm_api.idempotency.boundary import list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import reply

routes = router("ledger")


@routes.post("/v1/ledger/proofs", operation_id="ledger_proofs_create", status_code=202, response_model=ProofRead)
async def ledger_proofs_create(session: Annotated[WriteSession, writes("ledger:write")]) -> Response:
    """Prove the books now: totals against a replay of all gifts from nothing, gifts against their entries."""
    proof = await service.start_proof(session, origin="request")
    return reply(proof, status=202, version=proof["version"])


@routes.get("/v1/ledger/proofs", operation_id="ledger_proofs_list", response_model=ProofPage)
async def ledger_proofs_list(
    session: Annotated[ReadSession, reads("ledger:read")], query: Annotated[ListQuery, list_query(PROOFS)]
) -> Response:
    """List proofs, newest first; there is one every night."""
    return await read_page(session, PROOFS, query, service.to_read)


@routes.get("/v1/ledger/proofs/{proof_id}", operation_id="ledger_proofs_get", response_model=ProofRead)
async def ledger_proofs_get(session: Annotated[ReadSession, reads("ledger:read")], proof_id: UUID) -> Response:
    """One proof: how far it is, then its verdict and what does not fit."""
    proof = await service.get_proof(session, proof_id)
    return reply(proof, version=proof["version"])
