"""Lead ads of Facebook and Instagram: an event names leads, their answers are asked for. Pure but for `fetch`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import StringConstraints

from crm_api.intake.kinds import answers, signing
from crm_api.intake.kinds.form import submission
from crm_api.intake.kinds.kind import Body, Envelope, Reading, Received, Refused, Settings
from crm_api.intake.kinds.reading import digest, identifier, line, mapping_of, parse_object
from crm_api.kit.schemas import Input

if TYPE_CHECKING:
    import httpx

LEADGEN = "leadgen"
"""Event type of a lead that is only named; `LEAD` once its answers are there."""
LEAD = "lead"
_FIELDS = "id,created_time,field_data,form_id,ad_id,is_organic"
_MOST_LEADS = 1_000
_OWN = {
    "full_name": "name", "first_name": "given_name", "last_name": "family_name", "email": "email",
    "work_email": "email", "phone_number": "phone", "work_phone_number": "phone", "city": "city",
    "company_name": "organization_name",
}  # fmt: skip
_PASSING = frozenset({1, 2, 4, 17, 32, 341, 613})
"""Error codes of the Graph API that pass: unknown, away, and its several limits."""
Printable = Annotated[str, StringConstraints(min_length=8, max_length=1000, pattern=r"^[!-~]+$")]


class MetaCredentials(Input):
    """Of the app: its secret, the word it verifies the address with, and a page's token to read leads with."""

    app_secret: Printable
    verify_token: Printable
    page_access_token: Printable


class LeadUnreadable(Exception):
    """The answers cannot be had until somebody does something; `reason` says what."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MetaLeads:
    """``meta_leads``"""

    name = "meta_leads"
    channel = "meta_lead"
    credentials = MetaCredentials
    issued = {"verify_token": signing.new_token}

    def verify(self, received: Received, credentials: Mapping[str, str], now: datetime) -> None:
        """Signed with the app's secret."""
        signing.hex_hmac(received, "x-hub-signature-256", credentials["app_secret"], prefix="sha256=")

    def challenge(self, mode: str | None, token: str | None, challenge: str | None, expected: str) -> str:
        """What to answer when the address is verified; `Refused` where the word is not ours."""
        if mode != "subscribe" or challenge is None or not signing.same(token, expected):
            raise Refused("secret_mismatch")
        return challenge

    def envelope(self, received: Received, now: datetime) -> Envelope:
        """By the whole body; each lead in it is known by its own id later."""
        sent = parse_object(received.body) or {}
        return Envelope(digest(received.body), line(sent.get("object"), 60) or "unknown")

    def interpret(self, body: Body, settings: Settings) -> Reading:
        """The leads that an event names, or the answers of one."""
        sent = parse_object(body.content)
        if sent is None:
            return Reading(ignored="not_json")
        if body.event_type == LEAD:
            return _answers(sent, body, settings)
        leads = list({lead["leadgen_id"]: lead for lead in _leads(sent)}.values())
        return Reading(leads=tuple(leads)) if leads else Reading(ignored="unknown_type")


def _leads(sent: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    entries = sent.get("entry")
    for entry in entries if isinstance(entries, list) else []:
        changes = mapping_of(entry).get("changes")
        for change in changes if isinstance(changes, list) else []:
            value = mapping_of(mapping_of(change).get("value"))
            lead = {name: identifier(value.get(name)) for name in ("leadgen_id", "page_id", "form_id", "ad_id")}
            named = lead["leadgen_id"]
            if mapping_of(change).get("field") == LEADGEN and named and named.isdecimal() and len(found) < _MOST_LEADS:
                found.append({**lead, "created_time": value.get("created_time")})
    return found


def _answers(sent: Mapping[str, Any], body: Body, settings: Settings) -> Reading:
    data = sent.get("field_data")
    fields: dict[str, Any] = {}
    for item in data if isinstance(data, list) else []:
        name = line(mapping_of(item).get("name"))
        if name:
            fields.setdefault(name, mapping_of(item).get("values"))
    found = answers.from_object(fields)
    if not found:
        return Reading(ignored="no_answers")
    mapping = {**_OWN, **settings.mapping}
    about = {"submitted_at": sent.get("created_time")}
    lead_settings = Settings(settings.source_id, settings.name, mapping, settings.country)
    reading = submission(found, about, body, lead_settings)
    ad = identifier(sent.get("ad_id"))
    origin = {"utm_source": "meta", **({"utm_content": ad} if ad else {}), **reading.origin}
    return Reading(
        person=reading.person, touch=reading.touch, consent=reading.consent, origin=origin, page_url=reading.page_url
    )


async def fetch(client: httpx.AsyncClient, lead_id: str, token: str) -> bytes:
    """A lead's answers as the Graph API gives them. Raises `LeadUnreadable`, and `httpx.HTTPError` on what passes."""
    answer = await client.get(f"/{lead_id}", params={"fields": _FIELDS}, headers={"Authorization": f"Bearer {token}"})
    if answer.status_code == 200 and len(answer.content) <= 1_000_000:
        return answer.content
    error = mapping_of((parse_object(answer.content) or {}).get("error"))
    said = error.get("code")
    code = said if isinstance(said, int) else 0
    if code == 190:
        raise LeadUnreadable("meta_token_expired: put a new page_access_token into the source, then replay")
    if answer.status_code == 429 or answer.status_code >= 500 or code in _PASSING:
        answer.raise_for_status()
    if code in {10, 3} or 200 <= code <= 299:
        raise LeadUnreadable("meta_permission_missing: the token needs leads_retrieval of this page, then replay")
    raise LeadUnreadable("meta_lead_unknown: Meta does not give this lead out; it may be deleted or older than 90 days")
