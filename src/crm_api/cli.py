"""The command line. Heavy modules are imported by the command that needs them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crm_api.kit.db import Database
    from crm_api.settings import Settings

app = typer.Typer(
    help="Headless CRM for charities and nonprofits.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)
organizations = typer.Typer(help="Organizations (tenants).", no_args_is_help=True)
keys = typer.Typer(help="API keys.", no_args_is_help=True)
app.add_typer(organizations, name="organizations")
app.add_typer(keys, name="keys")
audit = typer.Typer(help="The audit and its seals.", no_args_is_help=True)
app.add_typer(audit, name="audit")


def _fail(message: str) -> NoReturn:
    typer.echo(f"crm-api: {message}", err=True)
    raise typer.Exit(1)


def _settings() -> Settings:
    from pydantic import ValidationError

    from crm_api.settings import get_settings

    try:
        return get_settings()
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)]
        _fail("The settings are wrong.\n  " + "\n  ".join(lines))


def _require_database(settings: Settings) -> None:
    if not settings.database_url:
        _fail("DATABASE_URL is not set. For a try without any setup, run: crm-api dev")


def _with_database(work: Callable[[Database, Settings], Awaitable[Any]]) -> Any:
    settings = _settings()
    _require_database(settings)

    async def run() -> Any:
        from crm_api.kit.db import Database

        database = await Database.open(settings.database_url, size=4, name="crm-api command")
        try:
            return await work(database, settings)
        finally:
            await database.close()

    return asyncio.run(run())


def _event_loop() -> Callable[[Any], Any]:
    """The faster event loop where there is one."""
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.run
    return uvloop.run


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="Port of the API.")] = 8000,
    data_dir: Annotated[Path, typer.Option(help="Where everything is kept.")] = Path(".crm"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Start with an empty database.")] = False,
    no_demo: Annotated[bool, typer.Option("--no-demo", help="Load no demo data.")] = False,
    ready_file: Annotated[Path | None, typer.Option(help="Written as JSON when everything answers.")] = None,
) -> None:
    """Run everything on this machine, with no service and no configuration."""
    from crm_api.dev import DevOptions, DevTrouble, run_dev

    options = DevOptions(port=port, data_dir=data_dir, fresh=fresh, demo=not no_demo, ready_file=ready_file)
    try:
        raise typer.Exit(run_dev(options, lambda line: typer.echo(line, err=True)))
    except DevTrouble as error:
        _fail(str(error))


@app.command()
def serve() -> None:
    """Run the API."""
    settings = _settings()
    _require_database(settings)
    from crm_api.server import serve as run

    run(settings)


@app.command()
def worker() -> None:
    """Run a worker."""
    settings = _settings()
    _require_database(settings)
    import asyncpg

    from crm_api.guard import UnsafeRole
    from crm_api.kit import log
    from crm_api.worker import run_worker

    log.configure(level=settings.log_level, json=settings.log_json)
    try:
        _event_loop()(run_worker(settings))
    except UnsafeRole as error:
        _fail(str(error))
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        _fail(f"The database cannot be used ({type(error).__name__}). What is wrong says: crm-api doctor")


@app.command()
def migrate(
    check: Annotated[bool, typer.Option("--check", help="Only say whether models and migrations agree.")] = False,
) -> None:
    """Bring the database to this version, and create the service's login if it is missing."""
    settings = _settings()
    if not settings.migration_database_url:
        _fail("MIGRATION_DATABASE_URL is not set: the owner's connection, for instance postgresql://owner:…@host/crm.")
    from crm_api import migrate as migrations

    try:
        if check:
            migrations.check(settings.migration_database_url)
        else:
            _require_database(settings)
            migrations.migrate(settings.migration_database_url, settings.database_url)
    except migrations.MigrationTrouble as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"The database cannot be reached ({type(error).__name__}); check MIGRATION_DATABASE_URL.")


@app.command()
def doctor() -> None:
    """Say in words what is wrong with the settings, the database, Redis and the mail server."""
    from crm_api.doctor import examine

    settings = _settings()
    findings = asyncio.run(examine(settings))
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.good else 'FAIL'}  {finding.what}: {finding.words}")
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)


@app.command()
def openapi(
    write: Annotated[bool, typer.Option("--write", help="Write openapi/openapi.json.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Fail when openapi/openapi.json is out of date.")] = False,
) -> None:
    """Print, write or check the OpenAPI document."""
    from crm_api.app import create_app
    from crm_api.settings import Settings as Plain

    plain = Plain(environment="test")
    text = json.dumps(create_app(plain).openapi(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    path = Path("openapi/openapi.json")
    if write:
        path.write_text(text, encoding="utf-8")
    elif check:
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            _fail(f"{path} is out of date; run: make openapi")
        typer.echo(f"{path} is up to date")
    else:
        typer.echo(text)


@app.command()
def demo(
    organization: Annotated[str, typer.Option(help="Id of the organization to fill; a test one.")],
    seed: Annotated[int, typer.Option(help="Another seed gives other people.")] = 1,
) -> None:
    """Fill a test organization with the life of a small fund: four years, many languages, four currencies."""
    from uuid import UUID

    from crm_api.demo import DemoTrouble, load_demo

    try:
        organization_id = UUID(organization)
    except ValueError:
        _fail("--organization must be a UUID.")

    async def work(database: Database, settings: Settings) -> None:
        await load_demo(database, settings, organization_id, seed=seed)

    try:
        _with_database(work)
    except DemoTrouble as error:
        _fail(str(error))


@app.command()
def simulate(
    provider: Annotated[str, typer.Argument(help="For instance stripe.")],
    event: Annotated[str, typer.Argument(help="For instance payment_intent.succeeded.")],
    base_url: Annotated[str, typer.Option(help="The API; the running `crm-api dev` when not given.")] = "",
    api_key: Annotated[str, typer.Option(help="A key of the organization.", envvar="CRM_API_KEY")] = "",
    connection: Annotated[str, typer.Option(help="Connection id; one is made when not given.")] = "",
    secret: Annotated[str, typer.Option(help="The connection's webhook secret.", envvar="CRM_WEBHOOK_SECRET")] = "",
    data_dir: Annotated[Path, typer.Option(help="Where `crm-api dev` keeps its data.")] = Path(".crm"),
    seed: Annotated[str, typer.Option(help="The same seed is the same payment.")] = "",
) -> None:
    """Send a correctly signed sample event and show live what follows from it."""
    from crm_api.simulate import SimulationTrouble, run_simulation

    try:
        run_simulation(
            provider,
            event,
            base_url=base_url,
            api_key=api_key,
            connection=connection,
            secret=secret,
            data_dir=data_dir,
            seed=seed,
        )
    except SimulationTrouble as error:
        _fail(str(error))


@organizations.command("create")
def organizations_create(
    name: Annotated[str, typer.Option(help="Name of the organization.")],
    mode: Annotated[str, typer.Option(help="test or live, for good.")],
    currency: Annotated[str, typer.Option(help="ISO 4217 code, for good.")] = "USD",
    timezone: Annotated[str, typer.Option(help="IANA time zone.")] = "UTC",
    language: Annotated[str, typer.Option(help="Language of letters to people whose own is unknown.")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Create an organization and its first key, which is shown once."""
    from crm_api.bootstrap import make_organization
    from crm_api.kit import clock
    from crm_api.kit.money import CURRENCIES

    if mode not in {"test", "live"}:
        _fail("--mode must be test or live.")
    if currency not in CURRENCIES:
        _fail("--currency must be an ISO 4217 code, such as UAH.")
    try:
        clock.zone(timezone)
    except ValueError:
        _fail("--timezone must be an IANA name, such as Europe/Kyiv.")

    async def work(database: Database, settings: Settings) -> Any:
        return await make_organization(
            database, name=name, mode=mode, currency=currency, timezone=timezone, language=language
        )

    made = _with_database(work)
    facts = {"organization_id": str(made.id), "api_key": made.api_key}
    typer.echo(json.dumps(facts) if as_json else "\n".join(f"{key}: {value}" for key, value in facts.items()))


@keys.command("create")
def keys_create(
    organization: Annotated[str, typer.Option(help="Id of the organization.")],
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[list[str] | None, typer.Option(help="A scope; repeat it. Every scope when not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Create an API key, which is shown once. For operators who have lost the last one."""
    from uuid import UUID

    from crm_api.auth.api_keys.service import issue_key
    from crm_api.auth.scopes import ALL_SCOPES
    from crm_api.bootstrap import COMMAND_LINE
    from crm_api.kit.db import Tenant
    from crm_api.organizations.service import load_tenant

    unknown = set(scope or ()) - ALL_SCOPES
    if unknown:
        _fail(f"There is no scope {', '.join(sorted(unknown))}. Known: {', '.join(sorted(ALL_SCOPES))}.")

    async def work(database: Database, settings: Settings) -> Any:
        bare = Tenant(UUID(organization), "live", "USD", "UTC", "en")
        tenant = await load_tenant(database.read(bare))
        if tenant is None:
            return None
        async with database.write(tenant, COMMAND_LINE) as session:
            row, token = issue_key(
                session, name=name, scopes=sorted(scope or ALL_SCOPES), kind="secret", expires_at=None
            )
        return {"id": str(row["id"]), "api_key": token}

    try:
        facts = _with_database(work)
    except ValueError:
        _fail("--organization must be a UUID.")
    if facts is None:
        _fail("There is no such organization in this database.")
    typer.echo(json.dumps(facts) if as_json else "\n".join(f"{key}: {value}" for key, value in facts.items()))


@audit.command("verify")
def audit_verify(
    organization: Annotated[str, typer.Option(help="Id of one organization; all of them when not given.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a line for each organization.")] = False,
) -> None:
    """Compute the seals of the audit again and say whether anything was changed, added or removed since."""
    from uuid import UUID

    from crm_api.verification import UnknownOrganization, verify_audits

    try:
        chosen = UUID(organization) if organization else None
    except ValueError:
        _fail("--organization must be a UUID.")

    async def work(database: Database, settings: Settings) -> bool:
        return await verify_audits(database, chosen, typer.echo, as_json=as_json)

    try:
        if not _with_database(work):
            raise typer.Exit(1)
    except UnknownOrganization:
        _fail("There is no such organization in this database.")


def main() -> None:
    """Entry point."""
    app(prog_name="crm-api")


if __name__ == "__main__":
    main()
