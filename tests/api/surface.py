"""The API as its OpenAPI document lists it, for tests that walk every route: operations, bodies that are accepted, an
organization with one of everything, and requests put to the application byte by byte."""

from __future__ import annotations

import asyncio
import copy
import json
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from crm_api.app import create_app
from crm_api.audit.sealing import seal_next
from crm_api.contacts.consents.unsubscribe import Ticket, make_token
from crm_api.donations.recurring.models import recurring_periods
from crm_api.kit import clock, http
from crm_api.kit.crypto import Vault
from crm_api.kit.ids import new_id
from crm_api.payments.dunning.models import charge_attempts
from crm_api.settings import Settings
from tests.support.fake_stripe import API_KEY, stripe_of_this_process
from tests.support.settings import COMMON_SERVICES
from tests.support.stripe_events import stripe_event
from tests.support.world import World

FIXTURES = Path(__file__).parent.parent / "fixtures" / "stripe"
METHODS = ("get", "post", "put", "patch", "delete")
_DOCUMENT: list[dict[str, Any]] = []


def document() -> dict[str, Any]:
    """The OpenAPI document as the code makes it, built once."""
    if not _DOCUMENT:
        _DOCUMENT.append(create_app(Settings(_env_file=None, environment="test")).openapi())
    return _DOCUMENT[0]


def component(name: str) -> dict[str, Any]:
    """A schema of the document."""
    found: dict[str, Any] = document()["components"]["schemas"][name]
    return found


@dataclass(frozen=True)
class Operation:
    """One operation."""

    method: str
    path: str
    id: str
    scope: str | None
    media_type: str | None
    body: str | None
    """Name of the request body's schema."""
    parameters: list[dict[str, Any]] = field(hash=False)
    raw: dict[str, Any] = field(hash=False, repr=False)
    form: str | None = None
    """Name of the schema of a form with a file; `body` is None then."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def in_path(self) -> list[str]:
        """Names of the path's parameters."""
        return [item["name"] for item in self.parameters if item["in"] == "path"]

    @property
    def ids(self) -> list[str]:
        """Path parameters that name a row."""
        return [name for name in self.in_path if name.endswith("_id") and name != "external_id"]

    @property
    def is_list(self) -> bool:
        """A page of rows, with cursors, filters and sorts: what `kit.listing` reads."""
        return {"cursor", "sort"} <= {item["name"] for item in self.parameters}

    @property
    def public(self) -> bool:
        """Needs no credentials."""
        return self.scope is None


def operations() -> list[Operation]:
    """Every operation of the document."""
    found = []
    for path, item in document()["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            raw = item[method]
            content = raw.get("requestBody", {}).get("content", {})
            media_type = next(iter(content), None)
            schema = content[media_type]["schema"] if media_type else {}
            name = schema.get("$ref", "").rpartition("/")[2] or None
            form = name if media_type == "multipart/form-data" else None
            found.append(
                Operation(
                    method.upper(),
                    path,
                    raw["operationId"],
                    raw.get("x-scope"),
                    media_type,
                    None if form else name,
                    raw.get("parameters", []),
                    raw,
                    form,
                )
            )
    return found


# One of everything


@dataclass
class Planted:
    """An organization with one of everything, and where each is."""

    world: World
    ids: dict[str, str]

    def url(self, operation: Operation, **changes: str) -> str:
        """The operation's path with the ids of what was planted."""
        own = {name: self.ids[f"{operation.id}.{name}"] for name in operation.in_path
               if f"{operation.id}.{name}" in self.ids}  # fmt: skip
        path = operation.path.format(**{**self.ids, **own, **changes})
        needed = [one for one in operation.parameters if one["in"] == "query" and one.get("required")]
        query = {
            one["name"]: one["schema"].get("enum", [one["schema"].get("examples", ["newsletter"])[0]])[0]
            for one in needed
        }
        return f"{path}?{urllib.parse.urlencode(query)}" if query else path

    def body(self, operation: Operation) -> Any:
        """A body that the operation accepts: its schema's own example, with ids of what was planted."""
        assert operation.body is not None
        return self.fitted(copy.deepcopy(component(operation.body)["examples"][0]))

    def fitted(self, body: Any) -> Any:
        """The body with this organization's ids in the members that name rows."""
        if isinstance(body, dict):
            for name, value in body.items():
                if name in self.ids and value is not None and name.endswith("_id"):
                    body[name] = self.ids[name]
                elif name == "contact_ids" and isinstance(value, list):
                    body[name] = [self.ids["contact_id"]]
                elif name == "from" and isinstance(value, list):
                    body[name] = [self.ids["mergeable"]]
                else:
                    body[name] = self.fitted(value)
        if isinstance(body, list):
            return [self.fitted(item) for item in body]
        return body


async def plant_document(world: World, contact_id: str) -> Any:
    """A text file attached to a contact."""
    file = ("notes.txt", "Нотатки про зустріч".encode(), "text/plain")
    return await world.call("POST", "/v1/documents", expect=201, data={"contact_id": contact_id}, files={"file": file})


async def plant_transfers(world: World) -> dict[str, str]:
    """An import that was tried, and an export."""
    file = ("people.csv", "given_name,email\nМарія,maria@example.org\n".encode(), "text/csv")
    made = await world.call("POST", "/v1/imports", expect=202, data={"kind": "contacts"}, files={"file": file})
    export = await world.post("/v1/exports", {"resource": "contacts"}, expect=202)
    return {"import_id": made["id"], "bulk_export_id": export["id"]}


async def plant_duplicates(world: World) -> dict[str, str]:
    """A merge, a batch of one, a pair that waits for review, a sweep, match rules; and a contact to merge."""
    name = {"given_name": "Тарас", "family_name": "Бульба"}
    survivor, retired, mergeable = [await world.post("/v1/contacts", name) for _ in range(3)]
    merge = await world.post(f"/v1/contacts/{survivor['id']}/merge", {"from": [retired["id"]]})
    twin = {"given_name": "Марко", "family_name": "Вовчок", "birth_date": "1983-12-22"}
    for _ in range(2):
        await world.post("/v1/contacts", {**twin, "on_match": "queue"})
    pairs = (await world.get("/v1/duplicates", params={"state": "open"}))["data"]
    await world.put("/v1/duplicate-rules", {"largest_block": 50})
    sweep = await world.post("/v1/duplicates/sweeps", expect=202)
    batch = await world.post("/v1/merges/batch", {"merges": [{"into": merge["id"], "from": merge["id"]}]}, expect=202)
    return {
        "merge_id": merge["id"],
        "batch_id": batch["id"],
        "duplicate_id": pairs[0]["id"],
        "sweep_id": sweep["id"],
        "mergeable": mergeable["id"],
    }


async def plant_circles(world: World, contact_id: str) -> dict[str, str]:
    """A custom field, an archived one with a value, a household with a way to name it, a relationship."""
    fields = [
        await world.post("/v1/custom-fields", {"key": key, "label": key, "type": "text", "filterable": True})
        for key in ("hobby", "former")
    ]
    await world.patch(f"/v1/contacts/{contact_id}", {"custom": {"hobby": "chess", "former": "gone"}})
    await world.patch(f"/v1/custom-fields/{fields[1]['id']}", {"status": "archived"})
    while (await world.get(f"/v1/custom-fields/{fields[1]['id']}"))["run"]["state"] != "succeeded":
        await asyncio.sleep(0.05)  # it waits for the transactions of other tests on this server
        await world.drain()
    household = await world.post("/v1/households", {"members": [{"contact_id": contact_id}]})
    await world.put("/v1/household-patterns/uk", {"conjunction": " і "})
    organization = await world.contact(kind="organization", organization_name="Red Cross", emails=[])
    lasting = {"type": "employee", "from_contact_id": contact_id, "to_contact_id": organization["id"]}
    relationship = await world.post("/v1/relationships", lasting)
    kind = await world.post(
        "/v1/relationship-types", {"code": "mentor", "name": "mentor of", "reciprocal_name": "mentee of"}
    )
    return {
        "custom_field_id": fields[0]["id"],
        "household_id": household["id"],
        "language": "uk",
        "relationship_id": relationship["id"],
        "relationship_type_id": kind["id"],
        "from_contact_id": contact_id,
        "to_contact_id": organization["id"],
    }


async def plant_segments(world: World, contact_id: str) -> dict[str, str]:
    """A segment by a rule that somebody is in, and a list."""
    rule = {"field": "id", "value": contact_id}
    made = await world.post("/v1/segments", {"name": "Planted", "rule": rule})
    listed = await world.post("/v1/segments", {"name": "List"})
    await world.post(f"/v1/segments/{listed['id']}/members", {"contact_ids": [contact_id]}, expect=200)
    by_hand = {f"segments_members_{verb}.segment_id": listed["id"] for verb in ("add", "remove")}
    return {"segment_id": made["id"], "other_segment_id": listed["id"], **by_hand}


async def plant_scoring(world: World) -> dict[str, str]:
    """A run of scoring, which leaves fits behind, and rules and settings of the organization's own."""
    await world.put("/v1/scoring/donor-status-rules", {"new_within_days": 300})
    await world.put("/v1/ltv/settings", {"margin": "0.9"})
    run = await world.post("/v1/scoring/runs", {"parts": ["summary", "predictions"]}, expect=202)
    return {"scoring_run_id": run["id"]}


async def plant_team(world: World, contact_id: str, member_id: str, key_id: str) -> str:
    """A branch with a member, a key and a contact."""
    team = await world.post("/v1/teams", {"name": "Planted branch"})
    await world.put(f"/v1/teams/{team['id']}/members", {"member_ids": [member_id], "key_ids": [key_id]})
    await world.put(f"/v1/contacts/{contact_id}/teams", {"team_ids": [team["id"]]})
    return str(team["id"])


async def plant_receipts(world: World, contact_id: str) -> dict[str, str]:
    """Settings, a receipt that was sent, an annual run of a year without gifts."""
    await world.put("/v1/receipt-settings", {"signatory_name": "Iryna Bondar"})
    gift = await world.donation(contact_id, 3300)
    receipt = await world.post("/v1/receipts", {"donation_id": gift["id"]})
    run = await world.post("/v1/receipts/annual-runs", {"year": 2001}, expect=202)
    return {"receipt_id": receipt["id"], "run_id": run["id"], "code": receipt["verify_url"].rpartition("/")[2]}


async def plant_gifts(world: World, contact_id: str, company_id: str, fund_id: str) -> dict[str, str]:
    """Gifts in every state that a verb asks for, one each (`<operation>.donation_id`), and what belongs to gifts."""
    ids: dict[str, str] = {}
    for verb in ("adjust", "reverse", "refund_failed"):
        ids[f"donations_{verb}.donation_id"] = (await world.donation(company_id, 12550, "UAH"))["id"]
    await world.donation(company_id, 12550, "UAH", external_ids=[{"system": "old-crm", "id": "42"}])
    refunded = f"/v1/donations/{ids['donations_refund_failed.donation_id']}"
    for _ in range(2):  # one for each time that it is sent
        await world.post(f"{refunded}/refunds", {"amount": {"amount": 100, "currency": "UAH"}})
    entries = (await world.get(f"{refunded}/entries"))["data"]
    ids["refund_id"] = next(one["ref"] for one in entries if one["kind"] == "refund")
    parts = [{"fund_id": fund_id, "percent": "60"}, {"fund_id": await _second_fund(world), "percent": "40"}]
    gift = await world.donation(company_id, 12550, "UAH", allocations=parts)
    path = f"/v1/donations/{gift['id']}"
    credit = await world.post(f"{path}/soft-credits", {"contact_id": contact_id, "type": "employer"})
    match = await world.post(f"{path}/matching-gifts", {"company_contact_id": contact_id})
    honoree = {"type": "honor", "honoree_name": "Леся", "notify": [{"name": "Сестра", "email": "s@example.org"}]}
    tribute = await world.post(f"{path}/tributes", honoree)
    premium = await world.post(
        f"{path}/premiums", {"name": "Calendar", "fair_market_value": {"amount": 1, "currency": "UAH"}}
    )
    for name in ("donation_soft_credits", "donation_premiums", "tributes", "matching_gifts"):
        ids |= {f"{name}_{verb}.donation_id": gift["id"] for verb in ("create", "list", "delete")}
    ids |= await _plant_batches(world)
    return {
        **ids,
        "soft_credit_id": credit["id"],
        "matching_gift_id": match["id"],
        "tribute_id": tribute["id"],
        "tribute_notice_id": tribute["notices"][0]["id"],
        "premium_id": premium["id"],
        "company_contact_id": company_id,
    }


async def _second_fund(world: World) -> str:
    made: str = (await world.post("/v1/funds", {"code": "summer", "name": "Summer camp"}))["id"]
    return made


async def _plant_batches(world: World) -> dict[str, str]:
    """An open batch, one that can be posted, one that can be canceled, and a pending gift."""
    control = {"control_count": 1, "control_amount": {"amount": 12550, "currency": "UAH"}}
    ids = {}
    for name in ("gift_batch_id", "gift_batches_post.gift_batch_id", "gift_batches_cancel.gift_batch_id"):
        ids[name] = (await world.post("/v1/gift-batches", {"name": "Box", **control}))["id"]
    gift = {"amount": control["control_amount"], "method": "cash"}
    await world.post(f"/v1/gift-batches/{ids['gift_batches_post.gift_batch_id']}/donations", gift)
    pending = await world.post(f"/v1/gift-batches/{ids['gift_batch_id']}/donations", gift)
    return {**ids, "donations_cancel.donation_id": pending["id"]}


async def plant_promises(world: World, contact_id: str, gift_id: str) -> dict[str, str]:
    """A plan with a change and a period, a charge of another that nobody knows about, a policy, a pledge in parts."""
    terms = {"contact_id": contact_id, "method": "manual", "amount": {"amount": 900, "currency": "USD"}}
    plan = await world.post("/v1/recurring-plans", terms)
    await world.patch(f"/v1/recurring-plans/{plan['id']}", {"amount": {"amount": 1000, "currency": "USD"}})
    period = await world.post(f"/v1/recurring-plans/{plan['id']}/payments", {"donation_id": gift_id}, expect=200)
    await world.put("/v1/dunning-policy", {"late_days": 12})
    now = clock.utc_now()
    charged = await world.post("/v1/recurring-plans", terms)
    row = {"plan_id": UUID(charged["id"]), "amount": 900, "currency": "USD", "version": 1, "created_at": now}
    ids = {"period_id": new_id(), "attempt_id": new_id()}
    async with world.database.write(world.tenant) as session:
        due = {"due_on": clock.local_date(now, "UTC"), "state": "unknown", "attempts": 1, "updated_at": now}
        session.later(recurring_periods, id=ids["period_id"], **row, **due)
        sent = {"number": 1, "state": "unknown", "looks": 1, "sent_at": now, "updated_at": now}
        connection = {"connection_id": UUID(await world.stripe_connection())}
        session.later(charge_attempts, id=ids["attempt_id"], period_id=ids["period_id"], **row, **sent, **connection)
    parts = {"count": 3, "start_date": "2026-12-31"}
    promise = {"contact_id": contact_id, "amount": {"amount": 9000, "currency": "USD"}, "schedule": parts}
    pledge = await world.post("/v1/pledges", promise)
    await world.post(f"/v1/pledges/{pledge['id']}/payments", {"donation_id": gift_id}, expect=200)
    (_, part, _) = (await world.get(f"/v1/pledges/{pledge['id']}/installments"))["data"]
    write_off = {"reason": "Криза", "installment_id": part["id"]}
    await world.post(f"/v1/pledges/{pledge['id']}/write-off", write_off, expect=200)
    return {
        "plan_id": plan["id"],
        "period_id": period["id"],
        "attempt_id": str(ids["attempt_id"]),
        "pledge_id": pledge["id"],
        "installment_id": part["id"],
    }


async def plant_intake(world: World) -> dict[str, str]:
    """A form, a bot that listens at the planted address, and what somebody wrote to it."""
    form = await world.post("/v1/intake-sources", {"kind": "form", "name": "Help us"})
    bot = await world.post("/v1/intake-sources", {"kind": "telegram", "name": "Bot", "bot_username": "fund_bot"})
    message = {
        "message_id": 1,
        "from": {"id": 77, "is_bot": False, "first_name": "Марія"},
        "chat": {"id": 77, "type": "private"},
        "date": 1760000000,
        "text": "Добрий день",
    }
    headers = {"X-Telegram-Bot-Api-Secret-Token": bot["issued"]["secret_token"], "Authorization": ""}
    path = f"/v1/intake/telegram/{bot['id']}"
    await world.post(path, {"update_id": 1, "message": message}, expect=200, headers=headers)
    delivery = (await world.get("/v1/intake-deliveries"))["data"][0]
    return {
        "form_id": form["id"],
        "source_id": bot["id"],
        "kind": "telegram",
        "path_secret": "no-secret-of-a-bot",
        "delivery_id": delivery["id"],
    }


async def plant_ledger(world: World) -> dict[str, str]:
    """A closed period, payouts, one of them to be taken back, and a proof."""
    period = await world.post("/v1/ledger/periods", {"through": "2020-12-31"})
    body = {
        "connection_id": await world.stripe_connection(),
        "arrived_on": "2026-11-20",
        "amount": {"amount": 48, "currency": "USD"},
        "items": [{"ref": "pi_planted", "gross": {"amount": 50, "currency": "USD"}}],
    }
    made = [await world.post("/v1/payouts", {**body, "payout_ref": ref}) for ref in ("po_kept", "po_wrong")]
    proof = await world.post("/v1/ledger/proofs", expect=202)
    return {
        "ledger_period_id": period["id"],
        "payout_id": made[0]["id"],
        "payouts_cancel.payout_id": made[1]["id"],
        "proof_id": proof["id"],
    }


async def plant_payments(world: World, contact_id: str) -> dict[str, str]:
    """A connection that makes pages and lists payments, one of each of these; a payment under way; payments of nobody,
    and a rule to match them."""
    COMMON_SERVICES["stripe"] = stripe_of_this_process()
    http.configure({**world.settings.service_urls, **COMMON_SERVICES})
    keys = {"webhook_secret": "whsec_of_pages", "api_key": API_KEY}
    able = await world.post("/v1/payment-connections", {"provider": "stripe", "name": "Pages", "credentials": keys})
    example = component("CheckoutCreate")["examples"][0]
    checkout = await world.post("/v1/donations/checkout", example)
    listed = await world.post(
        f"/v1/payment-connections/{able['id']}/reconciliations",
        component("ReconciliationCreate")["examples"][0],
        expect=202,
    )
    nobodys: dict[str, Any] = {"customer": None, "receipt_email": None, "metadata": {}}
    await world.stripe_sends(stripe_event("payment_intent.processing", seed="planted", **nobodys))
    rule = {"name": "Planted", "kind": "code", "value": "D-2002", "contact_id": contact_id}
    verbs = ("match", "dismiss", "suggest")
    return {
        "checkout_id": checkout["id"],
        "payment_connections_reconcile.connection_id": able["id"],
        "reconciliation_id": listed["id"],
        "rule_id": (await world.post("/v1/payment-match-rules", rule))["id"],
        **{f"payments_unmatched_{verb}.donation_id": (await world.donation(None))["id"] for verb in verbs},
    }


async def plant_reports(world: World) -> dict[str, str]:
    """Two giving levels, one of them to be removed, and a kept run."""
    program = component("GivingLevelCreate")["examples"][0]["program"]
    levels = [
        await world.post(
            "/v1/giving-levels",
            {"program": program, "name": name, "min_amount": {"amount": amount, "currency": "USD"}},
        )
        for name, amount in (("Silver", 50_000), ("Bronze", 10_000))
    ]
    run = await world.post("/v1/reports/gain-loss/runs", {"label": "Planted"})
    return {
        "giving_level_id": levels[0]["id"],
        "giving_levels_delete.giving_level_id": levels[1]["id"],
        "report_run_id": run["id"],
        "report": "gain-loss",
    }


async def plant(world: World) -> Planted:
    """Make one of everything, through the API and the worker."""
    contact = await world.contact(
        external_ids=[{"system": "old-crm", "id": "42"}],
        addresses=[{"city": "Kyiv", "country": "UA"}],
        tags=["friend"],
        phones=[{"number": "+380501234567"}],
    )
    fund = await world.post("/v1/funds", {"code": "winter", "name": "Winter relief"})
    campaign = await world.post("/v1/campaigns", {"code": "winter", "name": "Winter"})
    appeal = await world.post(
        "/v1/appeals", {"campaign_id": campaign["id"], "code": "letter", "name": "Letter", "channel": "mail"}
    )
    pipeline = await world.post("/v1/pipelines", {"name": "Grants"})
    deal = await world.post(
        "/v1/deals", {"pipeline_id": pipeline["id"], "title": "Ambulance", "contact_id": contact["id"]}
    )
    external_ids = [{"system": "old-crm", "id": "G1"}]
    gift = await world.donation(
        contact["id"], fund_id=fund["id"], campaign_id=campaign["id"], external_ids=external_ids
    )
    consent = await world.post(
        f"/v1/contacts/{contact['id']}/consents",
        {"purpose": "newsletter", "channel": "email", "status": "granted", "legal_basis": "consent"},
    )
    leaving = await world.contact(given_name="Leaving", emails=[{"address": "leaving@example.org"}])
    export = await world.post(f"/v1/contacts/{contact['id']}/subject-export", expect=202)
    erasure = await world.post(f"/v1/contacts/{leaving['id']}/erasure", {"confirm": True}, expect=202)
    vault = Vault([key.get_secret_value() for key in world.settings.secret_keys])
    ticket = Ticket(world.id, UUID(contact["id"]), "newsletter", None)
    member = await world.post("/v1/members", {"email": "olena@fund.example", "role": "fundraiser"})
    key = await world.post("/v1/api-keys", {"name": "Website", "scopes": ["contacts:read"]})
    rate = {"source_currency": "USD", "target_currency": "UAH", "rate": "41.25", "rate_date": "2026-11-22"}
    await world.post("/v1/exchange-rates", rate)
    for name in ("customer_subscription_created", "payment_intent_succeeded_usd"):
        fixture = json.loads((FIXTURES / f"{name}.json").read_text())
        await world.stripe_sends(json.loads(fixture["request"]["body_raw"]))
    document = await plant_document(world, contact["id"])
    interaction = await world.post(
        "/v1/interactions",
        {
            "kind": "note",
            "body": "Хоче звіт про зимову кампанію",
            "participants": [{"contact_id": contact["id"], "role": "about"}, {"member_id": member["id"]}],
            "mentions": [member["id"]],
            "campaign_id": campaign["id"],
            "external_ref": {"system": "old-crm", "id": "I1"},
        },
    )
    task = await world.post(
        "/v1/tasks",
        {
            "title": "Надіслати звіт",
            "contact_id": contact["id"],
            "assignee_id": member["id"],
            "deal_id": deal["id"],
            "interaction_id": interaction["id"],
        },
    )
    duplicates = await plant_duplicates(world)
    circles = await plant_circles(world, contact["id"])
    gifts = await plant_gifts(world, contact["id"], circles["to_contact_id"], fund["id"])
    transfers = await plant_transfers(world)
    intake = await plant_intake(world)
    promises = await plant_promises(world, contact["id"], gift["id"])
    receipts = await plant_receipts(world, contact["id"])
    ledger = await plant_ledger(world)
    segments = await plant_segments(world, contact["id"])
    scoring = await plant_scoring(world)
    payments = await plant_payments(world, contact["id"])
    reports = await plant_reports(world)
    await world.drain()
    async with world.database.write(world.tenant) as session:
        await seal_next(session, through=clock.utc_now())  # nothing of this organization is open
    ids = {
        **intake,
        **promises,
        **receipts,
        **ledger,
        **segments,
        **scoring,
        **payments,
        **reports,
        **duplicates,
        **circles,
        **gifts,
        **transfers,
        "contact_id": contact["id"],
        "system": "old-crm",
        "secret": "of-nobody",
        "external_id": "42",
        "fund_id": fund["id"],
        "campaign_id": campaign["id"],
        "appeal_id": appeal["id"],
        "pipeline_id": pipeline["id"],
        "stage_id": pipeline["stages"][1]["id"],
        "deal_id": deal["id"],
        "donation_id": gift["id"],
        "member_id": member["id"],
        "owner_member_id": member["id"],
        "assignee_id": member["id"],
        "interaction_id": interaction["id"],
        "task_id": task["id"],
        "key_id": key["id"],
        "team_id": await plant_team(world, contact["id"], member["id"], key["id"]),
        "document_id": document["id"],
        "file_token": (await world.post(f"/v1/documents/{document['id']}/links"))["url"].rpartition("/")[2],
        "provider": "stripe",
        "connection_id": await world.stripe_connection(),
        "consent_event_id": consent["id"],
        "export_id": export["id"],
        "erasure_id": erasure["id"],
        "ticket": make_token(vault, ticket),
    }
    for name, path in (
        ("event_id", "/v1/payments/inbox"),
        ("job_id", "/v1/jobs"),
        ("message_id", "/v1/messages"),
        ("audit_event_id", "/v1/audit-events"),
    ):
        ids[name] = (await world.get(path))["data"][0]["id"]
    return Planted(world, ids)


# Requests byte by byte


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The body as text, as far as it is text."""
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.content)


async def send(
    world: World,
    method: str,
    target: str | bytes,
    *,
    body: bytes | Iterable[bytes] = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    media_type: str | None = "application/json",
    authorized: bool = True,
) -> Answer:
    """A request as a server would hand it to the application: nothing is tidied up on the way, unlike a client does.

    A body given in pieces comes without Content-Length, as a chunked one does.
    """
    raw = target if isinstance(target, bytes) else target.encode("ascii")
    path, _, query = raw.partition(b"?")
    sent = [(b"host", b"crm.test")]
    if authorized:
        sent.append((b"authorization", f"Bearer {world.api_key}".encode()))
    pieces = [body] if isinstance(body, bytes) else list(body)
    if isinstance(body, bytes) and body:
        sent.append((b"content-length", str(len(body)).encode()))
    if media_type is not None and any(pieces) and not any(name == b"content-type" for name, _ in headers):
        sent.append((b"content-type", media_type.encode()))
    sent += [(name.lower(), value) for name, value in headers]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": urllib.parse.unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": sent,
        "client": ("127.0.0.1", 1),
        "server": ("crm.test", 80),
    }
    return await _exchange(world.client._transport.app, scope, pieces)  # type: ignore[attr-defined]


async def _exchange(app: Any, scope: dict[str, Any], pieces: list[bytes]) -> Answer:
    waiting = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces) - 1}
        for number, piece in enumerate(pieces or [b""])
    ]
    answered: list[Any] = []

    async def receive() -> Any:
        if not waiting:
            await asyncio.Event().wait()  # the client stays, silently
        return waiting.pop(0)

    async def take(message: Any) -> None:
        answered.append(message)

    await app(scope, receive, take)
    start = answered[0]
    content = b"".join(message.get("body", b"") for message in answered[1:])
    headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], headers, content)


def problem_of(answer: Answer, *, never: Iterable[str] = ()) -> dict[str, Any]:
    """The answer's problem document, complete and without any of the texts it must not repeat."""
    assert answer.headers["content-type"] == "application/problem+json", (answer.status, answer.text[:300])
    found: dict[str, Any] = answer.json()
    assert found.keys() >= {"type", "title", "status", "detail", "code", "request_id"}, found
    assert found["status"] == answer.status
    assert found["request_id"] == answer.headers["x-request-id"]
    assert found["type"] == f"https://crm-api.dev/problems/{found['code'].replace('_', '-')}"
    for error in found.get("errors", []):
        assert error.keys() == {"pointer", "code", "detail"}
    for text in never:
        assert text not in answer.text, f"the rejected value came back: {answer.text[:500]}"
    return found


def leaves(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every place of a JSON value, inner ones first."""
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for name, item in items:
        yield from leaves(item, (*at, name))
    if at:
        yield at, value


def replaced(value: Any, at: tuple[str | int, ...], new: Any) -> Any:
    """A copy with another value at a place."""
    result = copy.deepcopy(value)
    inner = result
    for step in at[:-1]:
        inner = inner[step]
    inner[at[-1]] = new
    return result
