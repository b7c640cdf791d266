"""Where to send to: the running `crm-api dev` or any API, and a connection whose secret is known."""

from __future__ import annotations

import json
import os
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from crm_api.payments.providers import PROVIDERS
from crm_api.payments.providers.monobank import simulated_account
from crm_api.simulate.api import Api, NotFound
from crm_api.simulate.trouble import SimulationTrouble

NAME = "Simulator"
_MEMORY = "simulate.json"
_CREDENTIALS: Mapping[str, Callable[[], dict[str, str]]] = {
    "stripe": lambda: {"webhook_secret": f"whsec_{secrets.token_urlsafe(24)}"},
    "monobank": lambda: simulated_account(secrets.token_urlsafe(24)),
    "monobank_personal": lambda: {"secret": secrets.token_urlsafe(24)},
    "liqpay": lambda: {"public_key": "sandbox_i00000000000", "private_key": f"sandbox_{secrets.token_urlsafe(24)}"},
    "wayforpay": lambda: {"merchant_account": "simulated_merchant", "secret_key": secrets.token_urlsafe(24)},
    "paypal": lambda: {
        "client_id": "simulated",
        "client_secret": secrets.token_urlsafe(24),
        "webhook_id": secrets.token_hex(8).upper(),
    },
    "donorbox": lambda: {"secret": secrets.token_urlsafe(24)},
    "gofundme_pro": lambda: {"secret": f"whsec_{b64encode(secrets.token_bytes(24)).decode()}"},
    "givebutter": lambda: {"secret": secrets.token_urlsafe(24)},
    "generic": lambda: {"secret": f"whsec_{b64encode(secrets.token_bytes(24)).decode()}"},
    "fondy": lambda: {"merchant_id": "1700000", "secret_key": secrets.token_urlsafe(24)},
}
"""How to make up credentials for a connection of our own, by provider."""


@dataclass(frozen=True, slots=True)
class Place:
    """An API, a key of it, and where it writes letters if that is known."""

    base_url: str
    api_key: str
    mail_dir: Path | None


def find_place(base_url: str, api_key: str, data_dir: Path) -> Place:
    """What was asked for; for the rest, what `crm-api dev` wrote down."""
    known = _read(data_dir / "dev.json")
    ours = not base_url or base_url.rstrip("/") == known.get("base_url")
    if not base_url and known and "base_url" not in known:
        raise SimulationTrouble("`crm-api dev` is still starting; wait until it says that it is ready, then try again.")
    if not base_url and not known:
        raise SimulationTrouble(
            f"There is no {data_dir / 'dev.json'}, so nothing runs from here. Start everything with `make run` (or "
            "`crm-api dev`), or name an API: --base-url and --api-key."
        )
    key = api_key or (known.get("api_key", "") if ours else "")
    if not key:
        raise SimulationTrouble(
            "Say with which key: --api-key or CRM_API_KEY. `crm-api keys create` makes one for an organization."
        )
    mail = known.get("mail_dir") if ours else None
    return Place(base_url or known["base_url"], key, Path(mail) if mail else None)


@dataclass(frozen=True, slots=True)
class Connection:
    """A payment connection and what signs for it."""

    id: str
    name: str
    account: Mapping[str, str]
    """Its credentials, as far as they are known here."""


def find_connection(
    api: Api, provider: str, organization: Mapping[str, Any], *, connection: str, secret: str, data_dir: Path
) -> Connection:
    """The connection asked for, the one of the last time, or a new one."""
    file = data_dir / _MEMORY
    memory = _read(file)
    if connection:
        return _given(api, provider, connection, secret, memory)
    if secret:
        raise SimulationTrouble("A secret belongs to a connection: give --connection with its id too.")
    if organization["mode"] == "live":
        raise SimulationTrouble(
            "This is a live organization: an invented gift would stand in its books. If you mean it, give "
            "--connection and --secret."
        )
    place = f"{organization['id']}/{provider}"
    known = memory.get(place, {})
    if known and (row := _existing(api, known["connection_id"])) is not None and row["status"] == "active":
        return Connection(row["id"], row["name"], _account(provider, known))
    if provider not in _CREDENTIALS:
        raise SimulationTrouble(f"Connect {provider} first, then give --connection and --secret.")
    credentials = _CREDENTIALS[provider]()
    row = api.post("/v1/payment-connections", {"provider": provider, "name": NAME, "credentials": credentials})
    made = Connection(row["id"], row["name"], credentials)
    _write(file, {**memory, place: {"connection_id": made.id, "credentials": credentials}})
    return made


def _account(provider: str, known: Mapping[str, Any]) -> dict[str, str]:
    """What was written down of a connection; formerly that was its secret alone."""
    if "credentials" in known:
        return dict(known["credentials"])
    return {PROVIDERS[provider].secret or "secret": known["secret"]}


def _said(provider: str, secret: str) -> dict[str, str]:
    """What was given as the secret: the one that signs, or all credentials as a JSON object."""
    if not secret.startswith("{"):
        return {PROVIDERS[provider].secret or "secret": secret}
    try:
        found = json.loads(secret)
    except ValueError:
        raise SimulationTrouble("--secret begins like a JSON object of credentials, but is none.") from None
    return {str(name): str(value) for name, value in found.items()}


def _given(api: Api, provider: str, connection: str, secret: str, memory: Mapping[str, Any]) -> Connection:
    try:
        UUID(connection)
    except ValueError:
        raise SimulationTrouble("--connection must be the id of a connection; GET /v1/payment-connections.") from None
    row = _existing(api, connection)
    if row is None:
        raise SimulationTrouble("The organization has no payment connection with this id.")
    if row["provider"] != provider:
        raise SimulationTrouble(f"The connection {row['name']} is one of {row['provider']}, not of {provider}.")
    if row["status"] != "active":
        raise SimulationTrouble(f"The connection {row['name']} is {row['status']}; PATCH its status to active first.")
    known = next((item for item in memory.values() if item.get("connection_id") == connection), None)
    if not (secret or known):
        raise SimulationTrouble(
            "Give the connection's secret too: --secret or CRM_WEBHOOK_SECRET. The API never shows it again. One "
            "that needs more to sign (LiqPay needs both keys) takes all credentials there, as a JSON object."
        )
    return Connection(row["id"], row["name"], _said(provider, secret) if secret else _account(provider, known or {}))


def _existing(api: Api, connection_id: str) -> dict[str, Any] | None:
    try:
        row: dict[str, Any] = api.get(f"/v1/payment-connections/{connection_id}")
    except NotFound:
        return None
    return row


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: Path, content: Mapping[str, Any]) -> None:
    """For this user's eyes only, whole or not at all."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(content, out, indent=2)
        temporary.replace(file)
    except OSError as error:
        raise SimulationTrouble(f"{file} cannot be written ({error.strerror}); give --connection and --secret.") from (
            error
        )
