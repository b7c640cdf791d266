"""What a timeline can be asked for: read as every list is, so that pages, cursors and errors are the same."""

from __future__ import annotations

from crm_api.contacts.models import contacts
from crm_api.kit.fields import Catalogue, Field
from crm_api.kit.timeline import SOURCES


def _kinds(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    known = SOURCES.names()
    if not set(names) <= known.keys():
        raise ValueError(f"takes, separated by commas: {', '.join(sorted(known))}")
    return names


TIMELINE = Catalogue(
    resource="timeline",
    table=contacts,
    default_sort="-at",
    fields=(
        Field(
            "kind",
            "text",
            contacts.c.kind,
            normalize=_kinds,
            description="Only these kinds of entries, separated by commas: `gift,letter`. Of interactions "
            "also single kinds: `call,meeting`.",
        ),
        Field("at", "instant", contacts.c.created_at, sortable=True),
    ),
)
