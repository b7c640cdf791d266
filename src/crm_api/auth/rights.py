"""Rights that an answer needs beside the one its route asks for."""

from __future__ import annotations

from crm_api.kit.db import ReadSession
from crm_api.kit.problems import Forbidden


def need(session: ReadSession, scope: str) -> None:
    """403 with the scope's name where the caller does not have it. The system has every right."""
    if session.actor.kind != "system" and scope not in session.actor.scopes:
        said = f"This needs the scope {scope}, too. Use a key that has it, or ask an administrator to grant it."
        raise Forbidden(said, code="missing_scope", scope=scope)
