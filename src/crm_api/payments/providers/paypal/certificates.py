"""The certificate that a delivery is signed with: fetched once, led back to what we trust, good at the time asked for.

Trusted are the public roots that our own HTTPS trusts, or what stands in `CRM_PAYPAL_CA_FILE` instead: an authority, or
one certificate itself. PayPal's address gives the certificate alone at times; the one that issued it is then asked for
at its authority, and has to lead to a root as any other.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from crm_api.kit import http
from crm_api.payments.provider import CheckUnavailable, Outside, SignatureInvalid
from crm_api.payments.providers.paypal.signature import Transmission

if TYPE_CHECKING:
    from cryptography.x509.verification import ExtensionPolicy, Policy

_SERVICE = "paypal_certs"
_KEPT, _REFUSED = 86_400.0, 60.0
"""Seconds until a certificate is fetched anew, and until one that could not be had is asked for again."""
_LARGEST = 64 * 1024
_MOST = 6
_ISSUERS = "http://cacerts.digicert.com"
"""Where PayPal's authority publishes its certificates; each is proven by its signature, so plain HTTP is no harm."""


@dataclass(slots=True)
class Chain:
    """A certificate and those that came with it, and when it was found to be good."""

    certificates: tuple[x509.Certificate, ...]
    good: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    """From when to when it leads to what is trusted, by the file that says what that is."""


async def check(transmission: Transmission, message: bytes, *, now: datetime, outside: Outside) -> bool:
    """Whether the message is signed with the certificate that the transmission names.

    Raises `SignatureInvalid` where that certificate is none to trust, `CheckUnavailable` where it cannot be had.
    """
    chain = await _chain(transmission, outside)
    if not chain.certificates:
        raise SignatureInvalid("certificate_refused")
    _trust(chain, now)
    key = chain.certificates[0].public_key()
    if not isinstance(key, RSAPublicKey):
        raise SignatureInvalid("certificate_refused")
    try:
        key.verify(transmission.raw_signature(), message, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


async def _chain(transmission: Transmission, outside: Outside) -> Chain:
    place = http.overridden(_SERVICE) or f"https://{transmission.host}"
    key = f"paypal:certificate:{place}{transmission.path}"

    async def fetch() -> Chain:
        found = _certificates(await _get(outside, _SERVICE, place, transmission.path))
        if len(found) == 1 and http.trusted(_SERVICE) is None:
            found += await _issuer(found[0], outside)
        return Chain(tuple(found))

    chain = await outside.remembered(key, fetch, seconds=_KEPT)
    return chain if chain.certificates else await outside.remembered(key, fetch, seconds=_REFUSED)


async def _get(outside: Outside, service: str, default: str, path: str) -> bytes:
    """A small file; nothing where there is none. No redirect is followed."""
    import httpx

    try:
        async with outside.client(service, default) as client, client.stream("GET", path) as response:
            if response.status_code == 429 or response.status_code >= 500:
                raise CheckUnavailable
            if response.status_code != 200:
                return b""
            body = b""
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _LARGEST:
                    return b""
            return body
    except httpx.HTTPError as error:
        raise CheckUnavailable from error


async def _issuer(leaf: x509.Certificate, outside: Outside) -> list[x509.Certificate]:
    """The certificate that issued another, from its authority's own address; nothing where it is elsewhere."""
    try:
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    for one in access:
        place = one.access_location
        if one.access_method != AuthorityInformationAccessOID.CA_ISSUERS:
            continue
        if isinstance(place, x509.UniformResourceIdentifier) and place.value.startswith(f"{_ISSUERS}/"):
            try:
                return _certificates(await _get(outside, "paypal_issuers", _ISSUERS, place.value[len(_ISSUERS) :]))
            except CheckUnavailable:
                return []
    return []


def _certificates(body: bytes) -> list[x509.Certificate]:
    """The certificates of a file, the one that signs first."""
    try:
        found = (
            x509.load_pem_x509_certificates(body) if b"-----BEGIN" in body else [x509.load_der_x509_certificate(body)]
        )
    except ValueError:
        return []
    return found if len(found) <= _MOST else []


def _trust(chain: Chain, now: datetime) -> None:
    """Refuse a certificate that does not lead to what is trusted, or not at this time."""
    file = http.trusted(_SERVICE) or ""
    if file not in chain.good or not chain.good[file][0] <= now <= chain.good[file][1]:
        path = _path(chain.certificates, _own(file) if file else _public(), now, own=bool(file))
        chain.good[file] = (
            max(one.not_valid_before_utc for one in path),
            min(one.not_valid_after_utc for one in path),
        )
        _trust_now(chain.good[file], now)


def _trust_now(good: tuple[datetime, datetime], now: datetime) -> None:
    if not good[0] <= now <= good[1]:
        raise SignatureInvalid("certificate_refused")


def _path(
    given: tuple[x509.Certificate, ...], anchors: tuple[x509.Certificate, ...], now: datetime, *, own: bool
) -> tuple[x509.Certificate, ...]:
    """The certificates from the one that signs to what is trusted."""
    from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

    leaf, *others = given
    if leaf in anchors:  # this very certificate was entered as the one to trust
        return (leaf,)
    name = _name(leaf)
    if name is None or not anchors:
        raise SignatureInvalid("certificate_refused")
    builder = PolicyBuilder().store(Store(list(anchors))).time(now.astimezone(UTC))
    try:
        if not own:
            return tuple(builder.build_server_verifier(x509.DNSName(name)).verify(leaf, others))
        ends, authorities = _lenient()
        builder = builder.extension_policies(ca_policy=authorities, ee_policy=ends)
        return tuple(builder.build_client_verifier().verify(leaf, others).chain)
    except (VerificationError, ValueError) as error:
        raise SignatureInvalid("certificate_refused") from error


def _lenient() -> tuple[ExtensionPolicy, ExtensionPolicy]:
    """What an authority of the operator's own must have in its certificates: that it is one; no more."""
    from cryptography.x509.verification import Criticality, ExtensionPolicy

    def is_authority(policy: Policy, certificate: x509.Certificate, extension: x509.BasicConstraints) -> None:
        if not extension.ca:
            raise ValueError("not an authority")

    authorities = ExtensionPolicy.permit_all().require_present(
        x509.BasicConstraints, Criticality.AGNOSTIC, is_authority
    )
    return ExtensionPolicy.permit_all(), authorities


def _name(leaf: x509.Certificate) -> str | None:
    """The certificate's name below paypal.com."""
    try:
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = alternatives.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        names = [str(one.value) for one in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    found = [name.lower().replace("*", "any", 1) for name in names if name.lower().endswith(".paypal.com")]
    return found[0] if found else None


def _own(file: str) -> tuple[x509.Certificate, ...]:
    """What the settings trust."""
    try:
        return _read(file, Path(file).stat().st_mtime_ns)
    except (OSError, ValueError) as error:
        raise CheckUnavailable from error


@lru_cache(maxsize=4)
def _read(file: str, _changed: int) -> tuple[x509.Certificate, ...]:
    return tuple(x509.load_pem_x509_certificates(Path(file).read_bytes()))


@lru_cache(maxsize=1)
def _public() -> tuple[x509.Certificate, ...]:
    """The roots that our own HTTPS trusts. Some of the old ones are of no form that is still allowed."""
    import httpx

    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for one in httpx.create_ssl_context(trust_env=False).get_ca_certs(binary_form=True):
            try:
                found.append(x509.load_der_x509_certificate(one))
            except (ValueError, Warning):
                continue
    return tuple(found)
