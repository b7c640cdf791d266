"""Rows that may be contacts which are there already, for the review queue of duplicates (`on_match=queue`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from crm_api.contacts.dedupe import queue
from crm_api.contacts.dedupe.candidates import find_candidates_of_many
from crm_api.contacts.dedupe.matching import Match
from crm_api.contacts.dedupe.rules import rules_of
from crm_api.kit.db import WriteSession
from crm_api.transfers.imports import drafts


@dataclass(frozen=True, slots=True)
class Pair:
    """A contact that was there and one that the import creates, which may be one person."""

    known: UUID
    fresh: UUID
    match: Match


async def candidates(session: WriteSession, import_id: UUID, fresh: Sequence[Mapping[str, Any]]) -> list[Pair]:
    """By the organization's match rules, whom each of the contacts that are about to be created may be, of those that
    were there before the import: what comes of it must not depend on how the file is cut into chunks. Pairs within the
    file are found by the nightly sweep."""
    if not fresh:
        return []
    found = await find_candidates_of_many(session, fresh)
    ids = {one.contact_id for many in found for one in many}
    own = await drafts.created_by(session, import_id, list(ids))
    return [
        Pair(one.contact_id, state["id"], one.match)
        for state, many in zip(fresh, found, strict=True)
        for one in many
        if one.contact_id != state["id"] and one.contact_id not in own
    ]


async def put_aside(session: WriteSession, pairs: Sequence[Pair]) -> None:
    """Let a person decide of each pair."""
    rules = await rules_of(session)
    told = [(one.known, one.fresh, one.match) for one in pairs]
    await queue.put_aside(session, told, origin="import", rules_version=rules.version)
