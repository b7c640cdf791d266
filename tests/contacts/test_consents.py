"""Consent over HTTP: what people say is kept, decides every letter, and can be taken back with one click."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import pytest

from crm_api.communications.deliveries.permits import further_headers
from crm_api.contacts.consents.unsubscribe import Ticket, make_token
from crm_api.kit.crypto import Vault
from tests.support.settings import SECRET_KEY
from tests.support.world import World

LISTS = {"lists": [{"code": "monthly", "purpose": "newsletter", "name": "Monthly <letter>"}]}


async def says(world: World, contact: Any, status: str, *, expect: int = 201, **more: Any) -> Any:
    body = {"status": status, **({"legal_basis": "consent"} if status == "granted" else {}), **more}
    return await world.post(f"/v1/contacts/{contact['id']}/consents", body, expect=expect)


async def may(world: World, contact: Any, purpose: str = "newsletter", **query: str) -> tuple[bool, str]:
    params = {"channel": "email", "purpose": purpose, **query}
    found = await world.get(f"/v1/contacts/{contact['id']}/can-contact", params=params)
    return found["allowed"], found["reason"]


def link(world: World, contact: Any, purpose: str = "newsletter", list_: str | None = None) -> str:
    token = make_token(Vault([SECRET_KEY]), Ticket(world.id, UUID(contact["id"]), purpose, list_))
    return f"/v1/unsubscribe/{token}"


async def test_a_grant_its_evidence_and_its_end(world: World) -> None:
    contact = await world.contact()
    assert await may(world, contact) == (False, "no_consent")
    evidence = {"form_url": "https://example.org/join", "ip": "192.0.2.7"}
    granted = await says(
        world, contact, "granted", purpose="newsletter", channel="email", wording="Yes, please.", evidence=evidence
    )
    assert granted["evidence"]["form_url"] == "https://example.org/join"
    assert granted["evidence"]["ip_hash"]
    assert "192.0.2.7" not in str(await world.get(f"/v1/contacts/{contact['id']}/consents"))
    assert await may(world, contact) == (True, "granted")
    found = await world.get(
        f"/v1/contacts/{contact['id']}/can-contact", params={"channel": "email", "purpose": "newsletter"}
    )
    assert (found["event_id"], found["legal_basis"]) == (granted["id"], "consent")
    ended = await says(world, contact, "withdrawn", purpose="newsletter", channel="email", source="phone call")
    assert await may(world, contact) == (False, "withdrawn")
    history = (await world.get(f"/v1/contacts/{contact['id']}/consents"))["data"]
    assert [(one["id"], one["is_current"]) for one in history] == [(ended["id"], True), (granted["id"], False)]
    plain = {"purpose": "newsletter", "channel": "sms", "status": "granted"}
    assert (await world.post(f"/v1/contacts/{contact['id']}/consents", plain))["legal_basis"] == "consent"
    late = await says(world, contact, "granted", purpose="newsletter", channel="email", at="2020-01-01T00:00:00Z")
    assert not late["is_current"], "what was said earlier and recorded later decides nothing"
    assert await may(world, contact) == (False, "withdrawn")


async def test_what_does_not_fit_is_refused_in_words(world: World) -> None:
    contact = await world.contact()
    for body, pointer in (
        ({"status": "withdrawn", "legal_basis": "consent"}, ""),
        ({"status": "withdrawn", "list": "monthly"}, ""),
        ({"status": "withdrawn", "purpose": "unheard_of"}, "/purpose"),
        ({"status": "withdrawn", "purpose": "newsletter", "list": "unheard_of"}, "/list"),
        ({"status": "withdrawn", "at": "2190-01-01T00:00:00Z"}, "/at"),
        ({"status": "withdrawn", "evidence": {"ip": "here"}}, "/evidence/ip"),
    ):
        problem = await world.post(f"/v1/contacts/{contact['id']}/consents", body, expect=422)
        assert problem["errors"][0]["pointer"] == pointer, problem
    nobody = "01938d6e-5a00-7000-8000-0000000000aa"
    body = {"status": "withdrawn", "evidence": {"document_id": nobody}}
    problem = await world.post(f"/v1/contacts/{contact['id']}/consents", body, expect=404)
    assert problem["errors"][0]["pointer"] == "/evidence/document_id"
    await world.post(f"/v1/contacts/{nobody}/consents", {"status": "withdrawn"}, expect=404)
    await world.get(f"/v1/contacts/{nobody}/can-contact?channel=email&purpose=newsletter", expect=404)
    await world.get(f"/v1/contacts/{contact['id']}/can-contact?channel=email&purpose=unheard_of", expect=422)


async def test_the_organizations_own_lists_and_bases(world: World) -> None:
    contact = await world.contact()
    body = {**LISTS, "purposes": [{"code": "surveys", "legal_basis": "legitimate_interest"}], "retention_years": 10}
    saved = await world.put("/v1/privacy-settings", body)
    assert saved == await world.get("/v1/privacy-settings")
    assert {"code": "transactional", "legal_basis": "contract"} in saved["purposes"]
    assert await may(world, contact, "surveys") == (True, "legal_basis")
    await says(world, contact, "objected", purpose="surveys")
    assert await may(world, contact, "surveys") == (False, "objected")
    await says(world, contact, "granted", purpose="newsletter", list="monthly")
    assert await may(world, contact, list="monthly") == (True, "granted")
    await world.put(
        "/v1/privacy-settings", {"lists": [{"code": "x1", "purpose": "none_such", "name": "X"}]}, expect=422
    )


async def test_the_contacts_own_state_decides_first(world: World) -> None:
    contact = await world.contact()
    await says(world, contact, "granted", purpose="newsletter")
    path = f"/v1/contacts/{contact['id']}"
    for status in ("bouncing", "invalid", "opted_out"):
        await world.patch(path, {"emails": [{"address": "olena@example.org", "is_primary": True, "status": status}]})
        assert await may(world, contact) == (False, f"address_{status}")
    assert await may(world, contact, channel="sms") == (False, "no_address")
    await world.patch(path, {"do_not_contact": True})
    assert await may(world, contact) == (False, "do_not_contact")
    await world.patch(path, {"deceased": True})
    assert await may(world, contact, "transactional") == (False, "deceased")


# Letters


async def messages(world: World) -> list[Any]:
    return list((await world.get("/v1/messages"))["data"])


async def test_every_letter_says_by_what_right_it_was_written(world: World) -> None:
    silent, grants, leaves, objects = [await world.contact(given_name=name) for name in "ABCD"]
    granted = await says(world, grants, "granted", legal_basis="contract", purpose="transactional")
    await says(world, leaves, "withdrawn")
    await says(world, objects, "objected")
    for contact in (silent, grants, leaves, objects):
        await world.donation(contact["id"])
    await world.drain()
    found = {one["contact_id"]: one for one in await messages(world)}
    for contact, state, basis, event in (
        (silent, "sent", "contract", None),
        (grants, "sent", "contract", granted["id"]),
        (leaves, "sent", "contract", None),
        (objects, "suppressed", None, None),
    ):
        one = found[contact["id"]]
        assert (one["state"], one["purpose"], one["legal_basis"], one["consent_event_id"]) == (
            state, "transactional", basis, event,
        )  # fmt: skip
    assert found[objects["id"]]["reason"] == "the contact objected to such letters"


async def test_postgres_itself_keeps_no_letter_without_a_right(world: World, service_role: asyncpg.Connection) -> None:
    await world.donation((await world.contact())["id"])
    await world.drain()
    with pytest.raises(asyncpg.CheckViolationError):
        async with service_role.transaction():
            await service_role.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
            await service_role.execute("UPDATE messages SET legal_basis = NULL, consent_event_id = NULL")


async def test_events_are_evidence(world: World, service_role: asyncpg.Connection) -> None:
    """No role of the service changes or removes what was said; a merge may only say whose it is now."""
    await says(world, await world.contact(), "withdrawn")
    for statement in ("UPDATE consent_events SET status = 'granted'", "UPDATE consent_events SET at = now()",
                      "UPDATE consent_events SET purpose = NULL", "DELETE FROM consent_events"):  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service_role.execute(statement)
    await service_role.execute("UPDATE consent_events SET contact_id = contact_id")


# Leaving


async def _post(world: World, path: str, form: str = "List-Unsubscribe=One-Click", expect: int = 200) -> str:
    kind = "application/x-www-form-urlencoded"
    answer = await world.client.post(path, content=form, headers={"Authorization": "", "Content-Type": kind})
    assert answer.status_code == expect, answer.text
    return answer.text


async def test_one_click_leaves_the_list_and_only_it(world: World) -> None:
    await world.put("/v1/privacy-settings", LISTS)
    contact = await world.contact(language="uk")
    await says(world, contact, "granted", purpose="newsletter", channel="email")
    path = link(world, contact, "newsletter", "monthly")
    page = await world.client.get(path, headers={"Authorization": ""})
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src" not in page.headers["content-security-policy"]
    assert 'lang="uk"' in page.text
    assert "Monthly &lt;letter&gt;" in page.text
    for private in ("olena", "Олена", "Шевченко", contact["id"]):
        assert private not in page.text
    assert await may(world, contact, list="monthly") == (True, "granted"), "looking changes nothing"
    for _ in range(2):
        await _post(world, path)
    assert await may(world, contact, list="monthly") == (False, "withdrawn")
    assert await may(world, contact) == (True, "granted")
    events = (await world.get(f"/v1/contacts/{contact['id']}/consents"))["data"]
    assert len(events) == 2, "leaving twice is leaving once"
    assert (events[0]["source"], events[0]["recorded_by_kind"]) == ("unsubscribe", "contact")
    assert "Припинено" in (await world.client.get(path)).text


async def test_the_page_offers_to_leave_everything(world: World) -> None:
    contact = await world.contact()
    for purpose in ("newsletter", "fundraising"):
        await says(world, contact, "granted", purpose=purpose)
    path = link(world, contact)
    await _post(world, path, "choice=purpose")
    assert [await may(world, contact, one) for one in ("newsletter", "fundraising")] == [
        (False, "withdrawn"), (True, "granted"),
    ]  # fmt: skip
    await _post(world, path, "choice=all")
    assert await may(world, contact, "fundraising") == (False, "withdrawn")
    assert await may(world, contact, "transactional") == (True, "legal_basis")
    await _post(world, path, "choice=nothing", expect=400)


async def test_a_link_that_is_not_ours_opens_nothing(world: World) -> None:
    contact = await world.contact()
    path = link(world, contact)
    stranger = "/v1/unsubscribe/" + make_token(Vault(["b" * 43]), Ticket(world.id, UUID(contact["id"]), "events", None))
    for wrong in (path[:-2] + ("AA" if path[-2:] != "AA" else "BB"), path + "A", stranger, path[:40]):
        await world.get(wrong, expect=404)
        await _post(world, wrong, expect=404)
    assert (await world.get(f"/v1/contacts/{contact['id']}/consents"))["data"] == []


async def test_a_link_follows_a_merge(world: World, service_role: asyncpg.Connection) -> None:
    old, survivor = await world.contact(), await world.contact(given_name="Olena")
    async with service_role.transaction():
        await service_role.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        await service_role.execute(
            "UPDATE contacts SET merged_into = $1 WHERE id = $2", UUID(survivor["id"]), UUID(old["id"])
        )
    await _post(world, link(world, old), "choice=all")
    (event,) = (await world.get(f"/v1/contacts/{survivor['id']}/consents"))["data"]
    assert (event["status"], event["purpose"], event["contact_id"]) == ("withdrawn", None, survivor["id"])
    await world.get(f"/v1/contacts/{old['id']}/consents", expect=301)


def test_marketing_letters_carry_the_way_out_and_letters_of_record_do_not() -> None:
    ids = UUID(int=1)
    row: dict[str, Any] = {"organization_id": ids, "contact_id": ids, "purpose": "newsletter", "list": None}
    vault = Vault([SECRET_KEY])
    headers = further_headers(row, vault, "https://crm.example.org/")
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["List-Unsubscribe"].startswith("<https://crm.example.org/v1/unsubscribe/")
    assert further_headers({**row, "purpose": "transactional"}, vault, "https://crm.example.org") == {}
