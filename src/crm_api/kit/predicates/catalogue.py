"""What rules can ask about: sources of facts of a contact and their attributes, which every package declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from crm_api.kit.tables import Sensitivity

Kind = Literal["text", "choice", "boolean", "integer", "decimal", "money", "date", "instant", "uuid", "birthday", "set"]
CONTACT = "contact"
"""Name of the source that is the contact's own row."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One field of a source's rows.

    `sql` is an expression over the row, which stands in it as ``{t}``. Money is in minor units; `currency` is the
    expression of its currency, or ``None`` when it is the organization's. A birthday is text (``1980-05-17``,
    ``--05-17``), a set a JSON array.
    """

    name: str
    kind: Kind
    sql: str
    currency: str | None = None
    default: Any = None
    """What a contact without a row has, where the source has at most one."""
    choices: tuple[str, ...] = ()
    normalize: Callable[[str], str] = str
    """Gives a text the form that it is stored in."""
    sensitivity: Sensitivity = "internal"
    description: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where facts of a contact are: a table with the contact's id in `owner`.

    `many`: any number of rows, asked about through ``related`` with an aggregate. `values`: its rows are the values of
    one field (tags, roles), asked about as that field. Otherwise there is at most one row, whose attributes are fields
    ``<source>.<attribute>`` (those of the contact itself have no prefix).
    """

    name: str
    table: str
    owner: str
    attributes: tuple[Attribute, ...]
    many: bool = False
    values: bool = False
    where: str = ""
    """Which rows there are, over ``{t}``."""
    scope: str = "contacts:read"
    """What a caller needs to ask about it."""
    facts: tuple[str, ...] = ()
    """Names of the facts after which it may answer otherwise."""
    description: str = ""
    by_name: dict[str, Attribute] = field(default_factory=dict, init=False, compare=False, hash=False, repr=False)

    def __post_init__(self) -> None:
        self.by_name.update({one.name: one for one in self.attributes})


class Sources:
    """Every source there is."""

    def __init__(self) -> None:
        self.by_name: dict[str, Source] = {}

    def add(self, *sources: Source) -> None:
        """Declare sources; a name is taken once."""
        for source in sources:
            if source.name in self.by_name:
                raise ValueError(f"the source {source.name} is declared twice")
            self.by_name[source.name] = source

    def with_own(self, attributes: Iterable[Attribute]) -> Sources:
        """These sources, and an organization's own fields among the contact's."""
        found = Sources()
        found.by_name.update(self.by_name)
        contact = self.by_name[CONTACT]
        found.by_name[CONTACT] = Source(
            contact.name,
            contact.table,
            contact.owner,
            (*contact.attributes, *attributes),
            where=contact.where,
            scope=contact.scope,
            facts=contact.facts,
            description=contact.description,
        )
        return found

    def fields(self) -> Mapping[str, tuple[Source, Attribute]]:
        """Every field that a test can name."""
        found: dict[str, tuple[Source, Attribute]] = {}
        for source in self.by_name.values():
            if source.values:
                found[source.name] = (source, source.attributes[0])
            elif not source.many:
                prefix = "" if source.name == CONTACT else f"{source.name}."
                found |= {prefix + one.name: (source, one) for one in source.attributes}
        return found

    def related(self) -> Mapping[str, Source]:
        """Every source that can be asked about through ``related``."""
        return {name: source for name, source in self.by_name.items() if source.many}


SOURCES = Sources()
"""Filled by the registry, once per process."""
