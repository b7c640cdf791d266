"""What every migration that adds a tenant table does with it: row-level security, privileges of the service role."""

from __future__ import annotations

from alembic import op

TENANT = "NULLIF(current_setting('crm.organization_id', true), '')::uuid"


def create_roles() -> None:
    """The two roles without login: what the service may do, and the one that owns the lookup functions."""
    for role in ("crm_service", "crm_lookup"):
        op.execute(
            f"""
            DO $$ BEGIN
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                    CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS;
                END IF;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
            END $$
            """
        )
    op.execute(
        """
        DO $$ BEGIN
            IF NOT pg_has_role(current_user, 'crm_lookup', 'SET') THEN
                EXECUTE format('GRANT crm_lookup TO %I WITH SET TRUE, INHERIT FALSE', current_user);
            END IF;
        END $$
        """
    )
    op.execute("GRANT USAGE ON SCHEMA public TO crm_service, crm_lookup")


def create_limited_role() -> None:
    """The role that a limited caller's transactions run as: the service may take it, and does not have it otherwise, so
    the policies that hold it hold nobody else. What it may do is granted with them."""
    op.execute(
        """
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'crm_limited') THEN
                CREATE ROLE crm_limited NOLOGIN NOSUPERUSER NOBYPASSRLS;
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END $$
        """
    )
    op.execute("GRANT crm_limited TO crm_service WITH INHERIT FALSE, SET TRUE")
    op.execute("GRANT USAGE ON SCHEMA public TO crm_limited")


def protect(table: str, privileges: str, *, column: str = "organization_id") -> None:
    """Only the current organization's rows exist; the service role may do just what is listed."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {table} USING ({column} = {TENANT}) WITH CHECK ({column} = {TENANT})")
    op.execute(f"GRANT {privileges} ON {table} TO crm_service")


def lookup_function(signature: str, returns: str, body: str, reads: dict[str, str]) -> None:
    """A function that reads before a tenant is known. Its owner can log in nowhere and sees only the listed columns."""
    for table, columns in reads.items():
        op.execute(f"GRANT SELECT ({columns}) ON {table} TO crm_lookup")
        op.execute(f"DROP POLICY IF EXISTS lookup ON {table}")
        op.execute(f"CREATE POLICY lookup ON {table} FOR SELECT TO crm_lookup USING (true)")
    op.execute(
        f"CREATE FUNCTION {signature} RETURNS {returns} LANGUAGE sql STABLE SECURITY DEFINER "
        f"SET search_path = pg_catalog, pg_temp AS $body$ {body} $body$"
    )
    op.execute("GRANT CREATE ON SCHEMA public TO crm_lookup")
    name = signature.partition("(")[0]
    op.execute(f"ALTER FUNCTION {name} OWNER TO crm_lookup")
    op.execute("REVOKE CREATE ON SCHEMA public FROM crm_lookup")
    op.execute("SET LOCAL ROLE crm_lookup")
    op.execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {name} TO crm_service")
    op.execute("RESET ROLE")
