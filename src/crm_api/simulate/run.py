"""One simulation from its options to its last line."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crm_api.simulate import words
from crm_api.simulate.api import Api
from crm_api.simulate.delivery import bringer, check_event, find_provider, make_delivery, sequel
from crm_api.simulate.follow import Chain
from crm_api.simulate.target import find_connection, find_place
from crm_api.simulate.view import View, make_view

_DEFAULT_DATA_DIR = Path(".crm")


def run_simulation(
    provider: str,
    event: str,
    *,
    base_url: str,
    api_key: str,
    connection: str,
    secret: str,
    data_dir: Path,
    seed: str,
) -> None:
    """Send a sample event and show what follows from it; `SimulationTrouble` when the chain breaks."""
    source = find_provider(provider)
    check_event(source, event)
    place = find_place(base_url, api_key, data_dir)
    chosen = seed or secrets.token_hex(3)
    with Api(place.base_url, place.api_key) as api, make_view() as view:
        organization = api.get("/v1/organization")
        found = find_connection(api, provider, organization, connection=connection, secret=secret, data_dir=data_dir)
        delivery = make_delivery(source, event, account=found.account, seed=chosen, organization=organization)
        view.say(f"{provider} {event}", strong=True)
        view.say(f"to {organization['name']} ({_mode(organization)}) at {api.base_url}, connection {found.name}")
        view.say(f"seed {chosen}\n")
        chain = Chain(api, view, provider, found, delivery)
        chain.mail_dir = place.mail_dir
        chain.run()
        _conclude(view, chain, _command(provider, chosen, base_url, data_dir))


def _mode(organization: Mapping[str, Any]) -> str:
    frozen = organization["test_clock"]
    return f"{organization['mode']}, its clock stands at {frozen}" if frozen else str(organization["mode"])


def _command(provider: str, seed: str, base_url: str, data_dir: Path) -> str:
    """How to go on with the same payment; `{event}` is left open."""
    words_ = ["crm-api", "simulate", provider, "{event}", "--seed", shlex.quote(seed)]
    if base_url:
        words_ += ["--base-url", shlex.quote(base_url)]
    if data_dir != _DEFAULT_DATA_DIR:
        words_ += ["--data-dir", shlex.quote(str(data_dir))]
    return " ".join(words_)


def _conclude(view: View, chain: Chain, command: str) -> None:
    """One line on what came of it, and one on how to go on."""
    event = chain.delivery.event
    view.say("")
    if chain.event["state"] in {"waiting", "unmatched"}:
        view.say("The event waits for its payment. Let it come:", strong=True)
        view.say("  " + command.format(event=bringer(chain.provider, event)))
        return
    if chain.event["state"] == "ignored":
        view.say("The event is stored and changes nothing.", strong=True)
        return
    view.say(_summary(chain), strong=True)
    for file in chain.files():
        view.say(f"  letter:  {file}")
    following = sequel(event)
    if following is not None:
        view.say("  go on:   " + command.format(event=following))


def _summary(chain: Chain) -> str:
    handled = "known before" if chain.handled_ms is None else f"handled in {chain.handled_ms:.0f} ms"
    if chain.gift is None:
        return f"What the event says of the plan: {handled}."
    who = chain.contact["display_name"] if chain.contact else "somebody unknown"
    what = f"{words.money(chain.gift['amount'])} from {who}, {chain.gift['status'].replace('_', ' ')}"
    if chain.letter_ms is not None:
        return f"{what}: webhook to letter in {chain.letter_ms:.0f} ms."
    return f"{what}: {handled}."
