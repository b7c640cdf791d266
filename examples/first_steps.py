"""First steps with crm-api from Python: add a donor, record a gift, see what the robots made of it.

    make run                                   # in one terminal
    .venv/bin/python examples/first_steps.py   # in another

Reads the address and key that `make run` keeps in .crm/dev.json; or set CRM_URL and CRM_KEY.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path

import httpx


def connect() -> httpx.Client:
    """A client of the running API."""
    url, key = os.environ.get("CRM_URL"), os.environ.get("CRM_KEY")
    if not url or not key:
        facts = json.loads(Path(".crm/dev.json").read_text())
        url, key = facts["base_url"], facts["api_key"]
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False)


def main() -> None:
    """Walk through it."""
    with connect() as api:
        # An Idempotency-Key makes a POST safe to repeat: the same key and body give the same answer.
        contact = api.post(
            "/v1/contacts",
            headers={"Idempotency-Key": str(uuid.uuid4())},
            json={
                "given_name": "ნინო",
                "family_name": "გელაშვილი",
                "language": "ka",
                "emails": [{"address": f"nino.{uuid.uuid4().hex[:6]}@example.org"}],
                "addresses": [{"city": "თბილისი", "country": "GE"}],
            },
        )
        contact.raise_for_status()
        contact_id = contact.json()["id"]
        print("contact ", contact.json()["display_name"], contact_id)

        gift = api.post(
            "/v1/donations",
            json={"contact_id": contact_id, "amount": {"amount": 5000, "currency": "USD"}, "method": "bank_transfer"},
        )
        gift.raise_for_status()
        print("gift    ", gift.json()["amount"], gift.json()["status"])

        profile = api.get(f"/v1/contacts/{contact_id}/donor-profile").json()
        print("donor   ", profile["donor_status"], profile["total_given"])

        for _ in range(100):
            letters = api.get("/v1/messages", params={"contact_id": contact_id}).json()["data"]
            if letters and letters[0]["state"] == "sent":
                print("letter  ", letters[0]["kind"], letters[0]["language"], letters[0]["subject"])
                return
            time.sleep(0.05)
        print("letter   not yet; look at /v1/jobs")


if __name__ == "__main__":
    main()
