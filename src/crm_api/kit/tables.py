"""How tables are declared: one metadata, tenant tables with composite keys, tags that say how private a column is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem

from crm_api.kit.limits import MADE_UNDER, RowLimit
from crm_api.kit.personal import Personal

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s__%(column_0_N_name)s",
        "uq": "uq_%(table_name)s__%(column_0_N_name)s",
        "ck": "ck_%(table_name)s__%(constraint_name)s",
        "fk": "fk_%(table_name)s__%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Sensitivity = Literal["public", "internal", "donor_sensitive", "beneficiary_sensitive", "secret"]
Privilege = Literal["SELECT", "INSERT", "UPDATE", "DELETE"]
ALL: tuple[Privilege, ...] = ("SELECT", "INSERT", "UPDATE", "DELETE")
APPEND_ONLY: tuple[Privilege, ...] = ("SELECT", "INSERT")


def _column(name: str, kind: Any, *, null: bool, tag: Sensitivity, default: str | None = None) -> Column[Any]:
    server_default = None if default is None else text(default)
    return Column(name, kind, nullable=null, server_default=server_default, info={"sensitivity": tag})


def string(
    name: str, *, null: bool = False, tag: Sensitivity = "internal", default: str | None = None, binary: bool = False
) -> Column[Any]:
    """Text. `binary` gives COLLATE "C": byte order, for keys that are searched by range."""
    return _column(name, Text(collation="C") if binary else Text(), null=null, tag=tag, default=default)


def uid(name: str, *, null: bool = False) -> Column[Any]:
    """A UUID."""
    return _column(name, Uuid(), null=null, tag="internal")


def instant(name: str, *, null: bool = False) -> Column[Any]:
    """A moment (timestamptz)."""
    return _column(name, DateTime(timezone=True), null=null, tag="internal")


def day(name: str, *, null: bool = False, tag: Sensitivity = "internal") -> Column[Any]:
    """A calendar date."""
    return _column(name, Date(), null=null, tag=tag)


def minor(name: str, *, null: bool = False, default: str | None = None) -> Column[Any]:
    """Money in integer minor units."""
    return _column(name, BigInteger(), null=null, tag="donor_sensitive", default=default)


def rate(name: str, *, null: bool = False) -> Column[Any]:
    """An exchange rate: exact decimal, ten digits after the point."""
    return _column(name, Numeric(20, 10), null=null, tag="internal")


def number(name: str, *, null: bool = False, default: str | None = None, big: bool = False) -> Column[Any]:
    """A whole number."""
    return _column(name, BigInteger() if big else Integer(), null=null, tag="internal", default=default)


def flag(name: str, *, default: bool = False) -> Column[Any]:
    """True or false."""
    return _column(name, Boolean(), null=False, tag="internal", default="true" if default else "false")


def document(
    name: str, *, null: bool = False, tag: Sensitivity = "internal", default: str | None = None
) -> Column[Any]:
    """JSON."""
    return _column(name, JSONB(), null=null, tag=tag, default=default)


def made_under() -> Column[Any]:
    """Under which limit of its caller a piece of work was asked for (`kit.limits`); null: under none. The database
    fills it in: whoever looks at the row later, and does the work, is held to it."""
    return document("made_under", null=True, default=MADE_UNDER)


def one_of(column: str, values: tuple[str, ...], *, null: bool = False) -> CheckConstraint:
    """A CHECK that a text column holds one of the values (never a native enum: its ``=`` is not leakproof)."""
    allowed = ", ".join(f"'{value}'" for value in values)
    clause = f"{column} IN ({allowed})"
    return CheckConstraint(f"{column} IS NULL OR {clause}" if null else clause, name=column)


def refers(
    column: str, target: str, *, on_delete: str | None = None, target_column: str = "id"
) -> ForeignKeyConstraint:
    """A composite foreign key within the tenant: it can never point at another organization's row."""
    return ForeignKeyConstraint(
        ["organization_id", column],
        [f"{target}.organization_id", f"{target}.{target_column}"],
        ondelete=on_delete,
    )


def tenant_table(
    name: str,
    *items: SchemaItem,
    key: tuple[str, ...] = ("id",),
    privileges: tuple[Privilege, ...] = ALL,
    repointable: tuple[str, ...] = (),
    personal: Sequence[Personal] | Personal = (),
    limit: RowLimit | None = None,
) -> Table:
    """A table whose every row belongs to one organization.

    Gets ``organization_id``, an ``id`` where `key` is the default, the composite primary key and the foreign key to the
    organization. `privileges` are what the service role may do with it; evidence tables are APPEND_ONLY. Of such a
    table the service may still change the `repointable` columns, which name the contact (a merge moves them), and what
    `personal` says is anonymised; the migration grants UPDATE of just these. `personal`: whose data it holds and what
    an erasure does with it (`kit.personal`).
    `limit`: what its foreign keys do not say of who may see a row where teams limit callers (`kit.limits`).
    """
    columns: list[SchemaItem] = [uid("organization_id")]
    if key == ("id",):
        columns.append(uid("id"))
    return Table(
        name,
        metadata,
        *columns,
        *items,
        PrimaryKeyConstraint("organization_id", *key),
        ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
        info={
            "tenant": True,
            "privileges": privileges,
            "repointable": repointable,
            "limit": limit,
            "personal": (personal,) if isinstance(personal, Personal) else tuple(personal),
        },
    )
