"""SQL of receipts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, select, text

from crm_api.donations.receipts.models import receipt_runs, receipts
from crm_api.kit.db import prepare

_ORG: Any = bindparam("organization_id")
_OWN: tuple[Any, ...] = (receipts.c.organization_id == _ORG, receipts.c.id == bindparam("id"))
GET = prepare(select(receipts).where(*_OWN))
LOCK = prepare(select(receipts).where(*_OWN).with_for_update(key_share=True))
LOCK_RUN = prepare(
    select(receipt_runs)
    .where(receipt_runs.c.organization_id == _ORG, receipt_runs.c.id == bindparam("id"))
    .with_for_update(key_share=True)
)
# The organization as receipts name it, with its settings where it has some.
HOUSE = prepare(
    text(
        """
        SELECT o.name, o.website, o.postal_address, s.mode, s.automatic, s.by_email, s.prefixes, s.legal_text,
            s.signatory_name, s.signatory_title, s.logo_document_id, s.logo_file, s.minimum_amount, s.methods, s.kinds,
            s.annual_on, s.version
        FROM organizations o LEFT JOIN receipt_settings s ON s.organization_id = o.id
        WHERE o.id = :organization_id
        """
    )
)
SAVE_SETTINGS = prepare(
    text(
        """
        INSERT INTO receipt_settings (organization_id, mode, automatic, by_email, prefixes, legal_text, signatory_name,
            signatory_title, logo_document_id, logo_file, minimum_amount, methods, kinds, annual_on, version,
            created_at, updated_at)
        VALUES (:organization_id, :mode, :automatic, :by_email, CAST(:prefixes AS jsonb), CAST(:legal_text AS jsonb),
            :signatory_name, :signatory_title, CAST(:logo_document_id AS uuid), :logo_file,
            CAST(:minimum_amount AS bigint), CAST(:methods AS jsonb), CAST(:kinds AS jsonb), :annual_on, 1, :now, :now)
        ON CONFLICT (organization_id) DO UPDATE SET mode = excluded.mode, automatic = excluded.automatic,
            by_email = excluded.by_email, prefixes = excluded.prefixes, legal_text = excluded.legal_text,
            signatory_name = excluded.signatory_name, signatory_title = excluded.signatory_title,
            logo_document_id = excluded.logo_document_id, logo_file = excluded.logo_file,
            minimum_amount = excluded.minimum_amount, methods = excluded.methods, kinds = excluded.kinds,
            annual_on = excluded.annual_on, version = receipt_settings.version + 1, updated_at = excluded.updated_at
            WHERE CAST(:expected AS integer) IS NULL OR receipt_settings.version = :expected
        RETURNING *
        """
    )
)

# Gifts are locked before anything else, in the order of their ids: a refund waits for the receipt, or is seen by it.
LOCK_GIFTS = prepare(
    text(
        "SELECT id FROM gifts WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[])) "
        "ORDER BY id FOR NO KEY UPDATE"
    )
)
LOCK_GIFTS_OF_YEAR = prepare(
    text(
        "SELECT id FROM gifts WHERE organization_id = :organization_id "
        "AND contact_id = ANY(CAST(:contact_ids AS uuid[])) AND gift_date BETWEEN :first AND :last "
        "ORDER BY id FOR NO KEY UPDATE"
    )
)
GIFTS = prepare(
    text(
        """
        SELECT g.id, g.contact_id, g.status, g.currency, g.counted, g.base_counted, g.premium_value, g.gift_date,
            g.method, g.superseded_by, l.receipt_id AS covered_by,
            coalesce(CASE WHEN g.method = 'in_kind' THEN g.method_details ->> 'description' END, f.name,
                CASE WHEN g.is_split THEN (
                    SELECT string_agg(DISTINCT b.name, ', ') FROM gift_allocations a
                    JOIN funds b ON b.organization_id = a.organization_id AND b.id = a.fund_id
                    WHERE a.organization_id = :organization_id AND a.gift_id = g.id) END, '') AS description
        FROM gifts g
        LEFT JOIN funds f ON f.organization_id = :organization_id AND f.id = g.fund_id
        LEFT JOIN receipt_lines l ON l.organization_id = :organization_id AND l.gift_id = g.id AND l.active
        WHERE g.organization_id = :organization_id AND g.id = ANY(CAST(:ids AS uuid[]))
        ORDER BY g.gift_date, g.id
        """
    )
)
DONORS = prepare(
    text(
        "SELECT id, display_name, latin_name, language, addresses, erased_at, merged_into FROM contacts "
        "WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))"
    )
)

# The row of the series is locked from here to the commit: numbers follow each other as the commits do, and a rollback
# gives its numbers back.
COUNT = prepare(
    text(
        "INSERT INTO receipt_series (organization_id, series, last_number) VALUES (:organization_id, :series, :wanted) "
        "ON CONFLICT (organization_id, series) DO UPDATE "
        "SET last_number = receipt_series.last_number + excluded.last_number RETURNING last_number"
    )
)
VOID = prepare(
    text(
        "UPDATE receipts SET status = 'void', voided_at = :now, void_cause = :cause, void_reason = :reason, "
        "file = NULL, version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND id = :id RETURNING *"
    )
)
RELEASE = prepare(
    text(
        "UPDATE receipt_lines SET active = false, dropped = gift_id = ANY(CAST(:dropped AS uuid[])) "
        "WHERE organization_id = :organization_id AND receipt_id = :receipt_id AND active"
    )
)
REPLACED = prepare(
    text(
        "UPDATE receipts SET replaced_by = :new_id, version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND id = :id"
    )
)
LINES = prepare(
    text(
        "SELECT gift_id, gift_date, method, description, amount, deductible, currency FROM receipt_lines "
        "WHERE organization_id = :organization_id AND receipt_id = :receipt_id ORDER BY position"
    )
)
NUMBER = prepare(text("SELECT number FROM receipts WHERE organization_id = :organization_id AND id = :id"))

# What a gift's change is compared with: the receipt that covers it, or the last one that did.
STANDING = prepare(
    text(
        """
        SELECT l.active, l.dropped, l.amount, l.deductible, l.currency, r.id AS receipt_id, r.kind, r.year,
            r.contact_id, r.issued_to, r.replaced_by
        FROM receipt_lines l JOIN receipts r ON r.organization_id = :organization_id AND r.id = l.receipt_id
        WHERE l.organization_id = :organization_id AND l.gift_id = :gift_id
        ORDER BY l.active DESC, l.id DESC LIMIT 1
        """
    )
)
UNFIT = prepare(
    text(
        """
        SELECT l.gift_id FROM receipt_lines l
        JOIN gifts g ON g.organization_id = :organization_id AND g.id = l.gift_id
        JOIN receipts r ON r.organization_id = :organization_id AND r.id = l.receipt_id
        WHERE l.organization_id = :organization_id AND l.active AND (
            g.counted <> l.amount OR g.currency <> l.currency OR g.superseded_by IS NOT NULL
            OR g.contact_id IS DISTINCT FROM r.contact_id OR g.status NOT IN ('succeeded', 'partially_refunded')
            OR greatest(g.counted - g.premium_value, 0) <> l.deductible)
        ORDER BY l.gift_id LIMIT :most
        """
    )
)

# Annual receipts
COUNT_DONORS = prepare(
    text(
        """
        SELECT count(DISTINCT contact_id) FROM gifts WHERE organization_id = :organization_id
            AND contact_id IS NOT NULL AND gift_date BETWEEN :first AND :last AND counted > 0
            AND status IN ('succeeded', 'partially_refunded') AND superseded_by IS NULL
        """
    )
)
NEXT_DONORS = prepare(
    text(
        """
        SELECT DISTINCT contact_id FROM gifts WHERE organization_id = :organization_id
            AND contact_id > :after_id AND gift_date BETWEEN :first AND :last AND counted > 0
            AND status IN ('succeeded', 'partially_refunded') AND superseded_by IS NULL
        ORDER BY contact_id LIMIT :most
        """
    )
)
HAVE_ANNUAL = prepare(
    text(
        "SELECT id, contact_id FROM receipts WHERE organization_id = :organization_id AND kind = 'annual' "
        "AND status = 'active' AND year = :year AND contact_id = ANY(CAST(:contact_ids AS uuid[])) ORDER BY id"
    )
)
RUN_OF_YEAR = prepare(
    text("SELECT id FROM receipt_runs WHERE organization_id = :organization_id AND year = :year LIMIT 1")
)

# Files
KEEP_FILE = prepare(
    text(
        "UPDATE receipts SET file = :file WHERE organization_id = :organization_id AND id = :id AND version = :version "
        "AND file IS NOT DISTINCT FROM CAST(:before AS text)"
    )
)
NAMED = prepare(
    text("SELECT file FROM receipts WHERE organization_id = :organization_id AND file = ANY(CAST(:files AS text[]))")
)
CHECK = prepare(
    text(
        "SELECT r.status, r.issued_on, r.specimen, o.name, o.language FROM receipts r "
        "JOIN organizations o ON o.id = r.organization_id "
        "WHERE r.organization_id = :organization_id AND r.code = :code"
    )
)
