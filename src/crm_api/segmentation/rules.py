"""Rules as segments keep them: read once, kept in this process by version."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.auth.scopes import ALL_SCOPES
from crm_api.contacts.custom_fields.asking import own_attributes
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, prepare
from crm_api.kit.predicates.catalogue import CONTACT, SOURCES, Source, Sources
from crm_api.kit.predicates.compiling import Moment
from crm_api.kit.predicates.nodes import Node
from crm_api.kit.predicates.parsing import parse
from crm_api.kit.problems import Invalid

_MOST_KEPT = 5_000
_kept: OrderedDict[tuple[UUID, UUID, int], Node] = OrderedDict()
_FISCAL = prepare(text("SELECT fiscal_year_start_month FROM organizations WHERE id = :organization_id"))


async def catalogue(session: ReadSession) -> Sources:
    """What rules of this organization can ask about, its own fields included."""
    return SOURCES.with_own(await own_attributes(session))


def contact_source(sources: Sources) -> Source:
    """The source that is the contact's own row."""
    return sources.by_name[CONTACT]


async def moment_of(session: ReadSession) -> Moment:
    """Now, as rules of this organization mean it."""
    tenant = session.tenant
    month = await session.fetch_val(_FISCAL)
    return Moment(clock.local_date(session.now, tenant.timezone), tenant.timezone, int(month or 1))


async def read_rule(
    session: ReadSession, raw: Mapping[str, Any], *, pointer: str = "/rule", scopes: Collection[str] | None = None
) -> tuple[Node, Sources]:
    """A rule as a client sent it, with its rights; `Invalid` says what is wrong with it."""
    sources = await catalogue(session)
    allowed = session.actor.scopes if scopes is None else scopes
    node = parse(raw, sources, scopes=allowed, currency=session.tenant.currency, pointer=pointer)
    return node, sources


def known_rule(session: ReadSession, segment_id: UUID, version: int) -> Node | None:
    """A segment's rule, where this process has read it."""
    key = (session.organization_id, segment_id, version)
    if (node := _kept.get(key)) is not None:
        _kept.move_to_end(key)
    return node


def stored_rule(
    session: ReadSession, segment_id: UUID, version: int, raw: Mapping[str, Any], sources: Sources
) -> Node | None:
    """A segment's rule; ``None`` where it cannot be read any more (a field it asks about is gone)."""
    if (node := known_rule(session, segment_id, version)) is not None:
        return node
    try:
        node = parse(raw, sources, scopes=ALL_SCOPES, currency=session.tenant.currency)
    except Invalid:
        return None
    _kept[session.organization_id, segment_id, version] = node
    if len(_kept) > _MOST_KEPT:
        _kept.popitem(last=False)
    return node
