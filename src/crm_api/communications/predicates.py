"""What rules can ask about letters."""

from __future__ import annotations

from crm_api.communications.deliveries.models import KINDS, STATES
from crm_api.kit.predicates.catalogue import Attribute, Source

PREDICATES = (
    Source(
        "letters",
        "messages",
        "contact_id",
        (
            Attribute("kind", "choice", "{t}.kind", choices=KINDS),
            Attribute("state", "choice", "{t}.state", choices=STATES),
            Attribute("created_at", "instant", "{t}.created_at"),
            Attribute("sent_at", "instant", "{t}.sent_at"),
        ),
        many=True,
        scope="messages:read",
        facts=("LetterQueued", "ContactsMerged", "ContactsUnmerged"),
        description="Letters to the contact, whatever became of them.",
    ),
)
