"""Gifts as a kind of import: years of history, matched by their ids elsewhere, written a chunk at a time.

What a row says of a payment becomes entries, as for any other gift; nobody is thanked, and receipts are issued only
where the options ask for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from crm_api.contacts import bulk
from crm_api.donations.gifts import loading
from crm_api.donations.gifts.attribution import appeals_named, attributed
from crm_api.donations.gifts.balances import Entry
from crm_api.donations.receipts.facts import ReceiptsWanted
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession
from crm_api.outbox.service import emit
from crm_api.transfers.imports import drafts, gift_headers, gift_people, gift_undo
from crm_api.transfers.imports.gift_changes import change_of, journal_of
from crm_api.transfers.imports.gift_money import ARRIVED, Refused, Unreachable, opened_of
from crm_api.transfers.imports.gift_people import Donors, Nobody
from crm_api.transfers.imports.gift_rows import Facts, GiftParser
from crm_api.transfers.imports.journal import row_id
from crm_api.transfers.imports.kinds import (
    CellError,
    Chunk,
    Journal,
    Options,
    ParsedRow,
    ParseRow,
    RowResult,
    Target,
)

_FARTHEST = timedelta(days=366)
_RECEIPTS_AT_ONCE = 200
_WORDS = {
    "unknown_gift": "There is no gift with this id. Leave the id out to record a new one.",
    "ids_disagree": "The ids of this row belong to different gifts. Correct them, or import them one by one.",
    "external_id_repeated": "An earlier row of this file has the same id. One gift is one row: sum them up, or give "
    "each an id of its own.",
    "external_id_taken": "A gift with this external id is there already, and options.on_match is create.",
    "no_amount": "A new gift needs an amount.",
    "no_date": "A new gift needs gift_date.",
    "in_future": "A gift cannot be received more than a year from now.",
    "no_refunded_amount": "A partially refunded gift needs refunded_amount, above zero and below the amount.",
    "unknown_fund": "There is no fund with this code. Add it first, or correct the cell.",
    "unknown_campaign": "There is no campaign with this code. Add it first, or correct the cell.",
    "anonymous_unseen": "A gift of nobody is not for you to see, so you cannot record one.",
    "money_arrived": "The money of this gift has arrived, and its status cannot go back. Refund it, or leave it as it "
    "is.",
    "status_not_reachable": "What is known of this gift's payment does not lead to what the row says of it. Correct it "
    "by hand.",
    "fee_of_provider": "The provider says what it kept of this gift; leave the fee as it is.",
    "refund_not_ours": "This gift was refunded by hand or at its provider. Correct it there.",
    "dispute_not_ours": "This gift was disputed at its provider. Correct it there.",
    "currency_mismatch": "The gift is in another currency. Take it back, and record it anew.",
    "correct_at_provider": "The provider says how much this gift is, when it came and what became of it: leave that as "
    "it is.",
    "gift_is_split": "This gift is split over funds. Change its allocations by PATCH /v1/donations/{id}.",
}


@dataclass(slots=True)
class _Known:
    """What a chunk's rows refer to."""

    donors: Donors
    purposes: Mapping[tuple[str, str], UUID]
    appeals: Sequence[RowLike]
    ids: Mapping[tuple[str, str], UUID]
    """Gifts by external id, and by ("", id of the payment)."""
    gifts: Mapping[UUID, Row]
    entries: Mapping[UUID, list[Entry]]
    taken: set[tuple[str, str]]
    """External ids that earlier rows of the file have."""
    own: set[UUID]
    """Gifts that earlier rows of the file have made."""
    new: list[loading.NewGift] = field(default_factory=list)
    changed: dict[UUID, loading.GiftChange] = field(default_factory=dict)


class GiftsKind:
    """`ImportKind` of gifts."""

    name = "donations"
    read_scope, write_scope = "donations:read", "donations:write"
    target_names = gift_headers.NAMES
    parameters: tuple[str, ...] = gift_headers.PARAMETERS

    def targets(self, context: str) -> Sequence[Target]:
        """Every field a column can go to."""
        return gift_headers.TARGETS

    async def context(self, session: ReadSession) -> str:
        """The organization's time zone, which days are days of."""
        return session.tenant.timezone

    def sensitive_targets(self, context: str) -> frozenset[str]:
        """None: nothing of a gift is for those alone who may see beneficiary-sensitive fields."""
        return frozenset()

    def suggest(self, headers: Sequence[str], preset: str | None, context: str) -> dict[str, str | None]:
        """A target, or None, for every header."""
        return gift_headers.suggest(headers, preset)

    def parser(
        self,
        headers: Sequence[str],
        mapping: Mapping[str, str | None],
        options: Options,
        samples: Sequence[Sequence[str]],
        context: str,
    ) -> ParseRow:
        """Reads and checks a row."""
        return GiftParser(headers, mapping, options, samples, context)

    # Writing

    async def write(self, session: WriteSession, chunk: Chunk, rows: Sequence[ParsedRow]) -> list[RowResult]:
        """Match and write a chunk. See `ImportKind.write`."""
        known = await self._known(session, chunk, rows)
        results = [self._row(session, chunk, row, known) for row in rows]
        if chunk.dry_run:
            made = list(known.donors.made.values())
            await drafts.keep(session, chunk.import_id, made, made)
            keys = [(_key(item["system"], item["id"]), one.row["id"])
                    for one in known.new for item in one.row["external_ids"]]  # fmt: skip
            touched = [(_key("", str(one)), one) for one in known.changed]
            await drafts.keep_keys(session, chunk.import_id, [*keys, *touched])
            return results
        if known.donors.made:
            await bulk.insert_many(session, list(known.donors.made.values()))
            await session.flush()
        await loading.insert_many(session, known.new)
        await loading.update_many(session, list(known.changed.values()))
        if chunk.options.receipts:
            _ask_for_receipts(session, known.new)
        return results

    async def _known(self, session: WriteSession, chunk: Chunk, rows: Sequence[ParsedRow]) -> _Known:
        """All that the rows refer to, read by a few statements, and locked where it may be changed."""
        donors = await gift_people.gather(session, chunk, rows)
        external = {pair for row in rows for pair in row.facts.external_ids}
        payments = {row.facts.payment_id for row in rows if row.facts.payment_id is not None}
        ids = await loading.named(session, external, payments)
        wanted = {*ids.values(), *(row.facts.id for row in rows if row.facts.id is not None)}
        gifts = await loading.read_many(session, wanted, lock=not chunk.dry_run)
        updates = gifts.keys() if chunk.options.on_match in {"update", "queue"} else ()
        own: set[UUID] = set()
        taken: set[tuple[str, str]] = set()
        if chunk.dry_run:
            keys = {_key(*pair) for pair in external} | {_key("", str(one)) for one in gifts}
            for _, value in await drafts.known_keys(session, chunk.import_id, keys):
                system, _, rest = value.partition("\n")
                taken.add((system, rest))
        else:
            own = await drafts.written_by(
                session, chunk.import_id, list(gifts), row_id(chunk.import_id, rows[0].number)
            )
        return _Known(
            donors=donors,
            purposes=await loading.purposes(session, _said(rows, "fund"), _said(rows, "campaign")),
            appeals=await appeals_named(session, [], _said(rows, "source_code")),
            ids=ids,
            gifts=gifts,
            entries=await loading.entries_of(session, updates),
            taken=taken,
            own=own,
        )

    def _row(self, session: WriteSession, chunk: Chunk, row: ParsedRow, known: _Known) -> RowResult:
        """Decide what becomes of one row, in memory."""
        before = len(known.donors.made)
        try:
            return self._decided(session, chunk, row, known)
        except Nobody as error:
            wrong = CellError("", str(error), error.detail)
        except (Refused, Unreachable) as error:
            wrong = CellError("", str(error), _WORDS[str(error)])
        for one in list(known.donors.made)[before:]:
            known.donors.forget(one)
        return RowResult(row.number, "failed", errors=[wrong])

    def _decided(self, session: WriteSession, chunk: Chunk, row: ParsedRow, known: _Known) -> RowResult:
        facts: Facts = row.facts
        gift, matched_by = _find(facts, known)
        if gift is not None:
            result = RowResult(row.number, "skipped", matched_by=matched_by, record_id=gift["id"])
            if chunk.options.on_match == "skip":
                result.reason = "matched"
                return result
            if chunk.options.on_match == "create":
                raise Refused("external_id_taken")
        said = _purposed(row.values, known)
        received = said.get("received")
        if received is not None and received.at > session.now + _FARTHEST:
            raise Refused("in_future")
        if gift is None:
            return self._create(session, row, known, said, told=chunk.dry_run)
        donor, made = _donor(row, known, chunk, arrives=gift["status"] in ARRIVED)
        tag = f"{chunk.import_id}:{row.number}"
        change = change_of(session, gift, known.entries[gift["id"]], said, facts, donor, tag)
        fresh = [pair for pair in facts.external_ids if pair not in known.ids]
        change.external_ids = fresh
        if not (change.added or change.changes or fresh):
            result.reason = "unchanged"
            return result
        known.changed[gift["id"]] = change
        known.taken.add(("", str(gift["id"])))
        known.taken.update(facts.external_ids)
        result.outcome, result.changes, result.made = "updated", journal_of(change, said), made
        result.record_version = gift["version"] + 1
        return result

    def _create(
        self, session: WriteSession, row: ParsedRow, known: _Known, said: Mapping[str, Any], *, told: bool
    ) -> RowResult:
        facts: Facts = row.facts
        opened = facts.opened or opened_of(said, facts.external_ids)  # which says again why it could not be
        gift = opened.gift
        contact_id, made = _donor(row, known, None, arrives=gift["status"] in ARRIVED)
        if contact_id is None and session.limit is not None:
            raise Refused("anonymous_unseen")
        gift["contact_id"] = contact_id
        gift["fund_id"] = said.get("fund_id")
        gift.update(attributed(said, known.appeals))
        credits = _credits(row, known, contact_id, made)
        known.new.append(loading.NewGift(gift, opened.entries, credits))
        known.taken.update(facts.external_ids)
        result = RowResult(row.number, "created", record_id=gift["id"], record_version=1, made=made)
        if told:  # what is created is taken back by removing it
            result.changes = {name: [None, gift[name]] for name in _SHOWN if gift[name] not in (None, [], False)}
        return result

    async def finished(self, session: WriteSession, import_id: UUID) -> None:
        """One fact for all gifts, and one for the contacts that were made for them."""
        loading.tell(session, f"import:{import_id}")
        bulk.tell(session, f"import:{import_id}")

    async def undo(self, session: WriteSession, import_id: UUID, rows: Sequence[Journal]) -> dict[int, str]:
        """Take rows back. See `gift_undo`."""
        return await gift_undo.undo(session, import_id, rows)


_SHOWN = (
    "contact_id", "amount", "currency", "status", "refunded", "fee", "method", "is_anonymous", "received_at",
    "gift_date", "fund_id", "campaign_id", "appeal_id", "source_code", "channel", "note", "external_ids",
)  # fmt: skip


def _ask_for_receipts(session: WriteSession, new: Sequence[loading.NewGift]) -> None:
    ids = [one.row["id"] for one in new if one.row["contact_id"] is not None and one.row["status"] in ARRIVED]
    for at in range(0, len(ids), _RECEIPTS_AT_ONCE):
        emit(session, ReceiptsWanted(gift_ids=tuple(ids[at : at + _RECEIPTS_AT_ONCE])))


def _key(system: str, own: str) -> tuple[str, str]:
    return "gift", f"{system}\n{own}"


def _said(rows: Sequence[ParsedRow], name: str) -> set[str]:
    return {row.values[name] for row in rows if name in row.values}


def _find(facts: Facts, known: _Known) -> tuple[Row | None, str | None]:
    """The gift that a row is, and by what. One that an earlier row of the file has is refused: a file that says two
    things of one payment is to be looked at by a person."""
    if not known.taken.isdisjoint(facts.external_ids):
        raise Refused("external_id_repeated")
    named = {known.ids[pair] for pair in facts.external_ids if pair in known.ids}
    matched_by = "id" if facts.id is not None else "external_id" if named else "payment_id"
    if facts.payment_id is not None and ("", facts.payment_id) in known.ids:
        named.add(known.ids["", facts.payment_id])
    if facts.id is not None:
        named.add(facts.id)
    if len(named) > 1:
        raise Refused("ids_disagree")
    if not named:
        return None, None
    (gift_id,) = named
    gift = known.gifts.get(gift_id)
    if gift is None or not loading.is_stored(gift):
        raise Refused("unknown_gift")
    if gift_id in known.own or ("", str(gift_id)) in known.taken:
        raise Refused("external_id_repeated")
    return gift, matched_by


def _purposed(said: Mapping[str, Any], known: _Known) -> dict[str, Any]:
    """What a row says, with fund and campaign by their ids."""
    found = dict(said)
    for kind in ("fund", "campaign"):
        if (code := found.pop(kind, None)) is not None:
            if (kind, code) not in known.purposes:
                raise Refused(f"unknown_{kind}")
            found[f"{kind}_id"] = known.purposes[kind, code]
    return found


def _donor(row: ParsedRow, known: _Known, chunk: Chunk | None, *, arrives: bool) -> tuple[UUID | None, dict[str, UUID]]:
    """Whom the gift is from. Of a known gift (`chunk` is given) nobody need be named."""
    facts: Facts = row.facts
    if not facts.donor.anybody:
        if chunk is None and not row.values.get("is_anonymous"):
            raise Nobody("no_contact")
        return None, {}
    found = known.donors.find(facts.donor)
    if found is not None:
        return found, {}
    if not known.donors.create:
        raise Nobody("unknown_contact")
    made = known.donors.make(facts.donor, donor=arrives)
    return made, {"contact": made}


def _credits(row: ParsedRow, known: _Known, giver: UUID | None, made: dict[str, UUID]) -> Sequence[Mapping[str, Any]]:
    """The soft credit that a row tells of; who is made for it is added to `made`."""
    who = row.facts.credited
    if not who.anybody:
        return ()
    found = known.donors.find(who)
    if found is None:
        if not known.donors.create:
            raise Nobody("unknown_contact")
        found = made["credited"] = known.donors.make(who, donor=False)
    if found == giver:
        return ()
    own = row.values.get("own_amount")
    return ({"contact_id": found, "type": "workplace", "amount": own or None},)
