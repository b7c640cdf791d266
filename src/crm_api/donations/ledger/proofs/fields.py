"""What proofs can be filtered and sorted by."""

from __future__ import annotations

from crm_api.donations.ledger.proofs.models import STATES, ledger_proofs
from crm_api.kit.fields import Catalogue, Field

PROOFS = Catalogue(
    resource="ledger-proofs",
    table=ledger_proofs,
    default_sort="-created_at",
    fields=(
        Field("id", "uuid", ledger_proofs.c.id, sortable=True),
        Field("state", "choice", ledger_proofs.c.state, choices=STATES),
        Field("verdict", "choice", ledger_proofs.c.verdict, choices=("balanced", "discrepancies")),
        Field("created_at", "instant", ledger_proofs.c.created_at, sortable=True),
    ),
)
