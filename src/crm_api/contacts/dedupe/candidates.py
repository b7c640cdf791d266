"""Who may be the same as a contact: found by shared keys in one statement, then compared field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.contacts.dedupe.blocking import lookups, rows_of
from crm_api.contacts.dedupe.context import matches_of
from crm_api.contacts.dedupe.matching import Match, RuleSet
from crm_api.contacts.dedupe.profiles import profile_of
from crm_api.contacts.dedupe.rules import rules_of
from crm_api.contacts.service import get_contact
from crm_api.kit.db import ReadSession, prepare

_AT_ONCE = 100
MOST = 50
"""Candidates of one contact that are told."""
_COLUMNS = (
    "c.id, c.kind, c.display_name, c.given_name, c.middle_name, c.family_name, c.organization_name, c.other_names, "
    "c.emails, c.phones, c.addresses, c.handles, c.external_ids, c.birth_date, c.gender, c.created_at"
)
_SHARING = prepare(
    text(
        f"""
        SELECT f.n, {_COLUMNS} FROM (
            SELECT DISTINCT w.n, unnest(k.ids) AS contact_id
            FROM jsonb_to_recordset(CAST(:wanted AS jsonb)) AS w(n integer, kind text, value text),
            LATERAL (
                SELECT array_agg(b.contact_id) AS ids FROM (
                    SELECT x.contact_id FROM contact_keys x WHERE x.organization_id = :organization_id
                        AND x.kind = w.kind AND x.value = w.value LIMIT CAST(:most AS integer) + 1) b) k
            WHERE cardinality(k.ids) <= CAST(:most AS integer)) f
        JOIN contacts c ON c.organization_id = :organization_id AND c.id = f.contact_id
        WHERE c.merged_into IS NULL AND c.erased_at IS NULL
        """
    )
)
ROWS = prepare(
    text(
        f"SELECT {_COLUMNS} FROM contacts c WHERE c.organization_id = :organization_id "
        "AND c.id = ANY(CAST(:ids AS uuid[])) AND c.merged_into IS NULL AND c.erased_at IS NULL"
    )
)
_DISMISSED = prepare(
    text(
        "SELECT CASE low_id WHEN CAST(:id AS uuid) THEN high_id ELSE low_id END AS other FROM duplicates "
        "WHERE organization_id = :organization_id AND (low_id = CAST(:id AS uuid) OR high_id = CAST(:id AS uuid)) "
        "AND state = 'dismissed'"
    )
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A contact that may be the same, and why."""

    contact_id: UUID
    display_name: str
    match: Match

    @property
    def score(self) -> int:
        """Decibans."""
        return self.match.score

    @property
    def certain(self) -> bool:
        """Whether nobody needs to look."""
        return self.match.certainty == "certain"

    def shown(self) -> dict[str, Any]:
        """For the API."""
        return {
            "contact_id": self.contact_id,
            "display_name": self.display_name,
            "score": self.match.score,
            "certainty": self.match.certainty,
            "rules": list(self.match.rules),
            "fields": [one.shown() for one in self.match.comparisons],
        }


async def find_candidates(
    session: ReadSession, values: Mapping[str, Any], *, rules: RuleSet | None = None
) -> list[Candidate]:
    """Contacts that may be the one with these column values, the best first. With an ``id`` in the values, itself and
    what was dismissed are left out."""
    (found,) = await find_candidates_of_many(session, [values], rules=rules)
    return found


async def find_candidates_of_many(
    session: ReadSession, many: Sequence[Mapping[str, Any]], *, rules: RuleSet | None = None
) -> list[list[Candidate]]:
    """The candidates of several contacts, in their order, by two statements for each hundred: of a common name hundreds
    are looked at, so that thousands at once would fill the memory."""
    chosen = rules or await rules_of(session)
    found: list[list[Candidate]] = []
    for start in range(0, len(many), _AT_ONCE):
        found += await _candidates_of_some(session, many[start : start + _AT_ONCE], chosen)
    return found


async def _candidates_of_some(
    session: ReadSession, many: Sequence[Mapping[str, Any]], chosen: RuleSet
) -> list[list[Candidate]]:
    wanted = rows_of(lookups(values) for values in many)
    rows = await session.fetch(_SHARING, wanted=wanted, most=chosen.largest_block) if wanted else []
    profiles = [profile_of(values) for values in many]
    found: list[list[Candidate]] = [[] for _ in many]
    others = [row for row in rows if row["id"] != profiles[row["n"]].id]
    known = {row["id"]: row for row in others}
    seen = {one: profile_of(row) for one, row in known.items()}
    pairs = [(profiles[row["n"]], seen[row["id"]]) for row in others]
    for row, result in zip(others, await matches_of(session, pairs, chosen), strict=True):
        if result is not None:
            found[row["n"]].append(Candidate(row["id"], row["display_name"], result))
    return [sorted(one, key=lambda c: (not c.certain, -c.score, str(c.contact_id)))[:MOST] for one in found]


async def candidates_of(session: ReadSession, contact_id: UUID) -> list[Candidate]:
    """The candidates of a contact that exists; who was dismissed as "not a duplicate" is none."""
    row = await get_contact(session, contact_id)
    found = await find_candidates(session, dict(row))
    if not found:
        return []
    dismissed = {one["other"] for one in await session.fetch(_DISMISSED, id=contact_id)}
    return [candidate for candidate in found if candidate.contact_id not in dismissed]
