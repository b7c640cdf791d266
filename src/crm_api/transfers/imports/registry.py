"""Every kind of record that can be imported. A new kind is one file that implements `ImportKind`, and a line here."""

from __future__ import annotations

from crm_api.transfers.imports.contacts_kind import ContactsKind
from crm_api.transfers.imports.gifts_kind import GiftsKind
from crm_api.transfers.imports.kinds import ImportKind

KINDS: dict[str, ImportKind] = {"contacts": ContactsKind(), "donations": GiftsKind()}
