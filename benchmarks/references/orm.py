"""FastAPI, SQLAlchemy's ORM, pydantic models and a bearer check: as most such services are written."""

from __future__ import annotations

import hmac
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict
from sqlalchemy import DateTime, LargeBinary, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from uuid_utils import compat


class Base(DeclarativeBase):
    """Tables of the schema `plain`."""

    type_annotation_map = {datetime: DateTime(timezone=True), dict[str, Any]: JSONB, list[Any]: JSONB}


class Contact(Base):
    """A person."""

    __tablename__ = "contacts"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    display_name: Mapped[str]
    given_name: Mapped[str | None]
    middle_name: Mapped[str | None]
    family_name: Mapped[str | None]
    organization_name: Mapped[str | None]
    emails: Mapped[list[Any]]
    phones: Mapped[list[Any]]
    addresses: Mapped[list[Any]]
    language: Mapped[str | None]
    external_ids: Mapped[list[Any]]
    tags: Mapped[list[Any]]
    roles: Mapped[list[Any]] = mapped_column(default=list)
    custom: Mapped[dict[str, Any]]
    do_not_contact: Mapped[bool] = mapped_column(default=False)
    deceased: Mapped[bool] = mapped_column(default=False)
    source: Mapped[str | None] = mapped_column(default="api")
    city: Mapped[str | None]
    email: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Gift(Base):
    """A donation."""

    __tablename__ = "gifts"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    contact_id: Mapped[UUID]
    amount: Mapped[int]
    currency: Mapped[str]
    status: Mapped[str] = mapped_column(default="succeeded")
    counted: Mapped[int]
    base_amount: Mapped[int]
    base_counted: Mapped[int]
    base_rate: Mapped[Decimal] = mapped_column(default=Decimal(1))
    base_rate_date: Mapped[date]
    method: Mapped[str]
    received_at: Mapped[datetime]
    gift_date: Mapped[date]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Donor(Base):
    """Figures of a donor."""

    __tablename__ = "donors"
    contact_id: Mapped[UUID] = mapped_column(primary_key=True)
    gift_count: Mapped[int]
    total_given: Mapped[int]
    last_gift_at: Mapped[datetime]


class Event(Base):
    """A delivery."""

    __tablename__ = "events"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime]


class EmailModel(BaseModel):
    """An address."""

    address: str
    label: str | None = None
    is_primary: bool = False
    status: str = "valid"


class PhoneModel(BaseModel):
    """A number."""

    number: str
    label: str | None = None
    is_primary: bool = False


class AddressModel(BaseModel):
    """A postal address."""

    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None
    label: str | None = None
    is_primary: bool = False


class ContactIn(BaseModel):
    """A new person."""

    kind: str = "person"
    given_name: str | None = None
    family_name: str | None = None
    emails: list[EmailModel] = []
    phones: list[PhoneModel] = []
    addresses: list[AddressModel] = []
    language: str | None = None
    external_ids: list[dict[str, str]] = []
    tags: list[str] = []
    custom: dict[str, Any] = {}


class ContactOut(ContactIn):
    """A person."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    display_name: str
    middle_name: str | None
    organization_name: str | None
    roles: list[str]
    do_not_contact: bool
    deceased: bool
    source: str | None
    version: int
    created_at: datetime
    updated_at: datetime


class ContactPage(BaseModel):
    """Some people."""

    data: list[ContactOut]
    has_more: bool


class MoneyModel(BaseModel):
    """An amount."""

    amount: int
    currency: str


class GiftIn(BaseModel):
    """A new donation."""

    contact_id: UUID
    amount: MoneyModel
    method: str
    received_at: datetime


class GiftOut(GiftIn):
    """A donation."""

    id: UUID
    status: str
    refunded_amount: MoneyModel
    fee_amount: MoneyModel
    net_amount: MoneyModel
    base_amount: MoneyModel
    base_rate: str = "1"
    base_rate_date: date
    gift_date: date
    is_anonymous: bool = False
    fund_id: UUID | None = None
    campaign_id: UUID | None = None
    provider: str | None = None
    provider_payment_id: str | None = None
    failure_reason: str | None = None
    version: int
    created_at: datetime
    updated_at: datetime


class Profile(BaseModel):
    """Figures of a donor."""

    contact_id: UUID
    gift_count: int
    total_given: int
    largest_gift: int | None
    first_gift_at: datetime | None
    last_gift_at: datetime | None
    total_last_365_days: int


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    engine = create_async_engine(
        os.environ["PLAIN_DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"),
        pool_size=10,
        max_overflow=0,
        connect_args={"server_settings": {"search_path": "plain", "jit": "off"}},
    )
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    yield
    await engine.dispose()


app = FastAPI(lifespan=_lifespan, docs_url=None, redoc_url=None, openapi_url=None)
_bearer = HTTPBearer()


def check(credentials: Annotated[HTTPAuthorizationCredentials, Depends(_bearer)]) -> None:
    """The one token there is."""
    if not hmac.compare_digest(credentials.credentials, os.environ["PLAIN_TOKEN"]):
        raise HTTPException(401)


async def session(request: Request) -> AsyncIterator[AsyncSession]:
    """A session, committed when the answer is made."""
    async with request.app.state.sessions() as opened:
        yield opened
        await opened.commit()


Session = Annotated[AsyncSession, Depends(session, scope="function")]
guarded: list[Any] = [Depends(check)]


@app.get("/health")
async def health() -> Response:
    """It runs."""
    return Response(b"ok")


@app.get("/v1/contacts", response_model=ContactPage, dependencies=guarded)
async def list_contacts(opened: Session, city: str, limit: int = 50) -> Any:
    """A page by city."""
    query = select(Contact).where(Contact.city == city.lower()).order_by(Contact.id.desc()).limit(limit + 1)
    rows = (await opened.scalars(query)).all()
    return {"data": rows[:limit], "has_more": len(rows) > limit}


@app.get("/v1/contacts/{contact_id}", response_model=ContactOut, dependencies=guarded)
async def get_contact(opened: Session, contact_id: UUID) -> Any:
    """One contact."""
    found = await opened.get(Contact, contact_id)
    if found is None:
        raise HTTPException(404)
    return found


@app.post("/v1/contacts", response_model=ContactOut, status_code=201, dependencies=guarded)
async def create_contact(opened: Session, body: ContactIn) -> Any:
    """Add a contact."""
    now = datetime.now(UTC)
    contact = Contact(
        id=compat.uuid7(),
        **body.model_dump(),
        display_name=f"{body.given_name} {body.family_name}",
        middle_name=None,
        organization_name=None,
        city=body.addresses[0].city,
        email=body.emails[0].address,
        created_at=now,
        updated_at=now,
    )
    opened.add(contact)
    await opened.flush()
    return contact


@app.post("/v1/donations", response_model=GiftOut, status_code=201, dependencies=guarded)
async def record_donation(opened: Session, body: GiftIn) -> Any:
    """Add a gift and roll its donor's figures up."""
    now, amount, day = datetime.now(UTC), body.amount.amount, body.received_at.date()
    gift = Gift(
        id=compat.uuid7(),
        contact_id=body.contact_id,
        amount=amount,
        currency=body.amount.currency,
        counted=amount,
        base_amount=amount,
        base_counted=amount,
        base_rate_date=day,
        method=body.method,
        received_at=body.received_at,
        gift_date=day,
        created_at=now,
        updated_at=now,
    )
    opened.add(gift)
    donor = await opened.get(Donor, body.contact_id, with_for_update=True)
    if donor is None:
        opened.add(Donor(contact_id=body.contact_id, gift_count=1, total_given=amount, last_gift_at=body.received_at))
    else:
        donor.gift_count += 1
        donor.total_given += amount
        donor.last_gift_at = max(donor.last_gift_at, body.received_at)
    await opened.flush()
    zero = MoneyModel(amount=0, currency=body.amount.currency)
    return GiftOut(
        **body.model_dump(),
        id=gift.id,
        status=gift.status,
        refunded_amount=zero,
        fee_amount=zero,
        net_amount=body.amount,
        base_amount=body.amount,
        base_rate_date=day,
        gift_date=day,
        version=1,
        created_at=now,
        updated_at=now,
    )


@app.get("/v1/contacts/{contact_id}/donor-profile", response_model=Profile, dependencies=guarded)
async def donor_profile(opened: Session, contact_id: UUID) -> Any:
    """A donor's figures, from the gifts."""
    recent = Gift.gift_date >= func.current_date() - timedelta(days=365)
    query = select(
        func.count().label("gift_count"),
        func.coalesce(func.sum(Gift.base_counted), 0).label("total_given"),
        func.max(Gift.base_counted).label("largest_gift"),
        func.min(Gift.received_at).label("first_gift_at"),
        func.max(Gift.received_at).label("last_gift_at"),
        func.coalesce(func.sum(Gift.base_counted).filter(recent), 0).label("total_last_365_days"),
    ).where(Gift.contact_id == contact_id, Gift.counted > 0, Gift.gift_date <= func.current_date())
    row = (await opened.execute(query)).mappings().one()
    return {"contact_id": contact_id, **row}


@app.post("/v1/payments/webhooks/{provider}/{connection_id}", status_code=202)
async def ingest(opened: Session, request: Request, provider: str, connection_id: str) -> dict[str, bool]:
    """Store the body."""
    opened.add(Event(id=compat.uuid7(), body=await request.body(), received_at=datetime.now(UTC)))
    return {"received": True}
