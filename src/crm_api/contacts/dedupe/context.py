"""What the rest of the contacts says about some pairs: one statement for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy import text

from crm_api.contacts.dedupe.comparing import Finding
from crm_api.contacts.dedupe.matching import Match, RuleSet, judge, likely
from crm_api.contacts.dedupe.personal import Context
from crm_api.contacts.dedupe.profiles import Profile
from crm_api.kit.db import ReadSession, prepare
from crm_api.kit.scripts import name_words

_MOST = 40
_BEARERS = prepare(
    text(
        """
        SELECT w.kind, w.value, k.size, k.names
        FROM jsonb_to_recordset(CAST(:wanted AS jsonb)) AS w(kind text, value text),
        LATERAL (
            SELECT count(*) AS size, array_agg(DISTINCT g.given_name) FILTER (WHERE g.given_name IS NOT NULL) AS names
            FROM (
                SELECT c.given_name FROM contact_keys x
                LEFT JOIN contacts c ON w.kind <> 'frame' AND c.organization_id = x.organization_id
                    AND c.id = x.contact_id
                WHERE x.organization_id = :organization_id AND x.kind = w.kind AND x.value = w.value
                LIMIT CAST(:most AS integer)) g) k
        """
    )
)
Pair = tuple[Profile, Profile]


async def matches_of(session: ReadSession, pairs: Sequence[Pair], rules: RuleSet) -> list[Match | None]:
    """The match of each pair, or nothing; in their order."""
    looked = []
    for number, (a, b) in enumerate(pairs):
        if number % 500 == 499:
            await asyncio.sleep(0)  # whoever else runs here has leases to renew and requests to answer
        looked.append(likely(a, b, rules))
    return await judged(session, pairs, looked, rules)


async def judged(
    session: ReadSession, pairs: Sequence[Pair], looked: Sequence[dict[str, Finding] | None], rules: RuleSet
) -> list[Match | None]:
    """The second look at pairs whose findings are there."""
    chosen = [pair for pair, findings in zip(pairs, looked, strict=True) if findings is not None]
    if not chosen:
        return [None] * len(pairs)
    context = await _context(session, chosen)
    return [
        None if findings is None else judge(a, b, findings, rules, context)
        for (a, b), findings in zip(pairs, looked, strict=True)
    ]


async def _context(session: ReadSession, pairs: Sequence[Pair]) -> Context:
    wanted: set[tuple[str, str]] = set()
    for a, b in pairs:
        wanted |= {("frame", frame) for frame in a.frames & b.frames}
        wanted |= {("phone", number) for number in a.phones & b.phones}
        if a.mailboxes & b.mailboxes:
            wanted |= {("email", one) for one in a.emails | b.emails}
    rows = await session.fetch(
        _BEARERS, wanted=[{"kind": kind, "value": value} for kind, value in sorted(wanted)], most=_MOST
    )
    names = [p for pair in pairs for p in pair]
    bearers: dict[str, set[str]] = {}
    for row in rows:
        if row["kind"] != "frame":
            bearers[row["value"]] = {words[0] for name in row["names"] or () if (words := name_words(name))}
    for profile in names:  # one that is yet to be created has no keys
        for point in (*profile.emails, *profile.phones):
            if point in bearers and profile.names and profile.names[0].given:
                bearers[point].add(profile.names[0].given[0])
    return Context(
        {row["value"]: row["size"] for row in rows if row["kind"] == "frame"},
        {point: frozenset(found) for point, found in bearers.items()},
    )
