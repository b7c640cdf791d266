"""What attempts to charge can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.payments.dunning.models import ATTEMPT_STATES, charge_attempts

ATTEMPTS = Catalogue(
    resource="charge-attempts",
    table=charge_attempts,
    default_sort="-id",
    fields=(
        Field("id", "uuid", charge_attempts.c.id, sortable=True),
        Field("plan_id", "uuid", charge_attempts.c.plan_id),
        Field("period_id", "uuid", charge_attempts.c.period_id),
        Field("state", "choice", charge_attempts.c.state, choices=ATTEMPT_STATES),
        Field("provider_payment_id", "text", charge_attempts.c.provider_ref),
    ),
)
