"""Items of a batch of contacts."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from crm_api.contacts.schemas import ContactCreate, ContactPatch
from crm_api.kit.batch import Batch
from crm_api.kit.schemas import ExternalId, Input


class CreateItem(Input):
    """Add a contact."""

    op: Literal["create"]
    body: ContactCreate


class UpdateItem(Input):
    """Change a contact by JSON merge patch."""

    op: Literal["update"]
    id: UUID
    version: Annotated[int, Field(ge=1)] | None = Field(
        None, description="The version that is believed to be changed, as If-Match says elsewhere."
    )
    body: ContactPatch


class UpsertItem(Input):
    """Create the contact with this id in another system, or change it."""

    op: Literal["upsert"]
    by_external_id: ExternalId
    body: ContactCreate


MODELS: dict[str, type[Input]] = {"create": CreateItem, "update": UpdateItem, "upsert": UpsertItem}


class ContactBatch(Batch):
    """Contacts to be created (`{"op": "create", "body": …}`, or the contact itself), changed
    (`{"op": "update", "id": …, "body": …}`) or upserted (`{"op": "upsert", "by_external_id": {"system", "id"},
    "body": …}`); bodies are as those routes take them.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {"op": "create", "body": {"given_name": "Олена", "family_name": "Шевченко"}},
                        {"given_name": "ნინო", "family_name": "ბერიძე"},
                        {
                            "op": "upsert",
                            "by_external_id": {"system": "old-crm", "id": "77"},
                            "body": {"given_name": "Іван", "tags": ["friend"]},
                        },
                    ],
                    "atomic": False,
                }
            ]
        }
    )
