"""Finding a connection before its tenant is known, for incoming webhooks."""

from __future__ import annotations

from crm_api.kit import directory
from crm_api.kit.crypto import Vault
from crm_api.kit.db import Database
from crm_api.payments.connections.service import OpenConnection, open_connection


class Directory(directory.Directory[OpenConnection]):
    """Payment connections by id."""

    def __init__(self, database: Database, vault: Vault) -> None:
        super().__init__(
            database,
            vault,
            purpose="payment",
            absent="No payment connection listens at this address; check the webhook URL at the provider.",
            opens=open_connection,
        )
