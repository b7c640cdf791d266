"""Custom fields: an organization's own typed fields of a resource, and the values of those that are archived.

Values live where they are read: in the resource's ``custom`` document, those of beneficiary-sensitive fields in its
``custom_sensitive``, so that a read needs no look at the definitions. The values of an archived field are moved to
`custom_field_archive`, and back when it is restored.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint

from crm_api.kit.personal import erase
from crm_api.kit.tables import document, flag, instant, number, one_of, refers, string, tenant_table, uid

RESOURCES = ("contacts",)
TYPES = ("text", "number", "date", "choice", "multi_choice", "boolean", "money", "reference")
SENSITIVITIES = ("internal", "donor_sensitive", "beneficiary_sensitive")
STATUSES = ("active", "archived", "erasing")
RUN_STATES = ("queued", "running", "succeeded", "failed")

custom_fields = tenant_table(
    "custom_fields",
    string("resource"),
    string("key", binary=True),  # for good, like resource and type
    string("label"),
    document("labels", default="'{}'"),  # language: label
    string("type"),
    document("choices", default="'[]'"),  # code, label, labels, retired
    flag("required"),
    flag("filterable"),
    string("sensitivity", default="'internal'"),
    string("description", null=True),
    number("position", default="0"),
    string("status", default="'active'"),
    flag("indexed"),  # its key rows are complete: it can be filtered by
    # The walk over every row of the resource that brings values and key rows to where the definition wants them.
    uid("run_id", null=True),
    string("run_state", null=True),
    uid("run_after", null=True),  # the last row it has dealt with
    number("run_done", default="0", big=True),
    number("run_total", default="0", big=True),
    number("run_horizon", null=True, big=True),  # transactions older than this one may know the field as it was
    string("run_reason", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("resource", RESOURCES),
    one_of("type", TYPES),
    one_of("sensitivity", SENSITIVITIES),
    one_of("status", STATUSES),
    one_of("run_state", RUN_STATES, null=True),
    CheckConstraint("position >= 0", name="position"),
    UniqueConstraint("organization_id", "resource", "key"),
    Index("ix_custom_fields__position", "organization_id", "position", "id"),
    Index("ix_custom_fields__created", "organization_id", "created_at", "id"),
)

custom_field_archive = tenant_table(
    "custom_field_archive",
    uid("custom_field_id"),
    uid("contact_id"),
    document("content", tag="beneficiary_sensitive"),
    refers("custom_field_id", "custom_fields", on_delete="CASCADE"),
    refers("contact_id", "contacts", on_delete="CASCADE"),
    Index("ix_custom_field_archive__contact", "organization_id", "contact_id"),
    key=("custom_field_id", "contact_id"),
    personal=erase("contact_id"),
)
