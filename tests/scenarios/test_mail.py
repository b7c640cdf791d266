"""Each letter goes out once, whatever the mail server does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import MakeWorld
from tests.support.letters import give, messages, retry_now
from tests.support.mailserver import Mailbox
from tests.support.stories import known
from tests.support.stripe_events import gift_event
from tests.support.world import World

DAY = 86_400


async def test_a_letter_goes_to_the_mail_server_once(by_mail: World, mailbox: Mailbox) -> None:
    await give(by_mail, "plain")
    await by_mail.drain()
    (letter,) = mailbox.letters
    assert mailbox.recipients == ["maria@example.org"]
    (message,) = await messages(by_mail)
    assert message["state"] == "sent"
    assert str(letter["Message-ID"]).startswith(f"<{message['id']}@")
    assert [job["state"] for job in await by_mail.jobs(subscriber="communications.send_letter")] == ["done"]


async def test_a_connection_lost_after_the_letter_is_unknown_and_never_repeated(
    by_mail: World, mailbox: Mailbox
) -> None:
    world = by_mail
    mailbox.content.append("drop")
    await give(world, "lost")
    (message,) = await messages(world)
    assert message["state"] == "unknown"
    assert message["reason"].startswith("lost_after_content")
    assert mailbox.finished == 1
    (job,) = await world.jobs(subscriber="communications.send_letter")
    assert job["state"] == "done"
    await give(world, "lost", after=90, number=1)  # news of the same gift
    await world.drain()
    assert (mailbox.finished, mailbox.letters) == (1, [])


async def test_an_address_that_does_not_exist_is_not_written_to_again(by_mail: World, mailbox: Mailbox) -> None:
    world = by_mail
    mailbox.recipient.append("550 5.1.1 no such user")
    await give(world, "bounces")
    (message,) = await messages(world)
    assert message["state"] == "bounced"
    assert message["reason"].startswith("550 5.1.1")
    assert "maria" not in message["reason"]
    (donor,) = (await known(world))["contacts"]
    assert [(item["address"], item["status"]) for item in donor["emails"]] == [("maria@example.org", "invalid")]
    await give(world, "again", after=DAY)
    assert mailbox.finished == 0
    assert {one["kind"]: one["state"] for one in await messages(world)} == {
        "welcome": "bounced",
        "thank_you": "suppressed",
    }


@pytest.mark.parametrize("mended", [False, True])
async def test_a_letter_that_waited_while_its_address_bounced_needs_a_person_to_name_another(
    by_mail: World, mailbox: Mailbox, mended: bool
) -> None:
    world = by_mail
    contact = await world.contact(
        emails=[{"address": "old@example.org", "is_primary": True}, {"address": "new@example.org"}]
    )
    mailbox.recipient += ["451 4.2.0 busy", "550 5.1.1 no such user"]
    for _ in range(2):
        await world.donation(contact["id"])
        await world.drain()
    assert {one["kind"]: one["state"] for one in await messages(world)} == {"welcome": "queued", "thank_you": "bounced"}
    if mended:
        emails = [
            {"address": "old@example.org", "status": "invalid"},
            {"address": "new@example.org", "is_primary": True},
        ]
        await world.patch(f"/v1/contacts/{contact['id']}", {"emails": emails})
    await retry_now(world, "communications.send_letter")
    assert mailbox.recipients == (["new@example.org"] if mended else [])
    (welcome,) = await messages(world, kind="welcome")
    assert welcome["state"] == ("sent" if mended else "suppressed")


async def test_a_server_that_is_busy_is_asked_again_later(by_mail: World, mailbox: Mailbox) -> None:
    world = by_mail
    mailbox.content.append("451 4.3.0 try later")
    await give(world, "patience")
    (message,) = await messages(world)
    assert message["state"] == "queued"
    assert message["reason"] == "451 4.3.0: will be tried again"
    assert await world.drain() == 0, "it must not be tried again at once"
    await retry_now(world, "communications.send_letter")
    assert mailbox.kinds == ["welcome"]
    (message,) = await messages(world)
    assert (message["state"], message["reason"]) == ("sent", None)
    assert mailbox.finished == 2


async def test_letters_are_kept_until_wrong_settings_are_mended(by_mail: World, mailbox: Mailbox) -> None:
    world = by_mail
    mailbox.sender.append("550 5.7.1 sender not allowed here")
    await give(world, "settings")
    (message,) = await messages(world)
    assert message["state"] == "queued"
    (job,) = await world.jobs(state="dead")
    assert "Put the settings right" in job["last_error"]
    await retry_now(world, "communications.send_letter")
    assert mailbox.kinds == ["welcome"]
    assert [one["state"] for one in await messages(world)] == ["sent"]


@pytest.mark.parametrize("mail_url", ["", "smtp://127.0.0.1:1/path", "pigeon://roof"])
async def test_letters_are_kept_until_there_is_a_mail_server(
    make_world: MakeWorld, mailbox: Mailbox, mail_url: str
) -> None:
    world = await make_world(mail_url=mail_url)
    await give(world, "no-server")
    assert [one["state"] for one in await messages(world)] == ["queued"]
    (job,) = await world.jobs(state="dead")
    assert "CRM_MAIL_URL" in job["last_error"]
    world.worker.runner.settings = world.settings.model_copy(update={"mail_url": mailbox.url})
    await retry_now(world, "communications.send_letter")
    assert (mailbox.kinds, [one["state"] for one in await messages(world)]) == (["welcome"], ["sent"])


async def test_a_worker_that_died_while_the_server_had_the_letter_leaves_it_to_a_person(
    by_mail: World, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = by_mail
    runner = world.worker.runner
    finish = runner.finish

    async def dies(session: Any, job: Any) -> None:
        if job.subscriber == "communications.send_letter":
            raise RuntimeError("as if killed between the server's answer and our note of it")
        await finish(session, job)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "finish", dies)
        await world.stripe_sends(gift_event("killed", email="maria@example.org", name="Maria Silva"))
        await world.drain()
    assert mailbox.kinds == ["welcome"]
    await world.drain()
    for job in await world.jobs(subscriber="communications.send_letter"):
        if job["state"] != "done":
            await world.post(f"/v1/jobs/{job['id']}/retry", expect=200)
    await world.drain()
    assert mailbox.kinds == ["welcome"], "it must not be sent twice"
    (message,) = await messages(world)
    assert message["state"] == "unknown"
    assert "look in its log" in message["reason"]
