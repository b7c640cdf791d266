"""Telephony: a call that has ended, told by Binotel or Ringostat. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from crm_api.intake.kinds import signing
from crm_api.intake.kinds.answers import ORIGIN
from crm_api.intake.kinds.kind import Body, Envelope, Person, Reading, Received, Settings, Touch
from crm_api.intake.kinds.reading import (
    clean,
    code,
    digest,
    identifier,
    line,
    mapping_of,
    moment,
    parse_form,
    parse_object,
    seconds,
)
from crm_api.kit.schemas import Input

Direction = Literal["inbound", "outbound"]
PathSecret = Annotated[str, StringConstraints(min_length=16, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")]
_OUTCOMES = {"answer": "answered", "answered": "answered", "noanswer": "no_answer", "no_answer": "no_answer",
             "busy": "busy", "cancel": "canceled", "failed": "failed", "voicemail": "voicemail"}  # fmt: skip


class PathCredentials(Input):
    """Binotel signs nothing: the last segment of the address is the secret."""

    path_secret: PathSecret


class KeyCredentials(Input):
    """Ringostat sends a key of ours as `Auth-Key`, or as `token` in the address."""

    auth_key: Annotated[str, StringConstraints(min_length=8, max_length=255, pattern=r"^[!-~]+$")]


def _call(
    *,
    call_id: str,
    direction: Direction,
    phone: str,
    settings: Settings,
    outcome: str | None,
    duration: int | None,
    at: datetime | None,
    employee: str | None,
    line_name: str | None,
    recording: str | None,
    origin: Mapping[str, str],
) -> Reading:
    said = [("Employee", employee), ("Line", line_name), ("Recording", recording)]
    return Reading(
        person=Person(phone=phone),
        touch=Touch(
            kind="call",
            direction=direction,
            channel="phone",
            external_id=f"{settings.source_id}:{call_id}",
            body="\n".join(f"{name}: {text}" for name, text in said if text) or None,
            outcome=_OUTCOMES.get(outcome or "", outcome),
            at=at,
            duration_seconds=duration,
        ),
        origin=origin,
    )


class Binotel:
    """``binotel``: form-encoded with bracket keys, sent again until it is answered."""

    name = "binotel"
    channel = "phone"
    credentials = PathCredentials
    issued = {"path_secret": signing.new_token}

    def verify(self, received: Received, credentials: Mapping[str, str], now: datetime) -> None:
        """By the secret address."""
        signing.shared_secret(received.secret, credentials["path_secret"])

    def envelope(self, received: Received, now: datetime) -> Envelope:
        """By the call's id; the counter of attempts is no part of it."""
        sent = _bracketed(received.body)
        details = mapping_of(sent.get("callDetails"))
        event = line(sent.get("requestType"), 60) or "unknown"
        call_id = identifier(details.get("generalCallID")) or identifier(details.get("callID"))
        key = f"{event}:{call_id}" if call_id else digest(received.body)
        return Envelope(key, event, moment(details.get("startTime")))

    def interpret(self, body: Body, settings: Settings) -> Reading:
        """A completed call; callType 0 is incoming, 1 outgoing."""
        sent = _bracketed(body.content)
        if sent.get("requestType") != "apiCallCompleted":
            return Reading(ignored="unknown_type" if sent else "not_a_form")
        details = mapping_of(sent.get("callDetails"))
        call_id = identifier(details.get("generalCallID")) or identifier(details.get("callID"))
        kinds: dict[str | None, Direction] = {"0": "inbound", "1": "outbound"}
        direction = kinds.get(line(details.get("callType"), 20))
        phone = line(details.get("externalNumber"), 40)
        if call_id is None or direction is None:
            return Reading(ignored="unknown_call_type" if call_id else "no_call_id")
        board, employee = mapping_of(details.get("pbxNumberData")), mapping_of(details.get("employeeData"))
        return _call(
            call_id=call_id,
            direction=direction,
            phone=phone or "",
            settings=settings,
            outcome=code(details.get("disposition")),
            duration=seconds(details.get("billsec")),
            at=moment(details.get("startTime")),
            employee=line(employee.get("name")),
            line_name=line(board.get("name")) or line(board.get("number")),
            recording=line(details.get("linkToCallRecordInMyBusiness"), 500),
            origin={},
        )


def _bracketed(content: bytes) -> dict[str, Any]:
    """``callDetails[employeeData][name]=x`` as nested objects, three deep; the first value of a name counts."""
    found: dict[str, Any] = {}
    for name, values in (parse_form(content) or {}).items():
        first, *rest = name.replace("]", "").split("[", 3)
        place = found
        for step in [first, *rest][:-1]:
            inner = place.setdefault(step, {})
            if not isinstance(inner, dict):
                break
            place = inner
        else:
            place.setdefault([first, *rest][-1], values[0])
    return found


_RINGOSTAT = {
    "call_id": ("uniqueid", "call_id", "uniqueId"),
    "direction": ("call_type",),
    "caller": ("caller", "caller_number"),
    "callee": ("dst", "callee", "destination"),
    "outcome": ("disposition",),
    "talk_seconds": ("billsec",),
    "at": ("calldate", "call_date", "start_time"),
    "employee": ("employee_fio", "employee"),
    "recording": ("recording",),
    **{name: (name,) for name in ORIGIN},
}
CALL_FIELDS = frozenset({*_RINGOSTAT, "ignore"})
"""What a field of a telephony provider can be mapped to."""
_DIRECTIONS: dict[str, Direction] = {
    "in": "inbound", "incoming": "inbound", "inbound": "inbound",
    "out": "outbound", "outgoing": "outbound", "outbound": "outbound", "callback": "outbound",
}  # fmt: skip


class Ringostat:
    """``ringostat``: the fields are chosen in its cabinet, so the source's mapping may rename any of them."""

    name = "ringostat"
    channel = "phone"
    credentials = KeyCredentials
    issued = {"auth_key": signing.new_token}

    def verify(self, received: Received, credentials: Mapping[str, str], now: datetime) -> None:
        """By the key, in the header or in the address."""
        given = received.headers.get("auth-key") or received.token
        signing.shared_secret(given, credentials["auth_key"])

    def envelope(self, received: Received, now: datetime) -> Envelope:
        """By the whole body: one call may be told more than once, with more known of it each time."""
        return Envelope(digest(received.body), "call", None)

    def interpret(self, body: Body, settings: Settings) -> Reading:
        """A call that has ended: it has a disposition."""
        said = _mapped(_flat(body), settings.mapping)
        call_id, direction = identifier(said.get("call_id")), _DIRECTIONS.get(code(said.get("direction")) or "")
        outcome = code(said.get("outcome"))
        if call_id is None or direction is None:
            return Reading(ignored="unknown_call_type" if call_id else "no_call_id")
        if outcome is None:
            return Reading(ignored="call_not_over")
        phone = line(said.get("caller" if direction == "inbound" else "callee"), 40)
        origin = {name: line(said.get(name), 500) for name in ORIGIN}
        return _call(
            call_id=call_id,
            direction=direction,
            phone=phone or "",
            settings=settings,
            outcome=outcome,
            duration=seconds(said.get("talk_seconds")),
            at=moment(said.get("at")),
            employee=line(said.get("employee")),
            line_name=None,
            recording=clean(said.get("recording"), 500),
            origin={name: text for name, text in origin.items() if text},
        )


def _flat(body: Body) -> dict[str, Any]:
    sent = parse_object(body.content)
    if sent is None:
        sent = {name: values[0] for name, values in (parse_form(body.content) or {}).items()}
    return {**mapping_of(sent.get("additional_call_data")), **sent}


def _mapped(sent: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, Any]:
    said = {ours: sent[theirs] for theirs, ours in mapping.items() if theirs in sent}
    for ours, names in _RINGOSTAT.items():
        for name in names:
            if name in sent and name not in mapping:
                said.setdefault(ours, sent[name])
    return said
