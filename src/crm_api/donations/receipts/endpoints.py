"""HTTP of receipts: `/v1/receipts`, their settings and annual runs, and the public check."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Request, Response

from crm_api.documents.storage import FileStore, content_disposition
from crm_api.donations.receipts import files as documents
from crm_api.donations.receipts import house, page, runs, service
from crm_api.donations.receipts.fields import RECEIPTS, RUNS
from crm_api.donations.receipts.schemas import (
    AnnualRunCreate,
    AnnualRunPage,
    AnnualRunRead,
    ReceiptCheck,
    ReceiptCreate,
    ReceiptPage,
    ReceiptReissue,
    ReceiptSettings,
    ReceiptSettingsRead,
    ReceiptVoid,
    ReceiptWhole,
)
from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, services, writes
from crm_api.kit.db import ReadSession, RowLike, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.problems import TooManyRequests
from crm_api.kit.ratelimit import RateLimiter
from crm_api.kit.reply import created, reply

routes = router("receipts")
_PER_ADDRESS = RateLimiter(per_second=0.5, burst=60)
_PDF: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}, "description": "The PDF"}
}
_CHECKED: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/html": {"schema": {"type": "string"}}},
        "description": "What is known of the code; a page for browsers, JSON for `Accept: application/json`",
    },
    429: {},
}


def _public_url(request: Request) -> str:
    return str(services(request).more["settings"].public_url)


def _files(request: Request) -> FileStore:
    found: FileStore = services(request).more["files"]
    return found


async def _whole(request: Request, session: ReadSession, row: RowLike) -> dict[str, Any]:
    lines = [service.line_to_read(line) for line in await service.lines_of(session, row["id"])]
    return {**service.to_read(_public_url(request), row), "lines": lines}


@routes.get("/v1/receipt-settings", operation_id="receipt_settings_get", response_model=ReceiptSettingsRead)
async def receipt_settings_get(session: Annotated[ReadSession, reads("donations:read")]) -> Response:
    """How the organization issues receipts."""
    found = house.to_read(await house.house_of(session))
    return reply(found, version=found["version"])


@routes.put("/v1/receipt-settings", operation_id="receipt_settings_replace", response_model=ReceiptSettingsRead)
async def receipt_settings_replace(
    request: Request,
    session: Annotated[WriteSession, writes("donations:write")],
    body: Annotated[ReceiptSettings, json_body(ReceiptSettings)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Replace how the organization issues receipts; those that are issued stay as they are."""
    looking = services(request).database.read(session.tenant, session.actor)  # a bucket may be asked before we write
    logo = await house.logo_of(looking, _files(request), body)
    found = await house.save(session, body, logo_file=logo, expected=expected)
    return reply(found, version=found["version"])


@routes.post("/v1/receipts", operation_id="receipts_create", status_code=201, response_model=ReceiptWhole)
async def receipts_create(
    request: Request,
    session: Annotated[WriteSession, writes("donations:write")],
    body: Annotated[ReceiptCreate, json_body(ReceiptCreate)],
) -> Response:
    """Issue a receipt: for one gift, or for all gifts of a donor in a year that have none yet."""
    row = await service.issue(session, body)
    await session.flush()
    return created(await _whole(request, session, row), f"/v1/receipts/{row['id']}")


@routes.get("/v1/receipts", operation_id="receipts_list", response_model=ReceiptPage)
async def receipts_list(
    request: Request,
    session: Annotated[ReadSession, reads("donations:read")],
    query: Annotated[ListQuery, list_query(RECEIPTS)],
) -> Response:
    """List receipts, newest first."""
    return await read_page(session, RECEIPTS, query, partial(service.to_read, _public_url(request)))


@routes.post(
    "/v1/receipts/annual-runs", operation_id="receipt_runs_create", status_code=202, response_model=AnnualRunRead
)
async def receipt_runs_create(
    session: Annotated[WriteSession, writes("donations:write")],
    body: Annotated[AnnualRunCreate, json_body(AnnualRunCreate)],
) -> Response:
    """Issue annual receipts to every donor of a year, in the background. Nobody gets two, however often it is run."""
    run = await runs.begin(session, body.year)
    headers = {"Location": f"/v1/receipts/annual-runs/{run['id']}"}
    return reply(runs.to_read({**run, "done": 0}), status=202, version=run["version"], headers=headers)


@routes.get("/v1/receipts/annual-runs", operation_id="receipt_runs_list", response_model=AnnualRunPage)
async def receipt_runs_list(
    session: Annotated[ReadSession, reads("donations:read")], query: Annotated[ListQuery, list_query(RUNS)]
) -> Response:
    """List annual runs, newest first."""
    return await read_page(session, RUNS, query, runs.to_read)


@routes.get("/v1/receipts/annual-runs/{run_id}", operation_id="receipt_runs_get", response_model=AnnualRunRead)
async def receipt_runs_get(session: Annotated[ReadSession, reads("donations:read")], run_id: UUID) -> Response:
    """How far an annual run is."""
    run = await runs.get_run(session, run_id)
    return reply(runs.to_read(run), version=run["version"])


@routes.get("/v1/receipts/{receipt_id}", operation_id="receipts_get", response_model=ReceiptWhole)
async def receipts_get(
    request: Request, session: Annotated[ReadSession, reads("donations:read")], receipt_id: UUID
) -> Response:
    """One receipt with the gifts it covers."""
    row = await service.get_receipt(session, receipt_id)
    return reply(await _whole(request, session, row), version=row["version"])


@routes.get("/v1/receipts/{receipt_id}/pdf", operation_id="receipts_pdf", response_class=Response, responses=_PDF)
async def receipts_pdf(
    request: Request, session: Annotated[ReadSession, reads("donations:read")], receipt_id: UUID
) -> Response:
    """The document itself, in the donor's language. A void receipt says so on every page."""
    row, content = await documents.pdf_of(
        services(request).database,
        session.tenant,
        session.actor,
        _files(request),
        receipt_id,
        public_url=_public_url(request),
    )
    headers = {
        "Content-Disposition": content_disposition(documents.filename_of(row)),
        "Cache-Control": "private, no-store",
    }
    return Response(content, media_type=documents.MEDIA_TYPE, headers=headers)


@routes.post("/v1/receipts/{receipt_id}/void", operation_id="receipts_void", response_model=ReceiptWhole)
async def receipts_void(
    request: Request,
    session: Annotated[WriteSession, writes("donations:write")],
    receipt_id: UUID,
    body: Annotated[ReceiptVoid, json_body(ReceiptVoid)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Void a receipt. It keeps its number; its gifts can get another one."""
    row = await service.void(session, receipt_id, body, expected=expected)
    return reply(await _whole(request, session, row), version=row["version"])


@routes.post(
    "/v1/receipts/{receipt_id}/reissue", operation_id="receipts_reissue", status_code=201, response_model=ReceiptWhole
)
async def receipts_reissue(
    request: Request,
    session: Annotated[WriteSession, writes("donations:write")],
    receipt_id: UUID,
    body: Annotated[ReceiptReissue, json_body(ReceiptReissue)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Issue a receipt anew under a number of its own, with what is true now; the old one is void and names it."""
    row = await service.reissue(session, receipt_id, body, expected=expected)
    return created(await _whole(request, session, row), f"/v1/receipts/{row['id']}")


@routes.get("/receipts/verify/{code}", operation_id="receipts_verify", response_model=ReceiptCheck, responses=_CHECKED)
async def receipts_verify(
    request: Request, code: Annotated[str, Path(min_length=1, max_length=80, description="As printed on the receipt.")]
) -> Response:
    """Check a receipt by the code on it: valid, void or unknown, when and by whom it was issued. Nothing else."""
    address = request.client.host if request.client else ""
    verdict = _PER_ADDRESS.hit(address)
    if not verdict.allowed:
        problem = TooManyRequests(f"Too many checks at once. Wait {verdict.reset_seconds} s, then check again.")
        problem.headers["Retry-After"] = str(verdict.reset_seconds)
        raise problem
    found, language = await page.check(services(request).database, code)
    headers = {"X-Robots-Tag": "noindex", "Vary": "Accept, Accept-Language"}
    accepted = request.headers.get("accept", "")
    if "text/html" in accepted and not accepted.startswith("application/json"):
        content = page.render(found, request.headers.get("accept-language", ""), language)
        headers["Content-Security-Policy"] = page.POLICY
        return Response(content, media_type="text/html; charset=utf-8", headers=headers)
    return reply(found, headers=headers)
