"""Who may become a major or recurring donor, and how far the score can be trusted (`scoring.md` §7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

from crm_api.kit.db import ReadSession, prepare
from crm_api.reports.giving.base import Asked, head
from crm_api.reports.outlook.forecast import factor
from crm_api.reports.report import Column, Report
from crm_api.scoring import prospects as learning
from crm_api.scoring.service import rules_of

_NAMES = prepare(
    text(
        "SELECT id, display_name FROM contacts WHERE organization_id = :organization_id "
        "AND id = ANY(CAST(:ids AS uuid[]))"
    )
)


async def prospects(session: ReadSession, question: Asked, most: int) -> dict[str, Any]:
    """What was learnt, and the donors with the best chances; none where the score is no better than chance."""
    learnt, found = await learning.prospects(session, await rules_of(session), question.as_of, most)
    rows = await session.fetch(_NAMES, ids=[one.contact_id for one in found]) if found else []
    called = {row["id"]: row["display_name"] for row in rows}
    return {
        **await head(session, "prospects", "Prospects", question),
        "gain": learnt.gain,
        "reason": learnt.reason,
        "baseline": factor(learnt.baseline),
        "donors": learnt.donors,
        "responders": learnt.responders,
        "held_out": learnt.held_out,
        "auc": factor(learnt.auc),
        "auc_low": factor(learnt.auc_low),
        "baseline_auc": None if learnt.auc is None else factor(learning.BASELINE_AUC),
        "log_loss": factor(learnt.log_loss),
        "baseline_log_loss": factor(learnt.baseline_log_loss),
        "intercept": factor(learnt.intercept),
        "coefficients": _features(learnt.coefficients or {}),
        "data": [
            {
                "contact_id": one.contact_id,
                "display_name": called[one.contact_id],
                "chance": factor(one.chance),
                "features": _features(one.features),
            }
            for one in found
            if one.contact_id in called
        ],
    }


def _features(values: Mapping[str, float]) -> list[dict[str, Any]]:
    return [{"feature": name, "value": factor(value)} for name, value in values.items()]


def prospects_table(found: Mapping[str, Any]) -> Report:
    """The donors as a table."""
    columns = (
        Column("contact_id", "text", "Contact"),
        Column("display_name", "text", "Name"),
        Column("chance", "text", "Chance"),
    )
    rows = [(str(one["contact_id"]), one["display_name"], one["chance"]) for one in found["data"]]
    return Report(found["title"], columns, rows)
