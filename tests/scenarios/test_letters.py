"""Which letters a donor gets, in which language, and who gets none."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_api.worker import Worker
from tests.conftest import MakeWorld
from tests.support.letters import body, give, messages, retry_now
from tests.support.mailserver import Mailbox
from tests.support.stripe_events import gift_event, stripe_event
from tests.support.world import World

DAY = 86_400
GEORGIAN, CYRILLIC, ARABIC = (0x10A0, 0x10FF), (0x0400, 0x04FF), (0x0600, 0x06FF)


# Which letters


async def test_the_first_gift_brings_a_welcome_and_the_second_a_thank_you_never_both(world: World) -> None:
    await give(world, "first")
    assert world.letter_kinds() == ["welcome"]
    await give(world, "second", after=DAY)
    await give(world, "third", after=2 * DAY)
    assert sorted(world.letter_kinds()) == ["thank_you", "thank_you", "welcome"]
    assert len({letter["donation_id"] for letter in await messages(world)}) == 3
    assert {str(letter["To"]) for letter in world.letters()} == {"Maria Silva <maria@example.org>"}


async def test_two_first_gifts_of_one_moment_bring_one_welcome_and_one_thank_you(world: World) -> None:
    await world.stripe_connection()
    second = Worker(world.settings, world.database)
    for round_number in range(3):
        email = f"twins{round_number}@example.org"
        await asyncio.gather(
            *(
                world.stripe_sends(gift_event(f"{side}{round_number}", email=email, name="Ana Twin"))
                for side in ("left", "right")
            )
        )
        await asyncio.gather(world.drain(), second._tend(world.id, ensure=False))
        await world.drain()
        kinds = [str(letter["X-CRM-Letter"]) for letter in world.letters() if email in str(letter["To"])]
        assert sorted(kinds) == ["thank_you", "welcome"]


async def test_a_gift_recorded_by_hand_is_thanked_for_too(world: World) -> None:
    contact = await world.contact()
    gift = await world.donation(contact["id"], 12_550, "UAH")
    await world.drain()
    (letter,) = world.letters()
    assert letter["X-CRM-Letter"] == "welcome"
    assert "125.50" in body(letter)
    (message,) = await messages(world)
    assert (message["donation_id"], message["contact_id"]) == (gift["id"], contact["id"])
    assert (message["state"], message["reason"], message["subject"]) == ("sent", None, letter["Subject"])


async def test_a_gift_of_long_ago_that_is_written_down_now_brings_no_letter(world: World) -> None:
    contact = await world.contact()
    long_ago = (datetime.now(UTC) - timedelta(days=31)).isoformat().replace("+00:00", "Z")
    await world.donation(contact["id"], received_at=long_ago)
    await world.drain()
    (message,) = await messages(world)
    assert message["state"] == "suppressed"
    assert message["reason"] == "the gift was recorded by hand long after it was given"
    assert world.letters() == []


async def test_a_gift_whose_donor_is_known_only_later_is_thanked_for_then_and_once(world: World) -> None:
    amounts: dict[str, Any] = {
        "amount": 2500,
        "amount_received": 2500,
        "currency": "usd",
        "metadata": {},
        "customer": None,
    }
    await world.stripe_sends(stripe_event("payment_intent.succeeded", seed="late", receipt_email=None, **amounts))
    await world.drain()
    (gift,) = (await world.get("/v1/donations"))["data"]
    assert (gift["contact_id"], world.letters()) == (None, [])
    await give(world, "late")
    assert world.letter_kinds() == ["welcome"]


async def test_a_refund_that_came_before_the_donor_was_known_is_confirmed_to_them(world: World) -> None:
    amounts: dict[str, Any] = {
        "amount": 2500,
        "amount_received": 2500,
        "currency": "usd",
        "metadata": {},
        "customer": None,
    }
    await world.stripe_sends(stripe_event("payment_intent.succeeded", seed="late", receipt_email=None, **amounts))
    refund = stripe_event("refund.created", seed="late", status="succeeded", amount=2500, currency="usd")
    await world.stripe_sends(refund)
    await world.drain()
    assert world.letters() == []
    await give(world, "late")
    assert world.letter_kinds() == ["refund_confirmed"]


# Languages


@pytest.mark.parametrize(
    ("language", "written", "script"),
    [
        ("uk", "uk", CYRILLIC),
        ("uk-UA", "uk", CYRILLIC),
        ("ka", "ka", GEORGIAN),
        ("ru", "ru", CYRILLIC),
        ("ar", "ar", ARABIC),
        ("en", "en", None),
        ("fi", "ka", GEORGIAN),
        (None, "ka", GEORGIAN),
    ],
)
async def test_a_letter_is_written_in_the_donor_s_language_else_the_organization_s(
    make_world: MakeWorld, language: str | None, written: str, script: tuple[int, int] | None
) -> None:
    world = await make_world(language="ka")
    contact = await world.contact(language=language)
    await world.donation(contact["id"])
    await world.drain()
    (letter,) = world.letters()
    assert letter["Content-Language"] == written
    html = body(letter, "html")
    assert f'lang="{written}"' in html
    assert (f'dir="{"rtl" if written == "ar" else "ltr"}"') in html
    for text in (str(letter["Subject"]), body(letter), html.partition("<body")[2]):
        in_script = script is None or any(script[0] <= ord(char) <= script[1] for char in text)
        assert in_script, text
    assert "Олена" in body(letter)
    (message,) = await messages(world)
    assert message["language"] == written


async def test_the_letters_of_ukrainian_and_russian_are_not_each_other_s(world: World) -> None:
    for language in ("uk", "ru"):
        contact = await world.contact(language=language, emails=[{"address": f"{language}@example.org"}])
        await world.donation(contact["id"])
    await world.drain()
    texts = {str(letter["Content-Language"]): body(letter) for letter in world.letters()}
    assert "ы" not in texts["uk"]
    assert not set("іїєґ") & set(texts["ru"].lower())


async def test_the_language_that_stripe_s_checkout_was_read_in_is_the_letter_s(world: World) -> None:
    details = {"email": "nino@example.org", "name": "ნინო ბერიძე", "phone": None, "address": None}
    await world.stripe_sends(
        stripe_event("checkout.session.completed", seed="ka", customer_details=details, locale="ka", metadata={})
    )
    await world.drain()
    (letter,) = world.letters()
    assert letter["Content-Language"] == "ka"
    assert "ნინო" in body(letter)


# Failed payments and refunds


def failed(seed: str, after: float = 0) -> Any:
    return gift_event(
        seed,
        email="maria@example.org",
        name="Maria Silva",
        after=after,
        status="failed",
        amount_captured=0,
        failure_code="card_declined",
    )


async def test_a_failed_payment_is_told_with_the_way_back(world: World) -> None:
    await world.stripe_sends(failed("refused"))
    await world.drain()
    (gift,) = (await world.get("/v1/donations"))["data"]
    assert gift["status"] == "failed"
    (letter,) = world.letters()
    assert letter["X-CRM-Letter"] == "payment_failed"
    link = f"https://donate.example.org/again/{gift['id']}"
    assert link in body(letter)
    assert f'href="{link}"' in body(letter, "html")


async def test_no_word_of_failure_when_the_payment_has_succeeded_before_anybody_looked(world: World) -> None:
    await world.stripe_sends({**failed("retried"), "id": "evt_refused"})
    await world.stripe_sends(gift_event("retried", email="maria@example.org", name="Maria Silva", after=60))
    await world.drain()
    assert world.letter_kinds() == ["welcome"]


async def test_a_letter_of_failure_that_could_not_be_sent_is_dropped_once_the_payment_succeeds(
    by_mail: World, mailbox: Mailbox
) -> None:
    world = by_mail
    mailbox.recipient.append("451 4.2.0 busy")
    await world.stripe_sends({**failed("retried"), "id": "evt_refused"})
    await world.drain()
    (message,) = await messages(world, kind="payment_failed")
    assert (message["state"], mailbox.kinds) == ("queued", [])
    await world.stripe_sends(gift_event("retried", email="maria@example.org", name="Maria Silva", after=60))
    await world.drain()
    await retry_now(world, "communications.send_letter")
    assert mailbox.kinds == ["welcome"]
    (message,) = await messages(world, kind="payment_failed")
    assert (message["state"], message["reason"]) == ("canceled", "the payment has not failed any more")


async def test_two_partial_refunds_are_confirmed_in_one_letter(world: World) -> None:
    await give(world, "back", amount=10_000)
    for number, amount in ((1, 2_000), (2, 3_000)):
        refund: dict[str, Any] = {"id": f"re_{number}", "amount": amount, "currency": "usd", "status": "succeeded"}
        await world.stripe_sends(
            stripe_event("refund.created", seed="back", number=number, after=60 * number, **refund)
        )
        await world.drain()
    (gift,) = (await world.get("/v1/donations"))["data"]
    assert (gift["status"], gift["refunded_amount"]["amount"]) == ("partially_refunded", 5_000)
    assert sorted(world.letter_kinds()) == ["refund_confirmed", "welcome"]
    letter = next(one for one in world.letters() if one["X-CRM-Letter"] == "refund_confirmed")
    assert "$20" in body(letter)


async def test_a_refund_that_failed_before_its_letter_went_out_is_not_confirmed(
    by_mail: World, mailbox: Mailbox
) -> None:
    world = by_mail
    await give(world, "kept")
    mailbox.recipient.append("451 4.2.0 busy")
    refund: dict[str, Any] = {"id": "re_1", "amount": 2_500, "currency": "usd"}
    await world.stripe_sends(stripe_event("refund.created", seed="kept", status="pending", after=60, **refund))
    await world.drain()
    await world.stripe_sends(stripe_event("refund.failed", seed="kept", status="failed", after=DAY, **refund))
    await world.drain()
    await retry_now(world, "communications.send_letter")
    assert mailbox.kinds == ["welcome"]
    (message,) = await messages(world, kind="refund_confirmed")
    assert (message["state"], message["reason"]) == ("canceled", "the money was not given back after all")


async def test_a_gift_refunded_before_it_was_thanked_for_gets_the_refund_s_letter_only(world: World) -> None:
    await world.stripe_sends(gift_event("brief", email="maria@example.org", name="Maria"))
    whole: dict[str, Any] = {"amount": 2_500, "currency": "usd", "status": "succeeded"}
    await world.stripe_sends(stripe_event("refund.created", seed="brief", after=60, **whole))
    await world.drain()
    assert world.letter_kinds() == ["refund_confirmed"]


async def test_a_disputed_gift_is_thanked_for_when_the_dispute_is_won(world: World) -> None:
    await world.stripe_sends(gift_event("contested", email="maria@example.org", name="Maria"))
    dispute: dict[str, Any] = {"amount": 2_500, "currency": "usd"}
    await world.stripe_sends(stripe_event("charge.dispute.created", seed="contested", after=60, **dispute))
    await world.drain()
    assert world.letters() == []
    won = stripe_event("charge.dispute.closed", seed="contested", after=DAY, status="won", **dispute)
    await world.stripe_sends(won)
    await world.drain()
    assert world.letter_kinds() == ["welcome"]


# Who is not written to


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"do_not_contact": True}, "the contact asked not to be contacted"),
        ({"deceased": True}, "the contact is deceased"),
        ({"emails": []}, "the contact has no usable primary e-mail address"),
        (
            {"emails": [{"address": "gone@example.org", "status": "invalid"}]},
            "the contact has no usable primary e-mail address",
        ),
        (
            {"emails": [{"address": "no@example.org", "status": "opted_out"}]},
            "the contact has no usable primary e-mail address",
        ),
    ],
)
async def test_who_must_not_be_written_to_is_not_and_the_letter_says_why(
    world: World, changes: dict[str, Any], reason: str
) -> None:
    contact = await world.contact(**changes)
    await world.donation(contact["id"])
    await world.drain()
    assert world.letters() == []
    (message,) = await messages(world)
    assert (message["kind"], message["state"], message["reason"]) == ("welcome", "suppressed", reason)
    await world.donation(contact["id"])
    await world.drain()
    assert {one["kind"]: one["state"] for one in await messages(world)} == {
        "welcome": "suppressed",
        "thank_you": "suppressed",
    }


async def test_who_asks_to_be_left_alone_gets_nothing_that_was_already_queued(by_mail: World, mailbox: Mailbox) -> None:
    world = by_mail
    mailbox.recipient.append("451 4.2.0 busy")
    contact = await world.contact()
    await world.donation(contact["id"])
    await world.drain()
    await world.patch(f"/v1/contacts/{contact['id']}", {"do_not_contact": True})
    await retry_now(world, "communications.send_letter")
    assert mailbox.letters == []
    (message,) = await messages(world)
    assert (message["state"], message["reason"]) == ("suppressed", "the contact asked not to be contacted")


async def test_an_anonymous_gift_brings_no_letter(world: World) -> None:
    await world.donation(None)
    await world.drain()
    assert (await messages(world), world.letters()) == ([], [])
