"""PayPal's signatures: checked here with its certificate, or by PayPal itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crm_api.kit import http
from crm_api.payments.outside import OUTSIDE
from crm_api.payments.provider import CheckUnavailable, Delivery, SignatureInvalid
from crm_api.payments.providers import PROVIDERS
from crm_api.payments.providers.paypal import certificates
from tests.support.platforms import (
    CERT_PATH,
    CERT_URL,
    NAME,
    NOW,
    PAYPAL,
    FakePlatform,
    authority_file,
    certificate,
    fake_platform,
    paypal_delivery,
    pem,
)

PROVIDER = PROVIDERS["paypal"]
EVENT = PROVIDER.sample("CHECKOUT.ORDER.APPROVED", now=NOW, seed="signature")
AUTHORITY = "Authority of the tests"


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[FakePlatform]:
    """PayPal's certificates, with our authority as the one to trust."""
    async with fake_platform() as platform:
        OUTSIDE.forget()
        http.configure(platform.urls, paypal_ca_file=authority_file(tmp_path))
        yield platform
        http.configure({})
        OUTSIDE.forget()


async def refused(delivery: Delivery, *, now: datetime = NOW, accounts: Any = (PAYPAL,)) -> str:
    """Why a delivery is refused; ``""`` where it is not."""
    try:
        await PROVIDER.check(delivery, accounts, now=now, outside=OUTSIDE)
    except SignatureInvalid as error:
        return error.code
    return ""


async def test_a_good_delivery_is_accepted_and_the_certificate_is_fetched_once(outside: FakePlatform) -> None:
    for _ in range(3):
        assert await refused(paypal_delivery(EVENT)) == ""
    assert outside.paths() == [CERT_PATH]
    (_, _, headers, _) = outside.asked[0]
    assert "authorization" not in headers


async def test_the_signature_is_over_the_raw_bytes_and_our_own_webhook(outside: FakePlatform) -> None:
    good = paypal_delivery(EVENT)
    pretty = json.dumps(EVENT, indent=1).encode()
    assert await refused(Delivery(pretty, good.headers)) == "signature_mismatch"
    assert await refused(good, accounts=[{**PAYPAL, "webhook_id": "2OTHER"}]) == "signature_mismatch"
    rotated = [{**PAYPAL, "webhook_id": "2OTHER"}, PAYPAL]
    assert await refused(good, accounts=rotated) == ""
    assert await refused(paypal_delivery(EVENT, signer="somebody else")) == "signature_mismatch"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"paypal-transmission-id": ""}, "header_missing"),
        ({"paypal-auth-algo": "SHA1withRSA"}, "algorithm_unsupported"),
        ({"paypal-transmission-time": "yesterday"}, "header_malformed"),
        ({"paypal-transmission-sig": "%%%"}, "header_malformed"),
        ({"paypal-transmission-sig": "A" * 2001}, "header_malformed"),
        ({"paypal-transmission-id": "ї"}, "header_malformed"),
    ],
)
async def test_headers_that_are_not_as_they_should_be(
    headers: dict[str, str], code: str, outside: FakePlatform
) -> None:
    assert await refused(paypal_delivery(EVENT, headers=headers)) == code


@pytest.mark.parametrize(
    "url",
    [
        "http://api.sandbox.paypal.com/v1/notifications/certs/CERT-of-the-tests",
        "https://paypal.com.evil.example/v1/notifications/certs/CERT-of-the-tests",
        "https://evilpaypal.com/v1/notifications/certs/CERT-of-the-tests",
        "https://api.paypal.com:8443/v1/notifications/certs/CERT-of-the-tests",
        "https://api.paypal.com@evil.example/v1/notifications/certs/CERT-of-the-tests",
        "https://user@api.paypal.com/v1/notifications/certs/CERT-of-the-tests",
        "https://api.paypal.com/v1/../admin",
        "https://api.paypal.com//evil.example/certs",
        "https://api.paypal.com/certs?redirect=https://evil.example",
        "https://api.paypal.com/certs#x",
        "https://api.paypal.com:port/certs",
        "https://[::1",
        "file:///etc/passwd",
    ],
)
async def test_nothing_is_fetched_from_an_address_that_is_not_paypal_s(url: str, outside: FakePlatform) -> None:
    assert await refused(paypal_delivery(EVENT, url=url)) == "certificate_refused"
    assert outside.asked == []


async def test_the_age_is_judged_by_the_organization_s_clock(outside: FakePlatform) -> None:
    good = paypal_delivery(EVENT)
    assert await refused(good, now=NOW + timedelta(days=3)) == ""
    assert await refused(good, now=NOW + timedelta(days=4, seconds=1)) == "timestamp_expired"
    assert await refused(good, now=NOW - timedelta(minutes=6)) == "timestamp_expired"


@pytest.mark.parametrize(
    "served",
    [
        lambda: pem(certificate("fake.example", AUTHORITY, names=("fake.example",))),
        lambda: pem(certificate(NAME, "Somebody else", names=(NAME,))),
        lambda: pem(certificate(NAME, names=(NAME,))),
        lambda: pem(certificate(NAME, AUTHORITY, names=(NAME,), end=NOW - timedelta(days=1))),
        lambda: pem(certificate(NAME, AUTHORITY, names=(NAME,), start=NOW + timedelta(days=1))),
        # signed by a certificate of the authority's that is no authority itself
        lambda: pem(certificate(NAME, "leaf.paypal.com", names=(NAME,)), certificate("leaf.paypal.com", AUTHORITY)),
        lambda: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        lambda: b"<html>",
        lambda: b"x" * 70_000,
    ],
)
async def test_a_certificate_that_leads_nowhere_is_refused(served: Any, outside: FakePlatform) -> None:
    outside.certificates[CERT_PATH] = served()
    assert await refused(paypal_delivery(EVENT)) == "certificate_refused"


async def test_an_authority_between_is_followed_and_one_s_own_certificate_can_be_trusted_itself(
    outside: FakePlatform, tmp_path: Path
) -> None:
    between = certificate("Between", AUTHORITY, authority=True)
    outside.certificates[CERT_PATH] = pem(certificate(NAME, "Between", names=("*.sandbox.paypal.com",)), between)
    assert await refused(paypal_delivery(EVENT)) == ""
    alone = certificate("pinned.invalid")
    (tmp_path / "pinned.pem").write_bytes(pem(alone))
    outside.certificates[CERT_PATH] = pem(alone)
    OUTSIDE.forget()
    http.configure(outside.urls, paypal_ca_file=str(tmp_path / "pinned.pem"))
    assert await refused(paypal_delivery(EVENT, signer="pinned.invalid")) == ""
    old = paypal_delivery(EVENT, signer="pinned.invalid", at=NOW + timedelta(days=500))
    assert await refused(old, now=NOW + timedelta(days=500)) == "certificate_refused"


async def test_a_certificate_that_was_good_is_not_good_for_ever(outside: FakePlatform) -> None:
    assert await refused(paypal_delivery(EVENT)) == ""
    later = NOW + timedelta(days=400)
    assert await refused(paypal_delivery(EVENT, at=later), now=later) == "certificate_refused"
    assert await refused(paypal_delivery(EVENT)) == ""


async def test_the_world_s_roots_are_trusted_where_none_is_named(outside: FakePlatform) -> None:
    http.configure(outside.urls)
    assert len(certificates._public()) > 50
    assert await refused(paypal_delivery(EVENT)) == "certificate_refused"


async def test_trouble_in_fetching_is_for_later_and_a_redirect_is_not_followed(outside: FakePlatform) -> None:
    outside.trouble = [503]
    with pytest.raises(CheckUnavailable):
        await PROVIDER.check(paypal_delivery(EVENT), [PAYPAL], now=NOW, outside=OUTSIDE)
    outside.trouble = [302]
    assert await refused(paypal_delivery(EVENT)) == "certificate_refused"
    assert await refused(paypal_delivery(EVENT)) == "certificate_refused"
    assert len(outside.asked) == 2, "an address without a certificate is not asked again and again"
    OUTSIDE.forget()
    assert await refused(paypal_delivery(EVENT)) == ""


# Asking PayPal

ASKED = {**PAYPAL, "verification": "api"}


async def test_paypal_is_asked_with_the_event_byte_for_byte(outside: FakePlatform) -> None:
    body = json.dumps(EVENT, indent=2).encode()
    questions: list[dict[str, Any]] = []
    outside.verdicts = lambda question: questions.append(question) or True  # type: ignore[func-returns-value]
    sent = paypal_delivery(body, headers={"paypal-transmission-sig": "c2lnbmVk"})
    for _ in range(2):
        assert await refused(sent, accounts=[ASKED]) == ""
    assert body in questions[0]["raw"]
    assert {name: questions[0][name] for name in ("webhook_id", "cert_url", "auth_algo", "transmission_sig")} == {
        "webhook_id": PAYPAL["webhook_id"],
        "cert_url": CERT_URL,
        "auth_algo": "SHA256withRSA",
        "transmission_sig": "c2lnbmVk",
    }
    assert outside.paths().count("/v1/oauth2/token") == 1, "the token is remembered"


async def test_a_failure_is_final_and_there_is_no_other_way_round(outside: FakePlatform) -> None:
    outside.verdicts = lambda question: False
    assert await refused(paypal_delivery(EVENT), accounts=[ASKED]) == "signature_mismatch"
    assert CERT_PATH not in outside.paths()


@pytest.mark.parametrize("body", [b'{"id":"WH-1"},"webhook_id":"2EVIL"', b"", b"[]", b"nothing", b'{"a":NaN}'])
async def test_a_body_cannot_bring_members_of_its_own_into_the_question(body: bytes, outside: FakePlatform) -> None:
    sent = Delivery(body, paypal_delivery(EVENT).headers)
    assert await refused(sent, accounts=[ASKED]) == "signature_mismatch"
    assert outside.asked == []


async def test_an_expired_token_is_renewed_and_wrong_credentials_are_for_later(
    outside: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crm_api.payments.providers.paypal import api

    monkeypatch.setattr(api, "_RENEWED_AT_MOST", 0.0)
    assert await refused(paypal_delivery(EVENT), accounts=[ASKED]) == ""
    outside.expired = True
    assert await refused(paypal_delivery(EVENT), accounts=[ASKED]) == ""
    assert outside.tokens == 2
    for trouble in (500, 429):
        outside.trouble = [trouble]
        with pytest.raises(CheckUnavailable):
            await PROVIDER.check(paypal_delivery(EVENT), [ASKED], now=NOW, outside=OUTSIDE)
    with pytest.raises(CheckUnavailable):
        wrong = {**ASKED, "client_secret": "wrong"}
        await PROVIDER.check(paypal_delivery(EVENT), [wrong], now=NOW, outside=OUTSIDE)
