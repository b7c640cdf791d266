"""Rows that only some callers see: those of the contacts their teams look after, and what hangs on these contacts.

A limited caller's transaction runs as the role `ROLE`, and restrictive row-level policies hold that role alone. Nobody
else's statements know of them: not one plan, index or microsecond differs. What the caller may see stands in settings
of its transaction. The policies are made from the metadata: the root is `contacts`, and a row is seen by whoever sees
every row of a limited table that its foreign keys name. A new table is limited by its keys alone; one of which the keys
do not say enough declares a `RowLimit`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from hashlib import md5
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ForeignKeyConstraint, MetaData, Table

ROLE = "crm_limited"
ROOT = "contacts"
ASSIGNMENTS = "contact_teams"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Limit:
    """What a caller may see of contacts. Nothing of it can be widened by the caller."""

    teams: tuple[UUID, ...] | None = None
    """Teams whose contacts are seen, sub-teams included; none: teams do not limit this caller."""
    home: tuple[UUID, ...] = ()
    """Teams the caller belongs to itself: contacts it adds are assigned to them."""
    unassigned: bool = False
    """Whether contacts without a team, and records of nobody in particular, are seen."""
    hidden_roles: tuple[str, ...] = ()
    """A contact that has these roles only is not seen; empty: roles do not limit this caller."""

    def __post_init__(self) -> None:
        if not all(_NAME.fullmatch(role) for role in self.hidden_roles):
            raise ValueError("names of roles hold letters, digits and underscores")

    @classmethod
    def stored(cls, row: Mapping[str, Any] | None) -> Limit | None:
        """The limit under which work was asked for, from its row's ``made_under``."""
        if row is None:
            return None
        teams = None if row["teams"] is None else tuple(map(UUID, row["teams"]))
        return cls(teams, tuple(map(UUID, row["home"])), row["unassigned"], tuple(row["hidden_roles"]))

    @cached_property
    def text(self) -> str:
        """The limit in one form: equal texts see the same rows."""
        shown = {
            "teams": None if self.teams is None else sorted(map(str, self.teams)),
            "home": sorted(map(str, self.home)),
            "unassigned": self.unassigned,
            "hidden_roles": sorted(self.hidden_roles),
        }
        return orjson.dumps(shown).decode()

    @property
    def digest(self) -> str:
        """A short name of the limit, as the database makes it too (`_DIGEST`)."""
        return md5(self.text.encode(), usedforsecurity=False).hexdigest()

    @cached_property
    def entering(self) -> str:
        """SQL that puts the open transaction under the limit, until it ends."""
        teams = "all" if self.teams is None else _array(self.teams)
        settings = {
            "teams": teams,
            "unassigned": "seen" if self.unassigned else "hidden",
            "hidden_roles": orjson.dumps(sorted(self.hidden_roles)).decode(),
            "made_under": self.text,
        }
        said = "; ".join(f"SET LOCAL crm.{name} = '{value}'" for name, value in settings.items())
        return f"{said}; SET LOCAL ROLE {ROLE}"

    @property
    def homeless(self) -> bool:
        """Whether a contact that the caller added would be seen by nobody like it."""
        return self.teams is not None and not self.home and not self.unassigned

    def hides(self, roles: Collection[str]) -> bool:
        """Whether a contact with these roles is one that the caller does not see."""
        return bool(roles) and set(roles) <= set(self.hidden_roles)

    def assigning(self, organization_id: UUID, contact_ids: Sequence[UUID]) -> str:
        """SQL that gives new contacts to the caller's own teams: the one thing written past the limit."""
        return (
            f"SET LOCAL ROLE NONE; INSERT INTO {ASSIGNMENTS} (organization_id, contact_id, team_id, assigned_at) "
            f"SELECT '{organization_id}'::uuid, c, t, now() FROM unnest('{_array(contact_ids)}'::uuid[]) c, "
            f"unnest('{_array(self.home)}'::uuid[]) t; SET LOCAL ROLE {ROLE}"
        )


LEAVING = "SET LOCAL ROLE NONE"
RETURNING = f"SET LOCAL ROLE {ROLE}"
FORGETTING = f"{LEAVING}; SET LOCAL crm.made_under = ''; SET LOCAL crm.teams = ''"
"""The transaction sees everything again; the first keeps the limit for `RETURNING`."""


def _array(ids: Sequence[UUID]) -> str:
    return "{" + ",".join(str(UUID(str(one))) for one in ids) + "}"


def in_order(schema: MetaData) -> Mapping[str, int]:
    """Tables by name → their place: what is referred to comes first."""
    return _in_order(schema, len(schema.tables))


@lru_cache(maxsize=2)
def _in_order(schema: MetaData, _tables: int) -> Mapping[str, int]:
    return {table.name: place for place, table in enumerate(schema.sorted_tables)}


# Declarations


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLimit:
    """What the foreign keys of a table do not say of who may see its rows."""

    open: str = ""
    """Why everybody sees all rows, although a key leads to contacts."""
    seen_through: str = ""
    """A row is seen by whoever sees any of the rows of this table that name it."""
    where: str = ""
    """A condition in SQL on the row; it holds what is read, not what is written."""
    past: tuple[str, ...] = ()
    """Columns of keys that do not matter."""
    together: tuple[str, ...] = ()
    """Columns of keys whose row is written by the same statement as this one: they hold what is read only."""
    nobodys: bool = False
    """Rows whose keys are all empty are everybody's; else they are seen like contacts without a team."""
    privileges: tuple[str, ...] | None = None
    """What a limited caller may do with the table, where it is less than others may."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One restrictive policy."""

    name: str
    using: str
    check: str


@dataclass(frozen=True, slots=True)
class Rows:
    """How a table's rows are limited."""

    policies: tuple[Policy, ...] = ()
    open: str = ""
    keys: frozenset[str] = field(default_factory=frozenset)
    """Columns of foreign keys that lead to contacts."""


MADE_UNDER = "NULLIF(current_setting('crm.made_under', true), '')::jsonb"
"""The default of a ``made_under`` column: under which limit the row was written; null: none."""
_TEAMS = (
    "CAST((SELECT CASE WHEN current_setting('crm.teams', true) LIKE '{%' "
    "THEN CAST(current_setting('crm.teams', true) AS uuid[]) END) AS uuid[])"
)
_ALL_TEAMS = "(SELECT coalesce(current_setting('crm.teams', true) = 'all', false))"
_UNASSIGNED = "(SELECT coalesce(current_setting('crm.unassigned', true) = 'seen', false))"
_HIDDEN = "(SELECT CAST(NULLIF(current_setting('crm.hidden_roles', true), '') AS jsonb))"
_DIGEST = "(SELECT 'limit:' || md5(current_setting('crm.made_under', true)))"
_OWN = (
    f"{ASSIGNMENTS} l WHERE l.organization_id = contacts.organization_id "
    "AND l.contact_id = CASE WHEN contacts.merged_into IS NULL THEN contacts.id ELSE contacts.merged_into END"
)
_ROOT = (
    Policy(
        "limit__teams",
        f"{_ALL_TEAMS} OR EXISTS (SELECT 1 FROM {_OWN} AND l.team_id = ANY ({_TEAMS})) "
        f"OR ({_UNASSIGNED} AND NOT EXISTS (SELECT 1 FROM {_OWN}))",
        "true",
    ),
    Policy(
        "limit__roles",
        f"coalesce(NOT (contacts.roles <@ {_HIDDEN} AND contacts.roles <> '[]'), false)",
        f"coalesce(NOT (contacts.roles <@ {_HIDDEN} AND contacts.roles <> '[]'), false)",
    ),
)
"""A retired contact is seen by whoever sees its survivor. A setting that is missing shows nothing. (CASE is leakproof,
so it uses the index; coalesce is not.)"""
IDEMPOTENCY = f"principal = {_DIGEST}"
"""The condition on stored answers: a limited caller is given those of callers with the same limit."""


def catalogue(schema: MetaData) -> dict[str, Rows]:
    """How every table is limited that is, and why those that lead to contacts are not that are not."""
    limited = _limited(schema)
    found: dict[str, Rows] = {}
    for table in schema.tables.values():
        said = _said(table)
        leading = [key for key in _keys(table) if key.referred_table.name in limited]
        columns = frozenset(_column(key) for key in leading)
        if said.open:
            found[table.name] = Rows(open=said.open, keys=columns)
        elif table.name in limited:
            found[table.name] = Rows(tuple(_policies(schema, table, leading)), keys=columns)
    return found


def _said(table: Table) -> RowLimit:
    return table.info.get("limit") or RowLimit()


def _limited(schema: MetaData) -> set[str]:
    """Names of the limited tables."""
    found = {ROOT}
    while True:
        more = {
            table.name
            for table in schema.tables.values()
            if not (said := _said(table)).open
            and (
                said.where
                or said.seen_through
                or "made_under" in table.c
                or any(key.referred_table.name in found for key in _keys(table) if _column(key) not in said.past)
            )
        }
        if more <= found:
            return found
        found |= more


def _keys(table: Table) -> list[ForeignKeyConstraint]:
    """Foreign keys to other tables of the tenant, in a fixed order."""
    keys = [
        key for key in table.foreign_key_constraints if key.referred_table.name not in {"organizations", table.name}
    ]
    return sorted(keys, key=_column)


def _column(key: ForeignKeyConstraint) -> str:
    return [str(column.name) for column in key.columns if column.name != "organization_id"][-1]


def _policies(schema: MetaData, table: Table, leading: Sequence[ForeignKeyConstraint]) -> Iterator[Policy]:
    if table.name == ROOT:
        yield from _ROOT
        return
    said = _said(table)
    if said.where:
        yield Policy("limit__where", said.where.format(**_audited(schema)) if "{" in said.where else said.where, "true")
    if "made_under" in table.c:
        yield Policy("limit__made_under", f"made_under = {_current()}", f"made_under = {_current()}")
    if said.seen_through:
        yield Policy("limit__through", _seen_through(schema, table, said.seen_through), "true")
    held = [key for key in leading if _column(key) not in said.past]
    for key in held:
        seen = _sees(table, key)
        yield Policy(f"limit_{_column(key)}", seen, "true" if _column(key) in said.together else seen)
    if held and not said.nobodys and all(table.c[_column(key)].nullable for key in held):
        named = " OR ".join(f"{table.name}.{_column(key)} IS NOT NULL" for key in held)
        yield Policy("limit__nobodys", f"{named} OR {_UNASSIGNED}", f"{named} OR {_UNASSIGNED}")


def _current() -> str:
    return f"(SELECT {MADE_UNDER})"


def _sees(table: Table, key: ForeignKeyConstraint) -> str:
    """Whether the row that a key names is seen. OFFSET 0 keeps it a look-up for the row at hand: without it the planner
    may read all contacts that the caller sees into a hash first, which a page of fifty gifts is not worth."""
    target = key.referred_table.name
    same = " AND ".join(f"p.{one.column.name} = {table.name}.{one.parent.name}" for one in key.elements)
    seen = f"EXISTS (SELECT 1 FROM {target} p WHERE {same} OFFSET 0)"
    column = table.c[_column(key)]
    return f"{table.name}.{column.name} IS NULL OR {seen}" if column.nullable else seen


def _seen_through(schema: MetaData, table: Table, through: str) -> str:
    (key,) = [one for one in _keys(schema.tables[through]) if one.referred_table is table]
    same = " AND ".join(f"m.{one.parent.name} = {table.name}.{one.column.name}" for one in key.elements)
    return f"EXISTS (SELECT 1 FROM {through} m WHERE {same} OFFSET 0)"


_SPOKEN_OF = {"donation": "gifts"}
"""What the audit calls things whose table has another name."""


def _audited(schema: MetaData) -> dict[str, str]:
    """``{things}``: for each kind of thing that the audit names by its id, whether the caller sees it."""
    limited = _limited(schema)
    names = {_singular(name): name for name in schema.tables} | _SPOKEN_OF
    parts, free = [], []
    for spoken, name in sorted(names.items()):
        if name not in limited or name == "audit_events":
            free += [f"'{spoken}'"] + ([f"'{name}'"] if name != spoken else [])
        elif "id" in schema.tables[name].c:
            seen = (
                f"EXISTS (SELECT 1 FROM {name} p WHERE p.organization_id = audit_events.organization_id "
                "AND p.id = CAST(resource_id AS uuid))"
            )
            parts.append(f"WHEN '{spoken}' THEN {seen}")
    return {"things": f"CASE resource {' '.join(parts)} ELSE resource = ANY (ARRAY[{', '.join(free)}]) END"}


def _singular(name: str) -> str:
    return f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("es" if name.endswith("ches") else "s")
