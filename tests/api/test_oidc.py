"""Signing in with tokens of an OpenID Connect issuer: only its own keys, its own audience, members only."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from crm_api.auth import oidc
from crm_api.auth.scopes import ROLE_SCOPES
from crm_api.kit import clock
from crm_api.settings import OidcIssuer
from tests.api.issuer import AUDIENCE, Issuer, run_issuer
from tests.api.surface import operations, problem_of, send
from tests.support.world import World


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """An issuer on this machine."""
    async with run_issuer() as made:
        yield made


@pytest.fixture
async def signed(issuer: Issuer, make_world: Any) -> World:
    """An organization whose members sign in with that issuer; Olena is a fundraiser."""
    world: World = await make_world(oidc_issuers=[OidcIssuer(issuer=issuer.url, audience=AUDIENCE)])
    await world.post("/v1/members", {"email": "Olena@Fund.example", "role": "fundraiser"})
    return world


async def ask(world: World, token: str, path: str = "/v1/contacts", **headers: str) -> Any:
    """GET with a token."""
    sent = {"authorization": f"Bearer {token}", "x-organization-id": str(world.id), **headers}
    raw = [(name.encode(), value.encode()) for name, value in sent.items()]
    return await send(world, "GET", path, headers=raw, authorized=False)


async def refused(
    world: World, token: str, code: str = "token_invalid", status: int = 401, *, organization: str | None = None
) -> None:
    """The token does not sign anybody in, and is not repeated."""
    answer = await ask(world, token, **({} if organization is None else {"x-organization-id": organization}))
    assert answer.status == status, answer.text
    assert problem_of(answer, never=[token[:40]] if len(token) > 40 else [])["code"] == code


async def test_a_member_has_the_scopes_of_the_role(signed: World, issuer: Issuer) -> None:
    token = issuer.token()
    allowed: set[str] = set()
    denied: set[str] = set()
    for operation in operations():
        if operation.method == "GET" and operation.scope and not operation.in_path:
            answer = await ask(signed, token, operation.path)
            assert answer.status in {200, 403, 422}
            if answer.status != 422:  # what it must be asked is missing
                (allowed if answer.status == 200 else denied).add(operation.scope)
    assert allowed <= ROLE_SCOPES["fundraiser"]
    assert not denied & ROLE_SCOPES["fundraiser"]
    assert {"contacts:read", "donations:read"} <= allowed
    assert {"api_keys:read", "payments:read"} <= denied
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"], "the keys are fetched once"


async def test_what_a_member_does_is_theirs_in_the_audit(signed: World, issuer: Issuer, owner: Any) -> None:
    headers = {"Authorization": f"Bearer {issuer.token()}", "X-Organization-Id": str(signed.id)}
    made = await signed.post("/v1/contacts", {"given_name": "A"}, headers=headers)
    (member,) = (await signed.get("/v1/members"))["data"]
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{signed.id}'")
        row = await owner.fetchrow("SELECT * FROM audit_events WHERE resource_id = $1", made["id"])
    assert (row["actor_kind"], row["actor_id"]) == ("member", member["id"])


async def test_claims_that_do_not_hold(signed: World, issuer: Issuer) -> None:
    now = int(time.time())
    for changes in (
        {"aud": "another"}, {"aud": ["another"]}, {"aud": ...}, {"exp": now - 31}, {"exp": ...}, {"exp": "soon"},
        {"sub": ...}, {"nbf": now + 600}, {"exp": 0}, {"iat": now + 3600},
    ):  # fmt: skip
        await refused(signed, issuer.token(**changes))
    assert (await ask(signed, issuer.token(aud=["another", AUDIENCE]))).status == 200
    await refused(signed, issuer.token(iss="http://127.0.0.1:1"), "issuer_unknown")
    await refused(signed, issuer.token(iss=f"{issuer.url}/"), "issuer_unknown")
    await refused(signed, issuer.token(iss=...), "issuer_unknown")


def _unsigned(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _hs256(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    signing_input = _unsigned(header, claims).rpartition(".")[0]
    signature = hmac.digest(secret, signing_input.encode(), "sha256")
    return f"{signing_input}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


async def test_signatures_that_do_not_hold(signed: World, issuer: Issuer) -> None:
    claims = issuer.claims()
    for kind in ("none", "None", "NONE", ""):
        await refused(signed, _unsigned({"alg": kind}, claims))
        await refused(signed, _unsigned({"alg": kind, "kid": "rsa-1"}, claims, b"x"))
    # Key confusion: the published key as an HMAC secret, in the forms it may be had in.
    public = issuer.keys[0]
    pem = public.as_pem(private=False)
    for secret in (pem, pem.strip(), json.dumps(public.as_dict(private=False)).encode()):
        await refused(signed, _hs256({"alg": "HS256", "kid": "rsa-1"}, claims, secret))
    stranger = RSAKey.generate_key(2048, {"kid": "rsa-1"})
    await refused(signed, issuer.token(stranger))
    embedded = {"jwk": stranger.as_dict(private=False)}
    await refused(signed, issuer.token(stranger, header=embedded))
    await refused(signed, issuer.token(stranger, header={"jku": f"{issuer.url}/keys"}))
    await refused(signed, issuer.token(header={"alg": "RS512"}))  # a good signature by an algorithm that is not listed
    good = issuer.token()
    head, body, signature = good.split(".")
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    await refused(signed, f"{head}.{body}.{flipped}")
    await refused(signed, f"{head}.{_unsigned({}, issuer.claims(sub='subject-2')).split('.')[1]}.{signature}")
    await refused(signed, f"{head}.{body}.")


async def test_a_rotated_key_is_fetched_when_a_token_names_it(
    signed: World, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = issuer.token()
    assert (await ask(signed, old)).status == 200
    for kind in ("EC", "OKP", "RSA"):
        issuer.rotate(kind)
        fresh = issuer.token()
        asked = len(issuer.asked)
        await refused(signed, fresh)  # the set is too young to be fetched again: strangers cannot make us call out
        assert len(issuer.asked) == asked
        monkeypatch.setattr(oidc, "_REFETCH_SECONDS", -1.0)
        assert (await ask(signed, fresh)).status == 200, kind
        monkeypatch.undo()
    signed.app.state.services.authenticator.forget(signed.id)
    await refused(signed, old)


async def test_an_issuer_that_is_away(signed: World, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 as long as its keys were never seen; those that were are used on."""
    issuer.broken = True
    answer = await ask(signed, issuer.token())
    assert (answer.status, problem_of(answer)["code"]) == (503, "unavailable")
    issuer.broken = False
    assert (await ask(signed, issuer.token())).status == 200
    issuer.broken = True
    monkeypatch.setattr(oidc, "_KEYS_SECONDS", -1.0)
    assert (await ask(signed, issuer.token())).status == 200
    await refused(signed, issuer.token(ECKey.generate_key("P-256", {"kid": "unknown"})))


async def test_who_is_not_a_member(signed: World, issuer: Issuer, make_world: Any) -> None:
    for changes in ({"email": "mallory@fund.example"}, {"email": ...}, {"email_verified": False}, {"email_verified": ...},
                    {"email_verified": "true"}, {"email": ["olena@fund.example"]}):  # fmt: skip
        await refused(signed, issuer.token(**changes), "not_a_member", 403)
    other: World = await make_world(oidc_issuers=signed.settings.oidc_issuers)
    await refused(other, issuer.token(), "not_a_member", 403)
    await refused(signed, issuer.token(), "not_a_member", 403, organization=str(other.id))
    for wrong in ("", "x", "null"):
        await refused(signed, issuer.token(), "organization_missing", organization=wrong)


async def test_a_member_is_bound_to_the_first_subject(signed: World, issuer: Issuer) -> None:
    """Who gets the mailbox later does not get the account; who changes the address keeps it."""
    assert (await ask(signed, issuer.token())).status == 200
    await refused(signed, issuer.token(sub="subject-2"), "not_a_member", 403)
    assert (await ask(signed, issuer.token(email="new@fund.example"))).status == 200
    assert (await ask(signed, issuer.token(email_verified=False))).status == 200


async def test_a_disabled_member_and_a_changed_role(signed: World, issuer: Issuer) -> None:
    token = issuer.token()
    (member,) = (await signed.get("/v1/members"))["data"]
    assert (await ask(signed, token, "/v1/donations")).status == 200
    await signed.patch(f"/v1/members/{member['id']}", {"role": "volunteer_coordinator"})
    answer = await ask(signed, token, "/v1/donations")
    assert (answer.status, problem_of(answer)["scope"]) == (403, "donations:read")
    await signed.patch(f"/v1/members/{member['id']}", {"status": "disabled"})
    await refused(signed, token, "not_a_member", 403)
    await signed.patch(f"/v1/members/{member['id']}", {"status": "active"})
    assert (await ask(signed, token)).status == 200


async def test_a_token_that_ends_while_it_is_remembered(
    signed: World, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issuer.token(exp=int(time.time()) + 1)
    assert (await ask(signed, token)).status == 200
    later = clock.utc_now
    monkeypatch.setattr(clock, "utc_now", lambda: later() + oidc_leeway())
    await refused(signed, token, "credentials_expired")


def oidc_leeway() -> Any:
    """A little more than the tolerance for clocks that differ."""
    from datetime import timedelta

    return timedelta(seconds=oidc._LEEWAY + 2)


async def test_without_an_issuer_tokens_are_refused(world: World, issuer: Issuer) -> None:
    await refused(world, issuer.token(), "oidc_disabled")


async def test_the_organization_may_come_from_the_token(issuer: Issuer, make_world: Any) -> None:
    settings = OidcIssuer(issuer=issuer.url, audience=AUDIENCE, organization_claim="org", jwks_url=f"{issuer.url}/keys")
    world: World = await make_world(oidc_issuers=[settings])
    await world.post("/v1/members", {"email": "olena@fund.example", "role": "viewer"})
    other: World = await make_world(oidc_issuers=[settings])
    token = issuer.token(org=str(world.id))
    assert (await ask(world, token, **{"x-organization-id": str(other.id)})).status == 200, "the token decides"
    await refused(world, issuer.token(org="x"), "organization_missing")
    await refused(world, issuer.token(org=str(other.id)), "not_a_member", 403)
    assert "/.well-known/openid-configuration" not in issuer.asked
