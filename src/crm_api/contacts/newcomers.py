"""People who come by themselves, over a form, a call or a bot: the contact that they are, found or made.

Who brings an id or a messenger handle is that contact. A phone number or an e-mail address is shared in families, so it
only counts where the names do not speak against it: two people in one record is the worst mistake, two records of one
person are found by the sweep for duplicates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.contacts import repository, roles
from crm_api.contacts.custom_fields import service as custom_fields
from crm_api.contacts.custom_fields.values import READ_SENSITIVE, from_text
from crm_api.contacts.keys import fold_email
from crm_api.contacts.parts import SourceRead
from crm_api.contacts.schemas import ContactCreate
from crm_api.contacts.service import add_contact, change_contact, lock_survivor
from crm_api.kit import clock
from crm_api.kit.db import Row, RowLike, WriteSession, prepare
from crm_api.kit.names import fold, split_name
from crm_api.kit.scripts import forms, name_words
from crm_api.organizations.service import contact_roles

_MOST = {"emails": 20, "phones": 20, "handles": 20, "tags": 100}
_NAMES = ("given_name", "middle_name", "family_name", "organization_name")
_SENSITIVE = frozenset({READ_SENSITIVE})
_FIND = prepare(
    text(
        """
        SELECT c.*, k.kind AS found_by FROM unnest(CAST(:kinds AS text[]), CAST(:values AS text[])) AS w(kind, value)
        JOIN contact_keys k ON k.organization_id = :organization_id
            AND k.kind = w.kind COLLATE "C" AND k.value = w.value COLLATE "C"
        JOIN contacts c ON c.organization_id = :organization_id AND c.id = k.contact_id
        WHERE c.merged_into IS NULL AND c.erased_at IS NULL
        ORDER BY c.id LIMIT 100
        """
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """Who came, as far as is known: every value clean and in the form in which it is stored."""

    given_name: str | None = None
    middle_name: str | None = None
    family_name: str | None = None
    organization_name: str | None = None
    email: str | None = None
    phone: str | None = None
    """E.164."""
    handle: tuple[str, str] | None = None
    """Network and handle."""
    username: str | None = None
    """Another handle in the same network, which people know each other by."""
    external_id: tuple[str, str] | None = None
    language: str | None = None
    city: str | None = None
    country: str | None = None
    custom: Mapping[str, str] = field(default_factory=dict)
    """As text; what does not fit its definition is left out."""
    tags: Sequence[str] = ()
    roles: Sequence[str] = ()
    source: Mapping[str, str] = field(default_factory=dict)
    """First touch, of a new contact: channel, referrer, utm_…"""

    @property
    def keys(self) -> list[tuple[str, str]]:
        """The keys to be found by, strongest first."""
        found = []
        if self.external_id:
            found.append(("external", f"{self.external_id[1]} {self.external_id[0]}"))
        if self.handle:
            found += [("handle", f"{self.handle[0]}:{fold(self.handle[1])}")]
            found += [("handle", f"{self.handle[0]}:{fold(self.username)}")] if self.username else []
        if self.phone:
            found.append(("phone", self.phone))
        if self.email:
            found.append(("email", fold_email(self.email)))
        return [(kind, value[:200]) for kind, value in found]

    @property
    def has_name(self) -> bool:
        """Whether anything of a name is known."""
        return any(getattr(self, name) for name in _NAMES)


async def lock(session: WriteSession, newcomer: Newcomer) -> None:
    """Wait for others who are about the same person at this moment; always in the same order."""
    for kind, value in newcomer.keys:
        name = f"external:{':'.join(newcomer.external_id or ())}" if kind == "external" else f"{kind}:{value}"
        await repository.lock_identity(session, name)


async def find(session: WriteSession, newcomer: Newcomer) -> UUID | None:
    """The contact that the newcomer is, where there is one. Call `lock` before."""
    keys = newcomer.keys
    if not keys:
        return None
    rows = await session.fetch(_FIND, kinds=[kind for kind, _ in keys], values=[value for _, value in keys])
    chosen = choose(newcomer, rows)
    return None if chosen is None else UUID(str(chosen["id"]))


def choose(newcomer: Newcomer, rows: Sequence[RowLike]) -> RowLike | None:
    """Of contacts with a key of the newcomer's the one who they are; the oldest where several are as likely."""
    own = {"system": newcomer.external_id[0], "id": newcomer.external_id[1]} if newcomer.external_id else None
    for row in rows:
        if row["found_by"] == "external" and own in row["external_ids"]:
            return row
    for row in rows:
        if row["found_by"] == "handle":
            return row
    words = _words([{name: getattr(newcomer, name) for name in _NAMES}])
    alike = [row for row in rows if row["found_by"] in {"phone", "email"} and _agree(words, row)]
    count = {row["id"]: sum(other["id"] == row["id"] for other in alike) for row in alike}
    return max(alike, key=lambda row: (count[row["id"]], -alike.index(row)), default=None)


def _words(names: Iterable[Mapping[str, Any] | RowLike]) -> list[frozenset[str]]:
    text = " ".join(str(one[name]) for one in names for name in _NAMES if one[name])
    return [frozenset(forms(word)) for word in name_words(text)]


def _agree(words: list[frozenset[str]], row: RowLike) -> bool:
    """Whether one name may be the other: every word of the shorter one stands in the longer, in any script. A name
    that is not known contradicts none."""
    theirs = _words([row, *row["other_names"]])
    fewer, more = sorted((words, theirs), key=len)
    return all(any(word & other for other in more) for word in fewer)


async def welcome(
    session: WriteSession, newcomer: Newcomer, *, contact_id: UUID | None = None, reach: str | None = None
) -> tuple[UUID, bool]:
    """The contact, completed with what is told, and whether it is new. Call `lock` before.

    `contact_id` names it for certain: an id or a handle that somebody else has is theirs from now on. What a contact
    has stays; blanks are filled, addresses and tags are added. `reach` is the status of the handle.
    """
    row = None
    if contact_id is not None:
        row = await _living(session, contact_id)
    if row is None and (found := await find(session, newcomer)) is not None:
        row = await _living(session, found)
    elif row is not None:
        await _take_over(session, newcomer, row)
    allowed = await contact_roles(session) if newcomer.roles else ()
    given = [role for role in newcomer.roles if role in allowed]
    if row is None:
        return await _add(session, newcomer, given, reach), True
    changes = _filled(session, newcomer, row, given, reach)
    custom = await _custom(session, newcomer, {**row["custom"], **row["custom_sensitive"]})
    if custom:
        accepted = await custom_fields.accept_changes(session, row, custom, scopes=_SENSITIVE)
        changes |= {"custom": accepted.custom, "custom_sensitive": accepted.custom_sensitive}
    await change_contact(session, row, changes)
    await session.flush()
    return UUID(str(row["id"])), False


async def set_reach(session: WriteSession, contact_id: UUID, handle: tuple[str, str], status: str) -> None:
    """Note what is known of one handle of a contact (``valid``, ``opted_out``)."""
    row = await _living(session, contact_id)
    if row is not None:
        handles = [{**item, "status": status} if _is(item, handle) else item for item in row["handles"]]
        await change_contact(session, row, {"handles": handles})


async def _living(session: WriteSession, contact_id: UUID) -> Row | None:
    row = await lock_survivor(session, contact_id)
    return None if row is None or row["erased_at"] is not None else row


async def _take_over(session: WriteSession, newcomer: Newcomer, row: Row) -> None:
    """Take the newcomer's id and handle from whoever else has them."""
    keys = [(kind, value) for kind, value in newcomer.keys if kind in {"external", "handle"}]
    if newcomer.username:  # known by its name alone it may be somebody's own entry
        keys = [one for one in keys if one[1] != f"{(newcomer.handle or ('',))[0]}:{fold(newcomer.username)}"]
    rows = await session.fetch(_FIND, kinds=[kind for kind, _ in keys], values=[value for _, value in keys])
    for other_id in sorted({UUID(str(one["id"])) for one in rows} - {UUID(str(row["id"]))}):
        other = await _living(session, other_id)
        if other is not None:
            own = dict(zip(("system", "id"), newcomer.external_id or ("", ""), strict=True))
            kept = {
                "external_ids": [item for item in other["external_ids"] if item != own],
                "handles": [item for item in other["handles"] if not _is(item, newcomer.handle)],
            }
            await change_contact(session, other, _with_primary(kept))


def _with_primary(changes: dict[str, Any]) -> dict[str, Any]:
    handles = [dict(item) for item in changes["handles"]]
    if handles and not any(item["is_primary"] for item in handles):
        handles[0]["is_primary"] = True
    return {**changes, "handles": handles}


def _is(item: Mapping[str, Any], handle: tuple[str, str] | None) -> bool:
    return handle is not None and (item["network"], fold(item["handle"])) == (handle[0], fold(handle[1]))


async def _custom(session: WriteSession, newcomer: Newcomer, held: Mapping[str, Any]) -> dict[str, Any]:
    """The custom values that the contact does not have yet and that fit their definitions."""
    wanted = {key: value for key, value in newcomer.custom.items() if key not in held}
    if not wanted:
        return {}
    found = {}
    known = await custom_fields.definitions(session)
    for key, value in wanted.items():
        definition = known.get(key)
        if definition is None or not definition.active or definition.type == "reference":
            continue
        try:
            found[key] = from_text(definition, value)
        except ValueError:
            continue
    return found


async def _add(session: WriteSession, newcomer: Newcomer, given: list[str], reach: str | None) -> UUID:
    accepted = await custom_fields.accept_new(
        session, await _custom(session, newcomer, {}), complete=False, scopes=_SENSITIVE
    )
    blank = ContactCreate.model_construct(kind="person").stored()
    blank = {name: value for name, value in blank.items() if name not in {"roles", "role_details", "custom"}}
    person = any((newcomer.given_name, newcomer.middle_name, newcomer.family_name))
    empty = {**blank, "roles": [], "role_details": []}
    values = {
        **empty,
        **_filled(session, newcomer, empty, given, reach),
        "kind": "organization" if newcomer.organization_name and not person else "person",
        "custom": accepted.custom,
        "custom_sensitive": accepted.custom_sensitive,
        "source": {**dict.fromkeys(SourceRead.model_fields), **newcomer.source},
    }
    added = add_contact(session, values, source="intake")
    await session.flush()  # the rest of this transaction refers to it
    return UUID(str(added["id"]))


def _filled(
    session: WriteSession, newcomer: Newcomer, row: RowLike, given: list[str], reach: str | None
) -> dict[str, Any]:
    """The columns that the newcomer fills or adds to."""
    changes: dict[str, Any] = {}
    if not any(row[name] for name in _NAMES):
        changes |= {name: getattr(newcomer, name) for name in _NAMES}
    if newcomer.language and not row["language"]:
        changes["language"] = newcomer.language
    if (newcomer.city or newcomer.country) and not row["addresses"]:
        blank = dict.fromkeys(("line1", "line2", "region", "postal_code", "label", "season_from", "season_until"))
        place = {"city": newcomer.city, "country": newcomer.country}
        changes["addresses"] = [{**blank, **place, "is_primary": True, "status": "unverified"}]
    if newcomer.email:
        changes["emails"] = _with(row["emails"], {"address": newcomer.email}, "emails", fold_email)
    if newcomer.phone:
        changes["phones"] = _with(row["phones"], {"number": newcomer.phone}, "phones", str)
    if newcomer.handle:
        changes["handles"] = _handles(row["handles"], newcomer, reach)
    if newcomer.external_id:
        own = {"system": newcomer.external_id[0], "id": newcomer.external_id[1]}
        changes["external_ids"] = [*row["external_ids"], *([] if own in row["external_ids"] else [own])]
    if newcomer.tags:
        changes["tags"] = list(dict.fromkeys([*row["tags"], *newcomer.tags]))[: _MOST["tags"]]
    if set(given) - set(row["roles"]):
        today = clock.local_date(session.now, session.tenant.timezone).isoformat()
        changes["role_details"] = roles.from_names([*row["roles"], *given], row["role_details"], today)
        changes["roles"] = roles.current(changes["role_details"], today)
    return changes


def _with(items: Sequence[Mapping[str, Any]], new: dict[str, str], part: str, same: Any) -> list[dict[str, Any]]:
    ((name, value),) = new.items()
    kept = [dict(item) for item in items]
    if len(kept) < _MOST[part] and same(value) not in {same(item[name]) for item in kept}:
        kept.append({**new, "label": None, "is_primary": not kept, "status": "valid"})
    return kept


def _handles(items: Sequence[Mapping[str, Any]], newcomer: Newcomer, reach: str | None) -> list[dict[str, Any]]:
    assert newcomer.handle is not None
    network, handle = newcomer.handle
    label = f"@{newcomer.username}" if newcomer.username and len(newcomer.username) < 40 else None
    kept = [
        {**item, "status": reach or item["status"], "label": item["label"] or label}
        if _is(item, newcomer.handle)
        else dict(item)
        for item in items
    ]
    if len(kept) < _MOST["handles"] and not any(_is(item, newcomer.handle) for item in kept):
        primary = not any(item["is_primary"] for item in kept)
        new = {"network": network, "handle": handle, "label": label, "is_primary": primary, "status": reach or "valid"}
        kept.append(new)
    return kept


def person_name(name: str | None) -> tuple[str | None, str | None]:
    """Given and family name of a whole name, as people enter it: the last word is the family name."""
    return split_name(name) if name else (None, None)
