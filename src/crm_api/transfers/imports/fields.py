"""What imports and their rows can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.transfers.imports.models import OUTCOMES, STATES, import_rows, imports

IMPORTS = Catalogue(
    resource="imports",
    table=imports,
    default_sort="-id",
    fields=(
        Field("id", "uuid", imports.c.id, sortable=True),
        Field("state", "choice", imports.c.state, choices=STATES),
        Field("kind", "choice", imports.c.kind, choices=("contacts", "donations")),
        Field("created_at", "instant", imports.c.created_at, sortable=True),
    ),
)
IMPORT_ROWS = Catalogue(
    resource="import rows",
    table=import_rows,
    default_sort="id",
    fields=(
        Field("id", "uuid", import_rows.c.id, sortable=True),
        Field("outcome", "choice", import_rows.c.outcome, choices=OUTCOMES),
        Field("record_id", "uuid", import_rows.c.record_id),
        Field("import_id", "uuid", import_rows.c.import_id, filterable=False),
    ),
)
