"""Verbs of match rules: keeping them, and letting them look at what waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.contacts.service import contact_exists, contact_to_name, survivor_of
from crm_api.donations.gifts import evidence
from crm_api.donations.gifts.service import settle
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, RowLike, WriteSession, prepare
from crm_api.kit.problems import Invalid
from crm_api.kit.updates import lock_row, update_row
from crm_api.outbox.service import emit
from crm_api.payments.matching.facts import MatchRuleChanged
from crm_api.payments.matching.models import payment_match_rules
from crm_api.payments.matching.rules import Rule, first_fitting, problem_of, tokens
from crm_api.payments.matching.schemas import MatchRuleCreate, MatchRulePatch
from crm_api.payments.matching.service import join, mark

AT_ONCE = 200
_NO_EFFECT = "Say what the rule does: contact_id, campaign_id or fund_id; of kind external_id without contact_id."
_RULES = prepare(
    text(
        "SELECT * FROM payment_match_rules WHERE organization_id = :organization_id AND is_active ORDER BY position, id"
    )
)
_ROW = prepare(
    text(
        "SELECT * FROM unmatched_payments WHERE organization_id = :organization_id AND gift_id = :gift_id "
        "AND hint IS NOT NULL AND state <> 'dismissed' FOR NO KEY UPDATE"
    )
)
_WAITING = prepare(
    text(
        "SELECT id, gift_id, hint, connection_id FROM unmatched_payments WHERE organization_id = :organization_id "
        "AND state = 'waiting' AND hint IS NOT NULL AND (CAST(:after AS uuid) IS NULL OR id > :after) "
        "ORDER BY id LIMIT :most"
    )
)
_BY_ID_ELSEWHERE = prepare(
    text(
        "SELECT DISTINCT contact_id FROM contact_external_ids WHERE organization_id = :organization_id "
        "AND system = :system AND external_id = ANY(CAST(:tokens AS text[])) LIMIT 2"
    )
)


def _rule(row: RowLike) -> Rule:
    names = ("id", "kind", "value", "connection_id", "contact_id", "campaign_id", "fund_id")
    return Rule(**{name: row[name] for name in names})


# Keeping rules


def _check(values: RowLike) -> None:
    if (wrong := problem_of(values["kind"], values["value"])) is not None:
        raise Invalid.at("/value", "value_does_not_fit", f"Of kind {values['kind']} it {wrong}")
    own = values["kind"] == "external_id"
    named = [values[name] for name in ("contact_id", "campaign_id", "fund_id")]
    if (own and values["contact_id"] is not None) or (not own and not any(named)):
        raise Invalid.at("/contact_id", "no_effect", _NO_EFFECT)


async def create_rule(session: WriteSession, body: MatchRuleCreate) -> dict[str, Any]:
    """Add a rule; it looks at what waits already, too."""
    values = body.model_dump()
    _check(values)
    if body.contact_id is not None:
        values["contact_id"] = await contact_to_name(session, body.contact_id)
    row = simple.add(session, payment_match_rules, values)
    record(session, "payment_match_rule.created", "payment_match_rule", row["id"])
    emit(session, MatchRuleChanged(rule_id=row["id"]))
    return row


async def get_rule(session: ReadSession, rule_id: UUID) -> dict[str, Any]:
    """One rule, or 404."""
    row = await simple.get(session, payment_match_rules, rule_id, "match rule")
    return simple.to_read(payment_match_rules, row)


async def patch_rule(
    session: WriteSession, rule_id: UUID, body: MatchRulePatch, *, expected: int | None
) -> dict[str, Any]:
    """Change a rule; what it has joined stays joined."""
    await lock_row(session, payment_match_rules, rule_id, expected=expected, what="match rule")
    before = await get_rule(session, rule_id)
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    if not changes:
        return before
    _check({**before, **changes})
    if changes.get("contact_id") is not None:
        changes["contact_id"] = await contact_to_name(session, changes["contact_id"])
    row = await update_row(session, payment_match_rules, rule_id, changes, expected=None)
    record(session, "payment_match_rule.updated", "payment_match_rule", rule_id, fields=changes)
    emit(session, MatchRuleChanged(rule_id=rule_id))
    return simple.to_read(payment_match_rules, row)


# Looking


async def look_at(session: WriteSession, gift_id: UUID) -> None:
    """Let the rules look at one payment."""
    await _apply(session, gift_id, [_rule(one) for one in await session.fetch(_RULES)])


async def look_at_waiting(session: WriteSession, rule_id: UUID, after: UUID | None) -> None:
    """Let the rules look at what waits, some hundred payments at a time, since one of them is new."""
    rules = [_rule(one) for one in await session.fetch(_RULES)]
    fresh = [rule for rule in rules if rule.id == rule_id]
    waiting = await session.fetch(_WAITING, after=after, most=AT_ONCE)
    for row in waiting:
        if first_fitting(fresh, row["hint"], row["connection_id"]):
            await _apply(session, row["gift_id"], rules)
    if fresh and len(waiting) == AT_ONCE:
        emit(session, MatchRuleChanged(rule_id=rule_id, after=waiting[-1]["id"]))


async def _apply(session: WriteSession, gift_id: UUID, rules: Sequence[Rule]) -> None:
    """Do what the rules that fit say: each of contact, campaign and fund by the first that says it."""
    gift = await evidence.lock_gift(session, gift_id)
    row = await session.fetch_row(_ROW, gift_id=gift_id)
    fitting = first_fitting(rules, row["hint"], row["connection_id"]) if row is not None else []
    if row is None or not fitting:
        return
    changes: dict[str, Any] = {}
    for name in ("campaign_id", "fund_id"):
        said = next((getattr(rule, name) for rule in fitting if getattr(rule, name) is not None), None)
        if said is not None and gift[name] is None and not (name == "fund_id" and gift["is_split"]):
            changes[name] = said
    if gift["contact_id"] is None:
        for rule in fitting:
            contact_id = await _contact(session, rule, row["hint"])
            if contact_id is not None:
                await join(session, gift, contact_id, changes)
                await mark(session, row["id"], "matched", rule_id=rule.id)
                return
    if changes:
        await settle(session, gift, changes)


async def _contact(session: WriteSession, rule: Rule, hint: str) -> UUID | None:
    """Whom a rule that fits names; nobody where two contacts would do."""
    if rule.kind == "external_id":
        found = await session.fetch(_BY_ID_ELSEWHERE, system=rule.value, tokens=tokens(hint))
        named = found[0]["contact_id"] if len(found) == 1 else None
    else:
        named = rule.contact_id
    if named is None or not await contact_exists(session, named):
        return None
    return await survivor_of(session, named)
