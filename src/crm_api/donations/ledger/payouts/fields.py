"""What payouts and their items can be filtered and sorted by."""

from __future__ import annotations

from crm_api.donations.ledger.payouts.models import ITEM_KINDS, ITEM_STATES, STATES, payout_items, payouts
from crm_api.kit.fields import Catalogue, Field

PAYOUTS = Catalogue(
    resource="payouts",
    table=payouts,
    default_sort="-arrived_on",
    fields=(
        Field("id", "uuid", payouts.c.id, sortable=True),
        Field("connection_id", "uuid", payouts.c.connection_id),
        Field("provider", "text", payouts.c.provider),
        Field("payout_ref", "text", payouts.c.payout_ref),
        Field("state", "choice", payouts.c.state, choices=STATES),
        Field("currency", "text", payouts.c.currency),
        Field("arrived_on", "date", payouts.c.arrived_on, sortable=True),
        Field("created_at", "instant", payouts.c.created_at, sortable=True),
    ),
)

ITEMS = Catalogue(
    resource="payout-items",
    table=payout_items,
    default_sort="id",
    fields=(
        Field("id", "uuid", payout_items.c.id, sortable=True),
        Field("payout_id", "uuid", payout_items.c.payout_id, filterable=False),
        Field("kind", "choice", payout_items.c.kind, choices=ITEM_KINDS),
        Field("ref", "text", payout_items.c.ref),
        Field("state", "choice", payout_items.c.state, choices=ITEM_STATES),
        Field("donation_id", "uuid", payout_items.c.gift_id),
    ),
)
