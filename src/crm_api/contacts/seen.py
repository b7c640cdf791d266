"""Which reads show sensitive values of a contact, for the audit: it names the fields, never what they hold."""

from __future__ import annotations

from crm_api.audit.sensitive_reads import note
from crm_api.contacts.service import READ_SENSITIVE
from crm_api.kit.db import ReadSession, RowLike


def note_shown(session: ReadSession, row: RowLike, fields: str | None = None) -> None:
    """Record that the session's actor is shown this contact, where that shows something sensitive. `fields`: the
    request's own choice of members; an answer without ``custom`` shows nothing of it."""
    hidden = row["custom_sensitive"]
    if not hidden or READ_SENSITIVE not in session.actor.scopes:
        return
    if fields is None or "custom" in fields.split(","):
        names = [f"custom.{key}" for key in hidden]
        note(session, "contact.sensitive_read", "contact", row["id"], fields=names)
