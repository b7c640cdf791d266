"""Finding a source before its tenant is known, for what comes from outside."""

from __future__ import annotations

from crm_api.intake.sources.service import OpenSource, open_source
from crm_api.kit import directory
from crm_api.kit.crypto import Vault
from crm_api.kit.db import Database


class Directory(directory.Directory[OpenSource]):
    """Sources of intake by id."""

    def __init__(self, database: Database, vault: Vault) -> None:
        super().__init__(
            database,
            vault,
            purpose="intake",
            absent="No source listens at this address; compare it with the source's webhook_url.",
            opens=open_source,
        )
