"""An organization's dunning policy: kept as versions, each whole."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import bindparam, select

from crm_api.audit.service import record
from crm_api.kit.db import ReadSession, WriteSession, prepare
from crm_api.kit.updates import check_version
from crm_api.payments.dunning.models import dunning_policies
from crm_api.payments.dunning.policy import CLASSES, DEFAULTS, Letters, Policy, Rule
from crm_api.payments.dunning.schemas import DunningPolicy

_LATEST = prepare(
    select(dunning_policies)
    .where(dunning_policies.c.organization_id == bindparam("organization_id"))
    .order_by(dunning_policies.c.version.desc())
    .limit(1)
)


async def policy_of(session: ReadSession) -> Policy:
    """The policy in force."""
    row = await session.fetch_row(_LATEST)
    return Policy() if row is None else _policy(row["version"], row["content"])


def _policy(version: int, content: dict[str, Any]) -> Policy:
    own: dict[str, dict[str, Any]] = content["rules"]
    return Policy(
        version=version,
        rules={name: _rule(own[name]) if name in own else DEFAULTS[name] for name in CLASSES},
        early_days=content["early_days"],
        late_days=content["late_days"],
        letters=Letters(**content.get("letters", {})),
    )


def _rule(said: dict[str, Any]) -> Rule:
    return Rule(tuple(said["retry_days"]), tuple(said["letters"]), said["give_up_after"], said["give_up"])


def to_read(policy: Policy) -> dict[str, Any]:
    """The policy as the API shows it."""
    return {
        "version": policy.version,
        "rules": {name: asdict(policy.rules[name]) for name in CLASSES},
        "early_days": policy.early_days,
        "late_days": policy.late_days,
        "letters": asdict(policy.letters),
    }


async def save_policy(session: WriteSession, body: DunningPolicy, *, expected: int | None) -> dict[str, Any]:
    """Put a new version in force; what was decided before stays."""
    before = await policy_of(session)
    check_version(before.version, expected)
    content = body.model_dump(exclude_none=False)
    content["rules"] = {name: rule for name, rule in content["rules"].items() if rule is not None}
    version = before.version + 1
    session.later(
        dunning_policies,
        version=version,
        content=content,
        actor_kind=session.actor.kind,
        actor_id=session.actor.id,
        created_at=session.now,
    )
    record(session, "dunning_policy.changed", "dunning_policy", version)
    return to_read(_policy(version, content))
