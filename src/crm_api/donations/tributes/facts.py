"""What can happen to tributes."""

from __future__ import annotations

from uuid import UUID

from crm_api.outbox.facts import Fact


class TributeNoticeDue(Fact):
    """Somebody is to be told of a gift in honour or memory: the gift has arrived and the notice is pending. Whoever
    tells them records it with `tributes.service.note_notice`."""

    notice_id: UUID
    tribute_id: UUID
    gift_id: UUID
    contact_id: UUID | None
