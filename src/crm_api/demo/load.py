"""Loading the demo: one transaction, the services of the API, a bulk session."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.bootstrap import COMMAND_LINE
from crm_api.contacts.schemas import ContactCreate
from crm_api.contacts.service import create_contact
from crm_api.demo import stage
from crm_api.demo.giving import Gift
from crm_api.demo.people import Donor
from crm_api.demo.plans import Plan
from crm_api.demo.progress import Progress
from crm_api.demo.rates import CURRENCIES
from crm_api.demo.script import Script, by_stripe, write_script
from crm_api.demo.stripe import make_payment
from crm_api.demo.surroundings import Surroundings, prepare_fields
from crm_api.donations.gifts.corrections import refund_by_hand
from crm_api.donations.gifts.schemas import DonationCreate, RefundCreate
from crm_api.donations.gifts.service import PaymentFacts, record_by_hand, record_gift
from crm_api.donations.recurring.service import PlanStatement, state_plan
from crm_api.kit.crypto import Vault
from crm_api.kit.db import Database, Tenant, WriteSession, prepare
from crm_api.kit.money import Money
from crm_api.kit.problems import Problem
from crm_api.organizations.service import load_tenant
from crm_api.payments.connections.schemas import ConnectionCreate
from crm_api.payments.connections.service import create_connection
from crm_api.registry import load_registry
from crm_api.scoring.service import rebuild
from crm_api.settings import Settings

_FLUSH_EVERY = 500
_HAND_REFUNDS = 3
_CONNECTION = "Stripe (demo)"
_CONTENT = prepare(
    text(
        """
        SELECT (SELECT count(*) FROM contacts WHERE organization_id = :organization_id) AS contacts,
            (SELECT count(*) FROM gifts WHERE organization_id = :organization_id) AS gifts,
            EXISTS (SELECT 1 FROM payment_connections WHERE organization_id = :organization_id AND name = :name)
                AS has_demo
        """
    )
)


class DemoTrouble(Exception):
    """Why the demo cannot be loaded, and what to do."""


async def load_demo(database: Database, settings: Settings, organization_id: UUID, *, seed: int) -> None:
    """Fill an empty test organization. All of it or, when anything fails, nothing."""
    started = perf_counter()
    load_registry()
    tenant = await _tenant(database, settings, organization_id)
    script = write_script(seed, tenant.now(), tenant.timezone)
    vault = Vault([key.get_secret_value() for key in settings.secret_keys])
    people = len(script.donors) + len(script.circle.others)
    with Progress(people + len(script.plans) + len(script.gifts)) as progress:
        try:
            async with database.write(tenant, COMMAND_LINE, bulk="demo data") as session:
                await _Loader(session, script, seed, vault, progress).load()
        except Problem as problem:
            raise DemoTrouble(f"Nothing was loaded. {problem.detail}") from problem
    progress.say(
        f"Demo data, seed {seed}: {people} contacts in {len(script.circle.homes)} households and more, "
        f"{len(script.touches.interactions)} interactions, {len(script.touches.todos)} tasks, {len(script.gifts):,} "
        f"gifts, {len(script.plans)} recurring plans, {len(script.campaigns)} campaigns; "
        f"{perf_counter() - started:.1f} s."
    )


async def _tenant(database: Database, settings: Settings, organization_id: UUID) -> Tenant:
    tenant = await load_tenant(database.read(Tenant(organization_id, "live", "USD", "UTC", "en")))
    if tenant is None:
        raise DemoTrouble("There is no such organization in this database.")
    if tenant.mode == "live":
        raise DemoTrouble(
            "This is a live organization: invented gifts do not belong in its books. Make a test one with "
            "`crm-api organizations create --name Demo --mode test` and load the demo there."
        )
    if tenant.currency not in CURRENCIES:
        raise DemoTrouble(
            f"The demo has exchange rates between {', '.join(CURRENCIES)} only, and this organization counts in "
            f"{tenant.currency}. Load it into one that counts in {CURRENCIES[0]}."
        )
    if not settings.secret_keys:
        raise DemoTrouble("CRM_SECRET_KEYS is not set: the demo's Stripe connection keeps a secret under it.")
    content = await database.read(tenant).fetch_row(_CONTENT, name=_CONNECTION)
    assert content is not None
    if content["has_demo"]:
        raise DemoTrouble("The demo is loaded already. For a fresh one: `crm-api dev --fresh`, or a new organization.")
    if content["contacts"] or content["gifts"]:
        raise DemoTrouble(
            f"The organization is not empty: it has {content['contacts']:,} contacts and {content['gifts']:,} gifts, "
            "and invented ones could not be told from them. Load the demo into a new organization."
        )
    return tenant


class _Loader:
    """One load. Order: what others refer to comes first."""

    def __init__(self, session: WriteSession, script: Script, seed: int, vault: Vault, progress: Progress) -> None:
        self.session = session
        self.script = script
        self.rng = random.Random(f"crm-api demo payments {seed}")  # noqa: S311 (the same for the same seed)
        self.vault = vault
        self.progress = progress
        self.contacts: dict[int, UUID] = {}
        self.plans: dict[str, UUID] = {}

    async def load(self) -> None:
        """Everything, then the scores."""
        session, now = self.session, self.session.now
        self.progress.step("The fund")
        self.stage = await stage.set_up(session, self.script, self.rng)
        connection = create_connection(
            session,
            self.vault,
            ConnectionCreate(
                provider="stripe",
                name=_CONNECTION,
                credentials={"webhook_secret": f"whsec_{secrets.token_urlsafe(24)}"},
            ),
        )
        self.connection_id: UUID = connection["id"]
        await prepare_fields(session)
        self.progress.step("Contacts")
        await self._contacts()
        await self._surroundings()
        self.progress.step("Recurring plans")
        for plan in sorted(self.script.plans, key=lambda one: one.started_at):
            await self._plan(plan)
        self.progress.step("Gifts")
        await self._gifts()
        self.progress.step("Pipelines")
        await stage.add_deals(session, self.stage, self.script, self.contacts, self.rng)
        self.progress.step("Scores")
        session.now = now
        await session.flush()
        await rebuild(session)

    async def _contacts(self) -> None:
        customers, owners, members = self.script.customers, self.script.circle.owners, self.stage.members
        known: list[tuple[datetime, int, dict[str, Any], str, Donor | None]]
        known = [(moment, donor.number, donor.body, donor.source, donor) for moment, donor in self.script.donors]
        known += [(one.moment, one.number, one.body, one.source, None) for one in self.script.circle.others]
        for moment, number, said, source, donor in sorted(known, key=lambda one: one[:2]):
            self.session.now = moment
            body = {**said, "owner_member_id": members[owners[number]] if number in owners else None}
            if donor is not None and number in customers:
                body["external_ids"] = [*body["external_ids"], {"system": "stripe", "id": donor.customer}]
            channel = source if source != "website" else "api"
            contact = await create_contact(self.session, ContactCreate.model_validate(body), source=channel)
            self.contacts[number] = contact["id"]
            self.progress.advance(1)
        await self.session.flush()

    async def _surroundings(self) -> None:
        around = Surroundings(self.session, self.script, self.contacts, self.stage.members, self.vault)
        for name, load in (
            ("Families", around.families),
            ("Consents", around.consents),
            ("Interactions", around.interactions),
            ("Tasks", around.tasks),
            ("Duplicates", around.duplicates),
        ):
            self.progress.step(name)
            await load()

    async def _plan(self, plan: Plan) -> None:
        for number, said in enumerate(plan.statements):
            self.session.now = said.moment
            row = await state_plan(
                self.session,
                self.connection_id,
                "stripe",
                PlanStatement(
                    ref=plan.ref,
                    stated_at=said.moment,
                    status=said.status,
                    amount=Money(said.amount, plan.donor.currency),
                    frequency_unit=plan.unit,
                    frequency_interval=plan.interval,
                    customer_ref=plan.donor.customer,
                    started_at=plan.started_at,
                    next_date=said.next_date,
                    ended_at=said.ended_at,
                    whole=True,
                    contact_id=self.contacts[plan.donor.number],
                    campaign_id=self.stage.campaign(plan.campaign),
                ),
            )
            if not number:
                self.plans[plan.ref] = row["id"]
        self.progress.advance(1)

    async def _gifts(self) -> None:
        by_hand: list[tuple[Gift, UUID]] = []
        for number, gift in enumerate(self.script.gifts, start=1):
            if by_stripe(gift):
                await self._by_stripe(gift)
            else:
                by_hand.append((gift, await self._by_hand(gift)))
            self.progress.advance(1)
            if number % _FLUSH_EVERY == 0:
                await self.session.flush()
        await self.session.flush()
        await self._refund(by_hand)

    async def _by_stripe(self, gift: Gift) -> None:
        donor = gift.donor
        assert donor is not None
        payment = make_payment(self.rng, gift, self.script.ends)
        self.session.now = min(gift.moment + timedelta(seconds=2), self.script.ends)
        await record_gift(
            self.session,
            PaymentFacts(
                amount=gift.amount,
                currency=gift.currency,
                method=gift.method,
                contact_id=self.contacts[donor.number],
                fund_id=self.stage.fund(gift.fund),
                campaign_id=self.stage.campaign(gift.campaign),
                plan_id=self.plans[gift.plan] if gift.plan else None,
                connection_id=self.connection_id,
                provider="stripe",
                provider_payment_id=payment.refs[0],
                provider_customer_id=donor.customer,
                payer=_payer(donor, gift),
                is_anonymous=gift.anonymous,
            ),
            payment.entries,
            refs=payment.refs,
        )

    async def _by_hand(self, gift: Gift) -> UUID:
        self.session.now = min(gift.moment + timedelta(hours=self.rng.randint(1, 40)), self.script.ends)
        external = []
        if gift.method == "bank_transfer" and self.rng.random() < 0.3:
            external = [{"system": "bank", "id": f"T{self.rng.randrange(10**12):012d}"}]
        body = {
            "contact_id": self.contacts[gift.donor.number] if gift.donor else None,
            "amount": {"amount": gift.amount, "currency": gift.currency},
            "method": gift.method,
            "received_at": gift.moment,
            "fund_id": self.stage.fund(gift.fund),
            "campaign_id": self.stage.campaign(gift.campaign),
            "is_anonymous": gift.anonymous,
            "external_ids": external,
        }
        shown = await record_by_hand(self.session, DonationCreate.model_validate(body))
        found: UUID = shown["id"]
        return found

    async def _refund(self, by_hand: Iterable[tuple[Gift, UUID]]) -> None:
        """A few transfers went back: sent twice, or by mistake."""
        early = self.script.ends - timedelta(days=60)
        some = [(gift, one) for gift, one in by_hand if gift.method == "bank_transfer" and gift.moment < early]
        for number, (gift, gift_id) in enumerate(self.rng.sample(some, min(_HAND_REFUNDS, len(some)))):
            self.session.now = gift.moment + timedelta(days=self.rng.randint(2, 20))
            part = {"amount": {"amount": gift.amount // 2, "currency": gift.currency}} if number == 0 else {}
            body = RefundCreate.model_validate({**part, "refunded_at": self.session.now})
            await refund_by_hand(self.session, gift_id, body, expected=None)


def _payer(donor: Donor, gift: Gift) -> dict[str, Any]:
    """What the payment said about who paid: an invoice knows less than a card."""
    payer: dict[str, Any] = {"email": donor.email, "name": donor.name, "customer_ref": donor.customer}
    return {**payer, "rank": 20 if gift.plan else 30}
