"""HTTP of scoring."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.problems import Invalid
from crm_api.kit.reply import reply
from crm_api.kit.schemas import QueryDay
from crm_api.scoring import rules, runs, service, settings
from crm_api.scoring.calculator import LtvRequest, LtvResult, calculate
from crm_api.scoring.fields import MODELS, RUNS
from crm_api.scoring.schemas import (
    DonorProfile,
    DonorStatusRules,
    DonorStatusRulesRead,
    RulesPreview,
    ScoringModelPage,
    ScoringRunCreate,
    ScoringRunPage,
    ScoringRunRead,
)
from crm_api.scoring.settings import LtvSettings, LtvSettingsRead, RfmSettings, RfmSettingsRead

routes = router("scoring")


@routes.get(
    "/v1/contacts/{contact_id}/donor-profile", operation_id="contacts_donor_profile", response_model=DonorProfile
)
async def contacts_donor_profile(
    session: Annotated[ReadSession, reads("scoring:read")],
    contact_id: UUID,
    as_of: Annotated[QueryDay | None, Query(description="The date to look from; today when not given.")] = None,
) -> Response:
    """A contact as a donor: status with its reasons, totals and RFM scores."""
    if as_of is not None and not 1900 <= as_of.year <= 2200:
        raise Invalid.at("?as_of", "out_of_range", "as_of must lie between the years 1900 and 2200.")
    return reply(await service.donor_profile(session, contact_id, as_of))


@routes.post("/v1/ltv/calculate", operation_id="ltv_calculate", response_model=LtvResult)
async def ltv_calculate(
    session: Annotated[WriteSession, writes("scoring:read")], body: Annotated[LtvRequest, json_body(LtvRequest)]
) -> Response:
    """A lifetime value from inputs of your own, by one of five methods, exactly; nothing is stored."""
    bands = settings.bands_of(await settings.ltv_settings(session))
    return reply(calculate(body, currency=session.tenant.currency, bands=bands))


@routes.get("/v1/ltv/settings", operation_id="ltv_settings_get", response_model=LtvSettingsRead)
async def ltv_settings_get(session: Annotated[ReadSession, reads("scoring:read")]) -> Response:
    """How the lifetime values in donor profiles are reckoned, and the bands of LTV:CAC."""
    found = await settings.get_ltv(session)
    return reply(found, version=found["version"])


@routes.put("/v1/ltv/settings", operation_id="ltv_settings_replace", response_model=LtvSettingsRead)
async def ltv_settings_replace(
    session: Annotated[WriteSession, writes("scoring:write")],
    body: Annotated[LtvSettings, json_body(LtvSettings)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Reckon lifetime values another way, from now on; what is left out takes its default."""
    found = await settings.put_ltv(session, body, expected=expected)
    return reply(found, version=found["version"])


@routes.get("/v1/scoring/rfm-settings", operation_id="rfm_settings_get", response_model=RfmSettingsRead)
async def rfm_settings_get(session: Annotated[ReadSession, reads("scoring:read")]) -> Response:
    """How RFM is drawn: look-back, sum or average, cut-points, names."""
    found = await settings.get_rfm(session)
    return reply(found, version=found["version"])


@routes.put("/v1/scoring/rfm-settings", operation_id="rfm_settings_replace", response_model=RfmSettingsRead)
async def rfm_settings_replace(
    session: Annotated[WriteSession, writes("scoring:write")],
    body: Annotated[RfmSettings, json_body(RfmSettings)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Draw RFM another way; the worker scores everybody anew. What is left out takes its default."""
    found = await settings.put_rfm(session, body, expected=expected)
    return reply(found, version=found["version"])


@routes.get(
    "/v1/scoring/donor-status-rules", operation_id="donor_status_rules_get", response_model=DonorStatusRulesRead
)
async def donor_status_rules_get(session: Annotated[ReadSession, reads("scoring:read")]) -> Response:
    """The rules of the donor status in force."""
    found = await rules.get_rules(session)
    return reply(found, version=found["version"])


@routes.put(
    "/v1/scoring/donor-status-rules", operation_id="donor_status_rules_replace", response_model=DonorStatusRulesRead
)
async def donor_status_rules_replace(
    session: Annotated[WriteSession, writes("scoring:write")],
    body: Annotated[DonorStatusRules, json_body(DonorStatusRules)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Put other rules in force, as a new version; what is left out takes its default. The worker judges every donor
    anew."""
    found = await rules.put_rules(session, body, expected=expected)
    return reply(found, version=found["version"])


@routes.post(
    "/v1/scoring/donor-status-rules/preview", operation_id="donor_status_rules_preview", response_model=RulesPreview
)
async def donor_status_rules_preview(
    session: Annotated[WriteSession, writes("scoring:read")],
    body: Annotated[DonorStatusRules, json_body(DonorStatusRules)],
) -> Response:
    """What other rules would change; nothing is stored."""
    return reply(await rules.preview(session, body))


@routes.post("/v1/scoring/runs", operation_id="scoring_runs_create", status_code=202, response_model=ScoringRunRead)
async def scoring_runs_create(
    session: Annotated[WriteSession, writes("scoring:write")],
    body: Annotated[ScoringRunCreate, json_body(ScoringRunCreate)],
) -> Response:
    """Have figures, statuses, scores or predictions reckoned anew. Each follows by itself (gifts at once, scores every
    night, predictions every week); this is for not waiting, and for looking back with `as_of`."""
    run = await runs.start_run(session, body)
    return reply(run, status=202, version=run["version"], headers={"Location": f"/v1/scoring/runs/{run['id']}"})


@routes.get("/v1/scoring/runs", operation_id="scoring_runs_list", response_model=ScoringRunPage)
async def scoring_runs_list(
    session: Annotated[ReadSession, reads("scoring:read")], query: Annotated[ListQuery, list_query(RUNS)]
) -> Response:
    """List runs, newest first."""
    return await read_page(session, RUNS, query, runs.to_read)


@routes.get("/v1/scoring/runs/{scoring_run_id}", operation_id="scoring_runs_get", response_model=ScoringRunRead)
async def scoring_runs_get(session: Annotated[ReadSession, reads("scoring:read")], scoring_run_id: UUID) -> Response:
    """One run: how far it is, then what it came to."""
    run = await runs.get_run(session, scoring_run_id)
    return reply(run, version=run["version"])


@routes.get("/v1/scoring/models", operation_id="scoring_models_list", response_model=ScoringModelPage)
async def scoring_models_list(
    session: Annotated[ReadSession, reads("scoring:read")], query: Annotated[ListQuery, list_query(MODELS)]
) -> Response:
    """List fits of the models of giving, newest first: parameters, log-likelihood, how many donors they were fitted to,
    or why there are none. BG/BB (by fiscal years) under-predicts donors without a repeat gift; BG/NBD (by weeks) takes
    everybody without one for alive, so `p_alive` is shown from the second gift on."""
    return await read_page(session, MODELS, query, runs.model_to_read)
