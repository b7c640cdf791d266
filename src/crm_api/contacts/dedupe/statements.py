"""SQL of merges that is not about one table among many."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from crm_api.contacts.dedupe.models import merges
from crm_api.contacts.models import contacts
from crm_api.kit.db import prepare

_ORG: Any = bindparam("organization_id")
_IDS: Any = bindparam("ids", type_=ARRAY(Uuid()))

LOCK_CONTACTS = prepare(
    select(contacts)
    .where(contacts.c.organization_id == _ORG, contacts.c.id == func.any(_IDS))
    .order_by(contacts.c.id)
    .with_for_update()
)
"""FOR UPDATE, so that rows which are being written for a contact are waited for, and theirs wait for the merge."""

_MERGE = select(merges).where(merges.c.organization_id == _ORG, merges.c.id == bindparam("id"))
GET_MERGE = prepare(_MERGE)
LOCK_MERGE = prepare(_MERGE.with_for_update())

BROUGHT = prepare(
    text(
        """
        WITH RECURSIVE brought AS (
            SELECT x.contact_id, x.own FROM merges m JOIN merged_contacts x
                ON x.organization_id = m.organization_id AND x.merge_id = m.id
            WHERE m.organization_id = :organization_id AND m.state = 'merged'
                AND m.survivor_id = ANY(CAST(:ids AS uuid[]))
            UNION ALL
            SELECT x.contact_id, x.own FROM brought b JOIN merges m
                ON m.organization_id = :organization_id AND m.state = 'merged' AND m.survivor_id = b.contact_id
            JOIN merged_contacts x ON x.organization_id = m.organization_id AND x.merge_id = m.id
        )
        SELECT b.contact_id, b.own, c.created_at FROM brought b JOIN contacts c
            ON c.organization_id = :organization_id AND c.id = b.contact_id
        """
    )
)
"""Every record that earlier merges brought to some contacts, over all steps, with what it had of its own."""

LATEST_MERGES = prepare(
    text(
        """
        SELECT DISTINCT ON (survivor_id) survivor_id, survivor_own, produced, choices FROM merges
        WHERE organization_id = :organization_id AND state = 'merged' AND survivor_id = ANY(CAST(:ids AS uuid[]))
        ORDER BY survivor_id, id DESC
        """
    )
)

JOURNAL_CONTACTS = prepare(
    text(
        """
        INSERT INTO merge_changes (organization_id, merge_id, step, table_name, column_name, n, change, row_key, before)
        SELECT CAST(:organization_id AS uuid), CAST(:merge_id AS uuid), 0, 'contacts', '', row_number() OVER (),
            'changed', jsonb_build_object('id', c.id), CASE c.id WHEN CAST(:survivor AS uuid) THEN to_jsonb(c)
                ELSE jsonb_build_object('merged_into', c.merged_into) END
        FROM contacts c WHERE c.organization_id = :organization_id AND c.id = ANY(CAST(:ids AS uuid[]))
        """
    )
)

SURVIVOR_BEFORE = prepare(
    text(
        "SELECT before FROM merge_changes WHERE organization_id = :organization_id AND merge_id = :merge_id "
        "AND step = 0 AND table_name = 'contacts' AND row_key ->> 'id' = CAST(:survivor AS text)"
    )
)

RETIRE = prepare(
    text(
        "UPDATE contacts SET merged_into = CAST(:survivor AS uuid), version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))"
    )
)

REVIVE = prepare(
    text(
        "UPDATE contacts SET merged_into = NULL, version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))"
    )
)

DROP_KEYS = prepare(
    text("DELETE FROM contact_keys WHERE organization_id = :organization_id AND contact_id = ANY(CAST(:ids AS uuid[]))")
)

COUNTS = prepare(
    text(
        "SELECT table_name, count(*) FILTER (WHERE change = 'moved') AS moved, "
        "count(*) FILTER (WHERE change = 'dropped') AS dropped FROM merge_changes "
        "WHERE organization_id = :organization_id AND merge_id = :merge_id AND change IN ('moved', 'dropped') "
        "GROUP BY table_name ORDER BY table_name"
    )
)

SET_COUNTS = prepare(
    text(
        "UPDATE merges SET counts = CAST(:counts AS jsonb) WHERE organization_id = :organization_id AND id = :merge_id"
    )
)

NEWER = prepare(
    text(
        """
        SELECT m.id FROM merges m WHERE m.organization_id = :organization_id AND m.state = 'merged' AND m.id > :merge_id
            AND (m.survivor_id = :survivor OR EXISTS (SELECT 1 FROM merged_contacts x
                WHERE x.organization_id = m.organization_id AND x.merge_id = m.id AND x.contact_id = :survivor))
        ORDER BY m.id DESC LIMIT 1
        """
    )
)
"""The newest live merge that this one's survivor took part in since."""

SURVIVOR_NOW = prepare(text("SELECT merged_into FROM contacts WHERE organization_id = :organization_id AND id = :id"))

LIVE_MERGE_OF = prepare(
    text(
        """
        SELECT x.merge_id, c.merged_into FROM contacts c
        JOIN merged_contacts x ON x.organization_id = c.organization_id AND x.contact_id = c.id
        JOIN merges m ON m.organization_id = x.organization_id AND m.id = x.merge_id AND m.state = 'merged'
        WHERE c.organization_id = :organization_id AND c.id = :id AND c.merged_into IS NOT NULL LIMIT 1
        """
    )
)
