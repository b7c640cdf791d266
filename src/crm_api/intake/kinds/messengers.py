"""Messengers: what people write to the organization's Telegram or Viber bot. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import StringConstraints

from crm_api.intake.kinds import signing
from crm_api.intake.kinds.kind import Body, Envelope, Person, Reading, Received, Settings, Touch
from crm_api.intake.kinds.reading import (
    LONGEST_BODY,
    clean,
    digest,
    identifier,
    line,
    mapping_of,
    moment,
    parse_object,
)
from crm_api.kit.schemas import Input

_MEDIA = ("photo", "video", "voice", "audio", "document", "sticker", "location", "video_note", "animation", "contact")


class TelegramCredentials(Input):
    """The secret token that was given to `setWebhook`."""

    secret_token: Annotated[str, StringConstraints(min_length=16, max_length=256, pattern=r"^[A-Za-z0-9_-]+$")]


class ViberCredentials(Input):
    """The bot's token; Viber signs with it."""

    auth_token: Annotated[str, StringConstraints(min_length=8, max_length=255, pattern=r"^[!-~]+$")]


class Telegram:
    """``telegram``: updates of a bot. Only private chats are people; groups are ignored."""

    name = "telegram"
    channel = "telegram"
    credentials = TelegramCredentials
    issued = {"secret_token": signing.new_token}

    def verify(self, received: Received, credentials: Mapping[str, str], now: datetime) -> None:
        """By the secret in the header."""
        signing.shared_secret(received.headers.get("x-telegram-bot-api-secret-token"), credentials["secret_token"])

    def envelope(self, received: Received, now: datetime) -> Envelope:
        """By the update's number."""
        sent = parse_object(received.body) or {}
        event = next((name for name in sent if name != "update_id"), "unknown")
        at = moment(mapping_of(sent.get(event)).get("date"))
        number = identifier(sent.get("update_id"))
        return Envelope(f"update:{number}" if number else digest(received.body), line(event, 60) or "unknown", at)

    def interpret(self, body: Body, settings: Settings) -> Reading:
        """A message, a /start with what its deep link said, or that the bot was blocked."""
        sent = parse_object(body.content)
        if sent is None:
            return Reading(ignored="not_json")
        if isinstance(member := sent.get("my_chat_member"), dict):
            return _membership(member)
        message = sent.get("message")
        if not isinstance(message, dict):
            return Reading(ignored="unknown_type")
        chat, sender = mapping_of(message.get("chat")), mapping_of(message.get("from"))
        chat_id, number = identifier(chat.get("id")), identifier(message.get("message_id"))
        if chat.get("type") != "private" or sender.get("is_bot") is True or not chat_id or not number:
            return Reading(ignored="not_a_private_chat")
        text = clean(message.get("text"), LONGEST_BODY) or clean(message.get("caption"), LONGEST_BODY)
        media = next((name for name in _MEDIA if name in message), None)
        command, _, payload = (text or "").partition(" ")
        started = command == "/start" or command.startswith("/start@")
        return Reading(
            person=_telegram_person(chat_id, sender, mapping_of(message.get("contact"))),
            touch=Touch(
                kind="message",
                direction="inbound",
                channel="telegram",
                external_id=f"{settings.source_id}:{chat_id}:{number}",
                subject=media,
                body=text,
                at=moment(message.get("date")),
            ),
            reach="valid",
            start=line(payload, 64) if started else None,
        )


def _telegram_person(chat_id: str, sender: Mapping[str, Any], shared: Mapping[str, Any]) -> Person:
    own = shared.get("user_id") is not None and shared.get("user_id") == sender.get("id")
    return Person(
        given_name=line(sender.get("first_name")),
        family_name=line(sender.get("last_name")),
        language=line(sender.get("language_code"), 35),
        phone=_international(line(shared.get("phone_number"), 40)) if own else None,
        handle=("telegram", chat_id),
        username=identifier(sender.get("username")),
        external_id=("telegram", chat_id),
    )


def _international(number: str | None) -> str | None:
    """Telegram leaves the plus out at times."""
    return f"+{number}" if number and number.isdecimal() else number


def _membership(member: Mapping[str, Any]) -> Reading:
    chat_id = identifier(mapping_of(member.get("chat")).get("id"))
    status = line(mapping_of(member.get("new_chat_member")).get("status"))
    if mapping_of(member.get("chat")).get("type") != "private" or not chat_id:
        return Reading(ignored="not_a_private_chat")
    if status not in {"kicked", "member"}:
        return Reading(ignored="unknown_type")
    person = Person(handle=("telegram", chat_id), external_id=("telegram", chat_id))
    return Reading(person=person, reach="opted_out" if status == "kicked" else "valid")


class Viber:
    """``viber``: callbacks of a bot, repeated for an hour until one is answered with 200."""

    name = "viber"
    channel = "viber"
    credentials = ViberCredentials
    issued: Mapping[str, Any] = {}

    def verify(self, received: Received, credentials: Mapping[str, str], now: datetime) -> None:
        """Signed with the bot's token."""
        signing.hex_hmac(received, "x-viber-content-signature", credentials["auth_token"])

    def envelope(self, received: Received, now: datetime) -> Envelope:
        """By the token of the message, a number beyond 2^53 that stays exact, and the event."""
        sent = parse_object(received.body) or {}
        token, event = identifier(sent.get("message_token")), line(sent.get("event"), 60) or "unknown"
        at = moment(sent.get("timestamp"), milliseconds=True)
        return Envelope(f"{token}:{event}" if token else digest(received.body), event, at)

    def interpret(self, body: Body, settings: Settings) -> Reading:
        """A message; that somebody subscribed, or left."""
        sent = parse_object(body.content)
        if sent is None:
            return Reading(ignored="not_json")
        event, token = line(sent.get("event"), 60), identifier(sent.get("message_token"))
        if event == "unsubscribed":
            handle = identifier(sent.get("user_id"))
            return Reading(person=_viber_person(handle, {}), reach="opted_out") if handle else _NOBODY
        user = mapping_of(sent.get("sender" if event == "message" else "user"))
        handle = identifier(user.get("id"))
        if event in {"subscribed", "conversation_started"}:
            start = line(sent.get("context"), 64)
            if handle is None:
                return _NOBODY
            if event == "conversation_started" and start is None:
                return Reading(ignored="conversation_started")
            return Reading(
                person=_viber_person(handle, user), start=start, reach="valid" if event == "subscribed" else None
            )
        if event != "message":
            known = {"delivered", "seen", "failed", "webhook", "client_status", "action"}
            return Reading(ignored=event if event in known else "unknown_type")
        if handle is None or token is None:
            return _NOBODY
        message = mapping_of(sent.get("message"))
        kind = line(message.get("type"), 40)
        return Reading(
            person=_viber_person(handle, user),
            touch=Touch(
                kind="message",
                direction="inbound",
                channel="viber",
                external_id=f"{settings.source_id}:{token}",
                subject=None if kind == "text" else kind,
                body=clean(message.get("text"), LONGEST_BODY),
                at=moment(sent.get("timestamp"), milliseconds=True),
            ),
            reach="valid",
        )


_NOBODY = Reading(ignored="names_nobody")


def _viber_person(handle: str, user: Mapping[str, Any]) -> Person:
    return Person(
        name=line(user.get("name")),
        language=line(user.get("language"), 35),
        handle=("viber", handle),
        external_id=("viber", handle),
    )
