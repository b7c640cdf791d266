"""A form of the organization's own: signed by its server, or sent by a browser with the form's public token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator

from crm_api.intake.kinds import answers, signing
from crm_api.intake.kinds.kind import Body, Envelope, Person, Reading, Received, Refused, Settings, Touch
from crm_api.intake.kinds.reading import clean, digest, identifier, line, mapping_of, moment, parse_form, parse_object
from crm_api.kit.schemas import Input

URL_ENCODED = "application/x-www-form-urlencoded"
SigningSecret = Annotated[str, AfterValidator(signing.signing_secret)]


class SigningCredentials(Input):
    """The secret that a server of the organization signs with."""

    signing_secret: SigningSecret


class Form:
    """``form``"""

    name = "form"
    channel = "form"
    credentials = SigningCredentials
    issued = {"signing_secret": signing.new_signing_secret}

    def verify(self, received: Received, credentials: Mapping[str, str], now: datetime) -> None:
        """A signature where there is one, else the public token of a browser form."""
        if "webhook-signature" in received.headers or received.token is None:
            signing.standard_webhooks(received, credentials["signing_secret"], now)
            return
        token = credentials.get("form_token")
        if not token or not signing.same(received.token, token):
            raise Refused("secret_mismatch")
        if _fields(received.body, received.media_type) is None:
            raise Refused("body_malformed")

    def envelope(self, received: Received, now: datetime) -> Envelope:
        """By the signed message id. A browser sends none: the same answers again on one day are a second click."""
        sent = parse_object(received.body) or {}
        at = moment(sent.get("submitted_at"))
        signed = signing.header(received.headers, "webhook-id") if "webhook-signature" in received.headers else None
        return Envelope(signed or f"{digest(received.body)}:{now.date()}", "submission", at)

    def interpret(self, body: Body, settings: Settings) -> Reading:
        """Answers to who, what and whether they agreed."""
        fields = _fields(body.content, body.media_type)
        if fields is None:
            return Reading(ignored="not_a_form")
        structured = isinstance(fields.get("answers"), dict | list)
        given = fields["answers"] if structured else {k: v for k, v in fields.items() if k != "form_title"}
        found = answers.from_items(given) if isinstance(given, list) else answers.from_object(given)
        return submission(found, fields if structured else {"form_title": fields.get("form_title")}, body, settings)


def submission(found: list[answers.Answer], about: Mapping[str, Any], body: Body, settings: Settings) -> Reading:
    """A filled-in form in our words; `about` is what is said of it beside the answers."""
    filled = answers.fill(found, settings.mapping)
    said = {"respondent_email": line(about.get("respondent_email"))}
    origin = {**_origin(mapping_of(about.get("source"))), **_origin(about), **filled.origin()}
    person = filled.person(f"form:{settings.source_id}")
    if person.email is None and said["respondent_email"]:
        person = _with_email(person, said["respondent_email"])
    subject = line(filled.fields.get("subject"), 300) or line(about.get("form_title"), 300) or settings.name
    return Reading(
        person=person,
        touch=Touch(
            kind="message",
            direction="inbound",
            channel="web",
            external_id=f"{settings.source_id}:{body.key}",
            subject=subject,
            body=filled.as_text(),
            at=moment(about.get("submitted_at")),
        ),
        consent=filled.consent,
        origin=origin,
        page_url=clean(filled.fields.get("page_url") or about.get("page_url"), 500),
    )


def _origin(said: Mapping[str, Any]) -> dict[str, str]:
    found = {name: line(said.get(name), 500) for name in answers.ORIGIN}
    return {name: text for name, text in found.items() if text}


def _with_email(person: Person, email: str) -> Person:
    return replace(person, email=email)


def _fields(content: bytes, media_type: str) -> dict[str, Any] | None:
    if media_type == URL_ENCODED:
        form = parse_form(content)
        return None if not form else {name: values if len(values) > 1 else values[0] for name, values in form.items()}
    return parse_object(content)


class GoogleForms:
    """``google_forms``: our own Apps Script posts what was answered."""

    name = "google_forms"
    channel = "google_forms"
    credentials = SigningCredentials
    issued = {"signing_secret": signing.new_signing_secret}

    def verify(self, received: Received, credentials: Mapping[str, str], now: datetime) -> None:
        """Signed by the script."""
        signing.standard_webhooks(received, credentials["signing_secret"], now)

    def envelope(self, received: Received, now: datetime) -> Envelope:
        """By the message id, which the script makes of the response's."""
        at = moment((parse_object(received.body) or {}).get("submitted_at"))
        return Envelope(signing.header(received.headers, "webhook-id") or digest(received.body), "submission", at)

    def interpret(self, body: Body, settings: Settings) -> Reading:
        """A form-bound response, its items known by id; or a spreadsheet's, known by title."""
        sent = parse_object(body.content)
        if sent is None:
            return Reading(ignored="not_json")
        items, named = sent.get("answers"), sent.get("named_values")
        if isinstance(items, list):
            found = answers.from_items(items)
        elif isinstance(named, dict):
            found = answers.from_object(named)
        else:
            return Reading(ignored="no_answers")
        if not identifier(sent.get("response_id")) and not found:
            return Reading(ignored="no_answers")
        return submission(found, sent, body, settings)
