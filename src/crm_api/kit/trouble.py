"""Trouble of the database, in words: what a client is told, and whether the same work may simply be tried again."""

from __future__ import annotations

import re

import asyncpg

from crm_api.kit import problems
from crm_api.kit.log import get_logger

log = get_logger("crm_api.database")


class Away(problems.Unavailable):
    """The database is away or busy. Nothing is wrong with the work itself: it may be tried as often as it takes."""


# What each means while a connection is in use. A plain OSError is not among them: it may be the block's own.
_AWAY = (
    ConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.DatabaseDroppedError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # a primary that became a replica
)
_BUSY = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.InsufficientResourcesError,  # disk, memory, connections
    asyncpg.PostgresSystemError,
    asyncpg.InvalidCachedStatementError,  # a migration changed a table under a prepared statement
)
_IMPOSSIBLE = (
    asyncpg.exceptions._base.DataError,  # refused by the driver, before it was sent
    asyncpg.NumericValueOutOfRangeError,
    asyncpg.CharacterNotInRepertoireError,
    asyncpg.UntranslatableCharacterError,
    asyncpg.InvalidTextRepresentationError,
    asyncpg.DatetimeFieldOverflowError,
)


def in_words(error: BaseException) -> problems.Problem | None:
    """What trouble of the database means to whoever asked; nothing for any other error."""
    if isinstance(error, _IMPOSSIBLE):
        return problems.Invalid("A value is outside what is possible for this resource.", code="value_out_of_range")
    if isinstance(error, (*_AWAY, *_BUSY)):
        log.warning("database_trouble", error=type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
        return Away(f"The database {'is busy' if isinstance(error, _BUSY) else 'went away'}. Send the request again.")
    if isinstance(error, asyncpg.QueryCanceledError):  # by the statement timeout: perhaps it is the work itself
        return problems.Unavailable("The database takes too long for this. Ask for less, or send the request again.")
    return None


REFUSALS = (asyncpg.IntegrityConstraintViolationError, asyncpg.InsufficientPrivilegeError)
_POLICY = re.compile(r"\blimit_([a-z0-9_]+)")
_NO_TEAM = "You belong to no team, so nobody would see the contact you add. Ask an administrator to put you into one."
_NOBODYS = "You see the contacts of your teams only, so a record must name one of them. Send its contact_id."
_ROLES = "A contact with these roles only is seen with the scope contacts:read_sensitive, so adding it needs it too."


def no_team() -> problems.Problem:
    """Why a limited caller without a team of its own cannot add a contact."""
    return problems.Forbidden(_NO_TEAM, code="no_team")


def refused(error: asyncpg.PostgresError) -> Exception:
    """What the refusal of a constraint, or of a caller's limit, means to a client; names of columns only, never
    values. A row that the caller may not see is a row that does not exist."""
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return _beyond_limit(error)
    name = error.constraint_name or ""
    column = name.partition("__organization_id_")[2]
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return problems.NotFound.reference(column)
    if isinstance(error, asyncpg.UniqueViolationError):
        what = (error.table_name or "resource").rstrip("s").replace("_", " ")
        return problems.Conflict(
            f"There is already such a {what}; read it and change it instead.", code="already_exists"
        )
    return problems.Invalid("A value is outside what is possible for this resource.", code="constraint_violated")


def _beyond_limit(error: asyncpg.InsufficientPrivilegeError) -> Exception:
    found = _POLICY.search(str(error))
    if found is None:
        return error
    said = found.group(1)
    if said == "_nobodys":
        return problems.Invalid.at("/contact_id", "contact_needed", _NOBODYS)
    if said == "_roles":
        return problems.Forbidden(_ROLES, code="missing_scope", scope="contacts:read_sensitive")
    return problems.NotFound.reference(said.strip("_"))
