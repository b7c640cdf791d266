"""What matching gifts can be filtered and sorted by."""

from __future__ import annotations

from crm_api.donations.matching.models import STATUSES, matching_gifts
from crm_api.kit.fields import Catalogue, Field

MATCHING_GIFTS = Catalogue(
    resource="matching-gifts",
    table=matching_gifts,
    default_sort="-id",
    fields=(
        Field("id", "uuid", matching_gifts.c.id, sortable=True),
        Field("donation_id", "uuid", matching_gifts.c.gift_id),
        Field("company_contact_id", "uuid", matching_gifts.c.company_contact_id),
        Field("matching_donation_id", "uuid", matching_gifts.c.matching_gift_id),
        Field("status", "choice", matching_gifts.c.status, choices=STATUSES),
    ),
)
