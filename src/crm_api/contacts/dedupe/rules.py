"""An organization's match rules: kept as versions, each whole."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import bindparam, select

from crm_api.audit.service import record
from crm_api.contacts.dedupe.matching import DEFAULT_RULES, DEFAULT_WEIGHTS, Rule, RuleSet, Weights
from crm_api.contacts.dedupe.models import duplicate_rules
from crm_api.contacts.dedupe.rule_schemas import DuplicateRules
from crm_api.kit.db import ReadSession, WriteSession, prepare
from crm_api.kit.problems import Invalid
from crm_api.kit.updates import check_version

_LATEST = prepare(
    select(duplicate_rules)
    .where(duplicate_rules.c.organization_id == bindparam("organization_id"))
    .order_by(duplicate_rules.c.version.desc())
    .limit(1)
)


async def rules_of(session: ReadSession) -> RuleSet:
    """The rules in force; version 0 are the defaults."""
    row = await session.fetch_row(_LATEST)
    return RuleSet() if row is None else _rule_set(row["version"], row["content"])


def _rule_set(version: int, content: dict[str, Any]) -> RuleSet:
    return RuleSet(
        version=version,
        certain=content["certain"],
        possible=content["possible"],
        largest_block=content["largest_block"],
        rules=tuple(Rule(**rule) for rule in content["rules"]),
        weights={**DEFAULT_WEIGHTS, **{name: Weights(**weights) for name, weights in content["weights"].items()}},
    )


def to_read(rules: RuleSet) -> dict[str, Any]:
    """The rules as the API shows them."""
    return {
        "version": rules.version,
        "certain": rules.certain,
        "possible": rules.possible,
        "largest_block": rules.largest_block,
        "rules": [asdict(rule) for rule in rules.rules],
        "weights": {name: asdict(weights) for name, weights in rules.weights.items()},
    }


async def save_rules(session: WriteSession, body: DuplicateRules, *, expected: int | None) -> dict[str, Any]:
    """Put a new version in force; what is in the review queue already stays until a sweep looks again."""
    before = await rules_of(session)
    check_version(before.version, expected)
    if body.possible > body.certain:
        raise Invalid.at("/possible", "thresholds_crossed", "possible must not be above certain.")
    codes = [rule.code for rule in body.rules or ()]
    if len(set(codes)) < len(codes):
        raise Invalid.at("/rules", "repeated", "Give each rule a code of its own.")
    content = {
        "certain": body.certain,
        "possible": body.possible,
        "largest_block": body.largest_block,
        "rules": [asdict(rule) for rule in DEFAULT_RULES]
        if body.rules is None
        else [rule.model_dump() for rule in body.rules],
        "weights": {name: weights.model_dump() for name, weights in body.weights.items()},
    }
    version = before.version + 1
    session.later(
        duplicate_rules,
        version=version,
        content=content,
        actor_kind=session.actor.kind,
        actor_id=session.actor.id,
        created_at=session.now,
    )
    record(session, "duplicate_rules.changed", "duplicate_rules", version)
    return to_read(_rule_set(version, content))
