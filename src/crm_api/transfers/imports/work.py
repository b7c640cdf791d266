"""The worker's side of an import: look at the file, try or write its rows chunk by chunk, take them back.

Each chunk is one transaction that writes records, what became of each row, and the import's new position. So a worker
may die anywhere: whoever takes the job over goes on after the last chunk that was committed. A chunk whose position is
not the import's any more (paused, changed, taken over) does not commit.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from crm_api.kit.db import Actor, Row, Tenant, WriteSession
from crm_api.kit.limits import Limit
from crm_api.kit.problems import NotFound
from crm_api.kit.updates import update_row
from crm_api.outbox.facts import Job
from crm_api.outbox.service import emit
from crm_api.transfers.imports import drafts, journal, service
from crm_api.transfers.imports.facts import ImportDue
from crm_api.transfers.imports.headers import preset_of
from crm_api.transfers.imports.kinds import Chunk, ImportKind, Options, ParsedRow, ParseRow, RowResult
from crm_api.transfers.imports.models import KEPT_DAYS, imports
from crm_api.transfers.imports.reading import Shape, Table, Unreadable, find_shape, is_workbook
from crm_api.transfers.imports.registry import KINDS
from crm_api.transfers.imports.report import failed_csv
from crm_api.transfers.imports.workbook import to_csv
from crm_api.transfers.places import WAIT, Places

if TYPE_CHECKING:
    from crm_api.worker import WorkerRunner

CHUNK = 2_000
"""Rows of one transaction."""
_LARGEST_CHUNK = 8_000_000
"""Characters of one transaction's rows, beside one row: memory stays flat whatever they hold."""
SAMPLES = 20
AREA = "imports"
_LARGEST_REPORT = 2_000_000_000
PLACES = Places(2)
"""Imports that one worker process works on at a time: the rest of its slots stay free for other work."""


class _Stopped(Exception):
    """The import was paused, changed or taken over: what is at hand is dropped."""


async def work(runner: WorkerRunner, tenant: Tenant, job: Job) -> None:
    """Do what an import has to have done, to its end."""
    import_id, generation = UUID(job.payload["import_id"]), int(job.payload["generation"])
    if not PLACES.free_for(tenant.id):
        async with runner.write(tenant) as session:
            await runner.finish(session, job)
            emit(session, ImportDue(import_id=import_id, generation=generation), delay=WAIT)
        return
    with PLACES.taken(import_id, tenant.id):
        await _work(runner, tenant, job, import_id, generation)


async def _work(runner: WorkerRunner, tenant: Tenant, job: Job, import_id: UUID, generation: int) -> None:
    session = runner.database.read(tenant)
    row = await session.fetch_row(service.GET, id=import_id)
    if row is None or row["generation"] != generation or row["state"] not in {"uploaded", "validating", "running"}:
        async with runner.write(tenant) as ending:
            await runner.finish(ending, job)
        return
    run = _Run(runner, tenant, job, row)
    with tempfile.TemporaryDirectory(prefix="crm-import-") as folder:
        try:
            if row["phase"] == "undo":
                await run.undo()
            else:
                await run.forward(Path(folder))
        except _Stopped:
            async with runner.write(tenant) as ending:
                await runner.finish(ending, job)
        except Unreadable as error:
            await run.end(state="failed", reason=error.detail, reason_code=error.code)
        except NotFound:
            await run.end(state="failed", reason="The file is gone. Upload it anew.", reason_code="file_gone")


class _Run:
    """One job of one import."""

    def __init__(self, runner: WorkerRunner, tenant: Tenant, job: Job, row: Row) -> None:
        self.runner = runner
        self.tenant = tenant
        self.job = job
        self.row = row
        self.kind: ImportKind = KINDS[row["kind"]]
        self.actor = Actor(row["actor_kind"], row["actor_id"], limit=Limit.stored(row["made_under"]))
        said = row["options"]
        self.options = Options(
            on_match=said["on_match"],
            preset=said["preset"],
            external_system=said["external_system"],
            default_country=said["default_country"],
            date_order=said["date_order"],
            sensitive=row["sensitive"],
            create_contacts=said.get("create_contacts", False),
            receipts=said.get("receipts", False),
            default_currency=said.get("default_currency"),
        )

    def write(self) -> Any:
        """A transaction in the name of whoever started the import."""
        return self.runner.database.write(self.tenant, self.actor, bulk=f"import:{self.row['id']}")

    async def _change(self, session: WriteSession, **changes: Any) -> None:
        """Change the import while it is still at our generation."""
        now = await service.lock_import(session, self.row["id"], trusted=True)
        if now["generation"] != self.row["generation"]:
            raise _Stopped
        self.row = await update_row(session, imports, self.row["id"], changes, expected=None)

    async def end(self, *, state: str, reason: str | None = None, reason_code: str | None = None, **more: Any) -> None:
        """The last transaction of the job: it is done, and so is this phase."""
        try:
            async with self.write() as session:
                await self.runner.finish(session, self.job)
                finished = None if state == "ready" else session.now
                purge = session.now + timedelta(days=KEPT_DAYS)
                changes = {"state": state, "reason": reason, "reason_code": reason_code, "finished_at": finished}
                await self._change(session, **changes, purge_at=purge, **more)
                if self.row["phase"] in {"import", "undo"} and (self.row["position"] or self.row["removed"]):
                    await self.kind.finished(session, self.row["id"])
        except _Stopped:
            async with self.runner.write(self.tenant) as session:
                await self.runner.finish(session, self.job)

    # Forward

    async def forward(self, folder: Path) -> None:
        """Look at the file where nobody has, then try or write its rows."""
        path = await self._fetched(folder)
        while not self.row["position"] and await self._forget():
            pass
        session = self.runner.database.read(self.tenant, self.actor)
        context = await self.kind.context(session)
        if self.row["phase"] == "inspect":
            table, samples = await self._inspect(path, folder, context)
        else:
            table, samples = await self._opened(path, folder), self.row["samples"]
        parse = self.kind.parser(table.headers, self.row["mapping"], self.options, samples, context)
        await self._rows(table, parse)
        last = self.row["position"]
        async with self.write() as clearing:
            await journal.clear_from(clearing, self.row["id"], last + 1, 5_000_000)
        more: dict[str, Any] = {"errors_key": await self._report() if self.row["failed"] else None, "progress": 1000}
        if self.row["phase"] == "import":
            more["samples"] = []
        await self.end(state="ready" if self.row["phase"] == "validate" else "succeeded", **more)

    async def _fetched(self, folder: Path) -> Path:
        """The file, on this machine."""
        path = folder / "upload"
        with path.open("wb") as target:
            async for piece in self.runner.files.read(self.row["file_key"]):
                await asyncio.to_thread(target.write, piece)
        return path

    async def _opened(self, path: Path, folder: Path) -> Table:
        """The table, read as it was found out before."""
        found = self.row["detected"]
        if found["sheet"] is not None:
            await to_csv(path, folder / "sheet.csv", found["sheet"])
            path = folder / "sheet.csv"
        return await asyncio.to_thread(Table, path, Shape(found["encoding"], found["delimiter"], found["skip_lines"]))

    async def _inspect(self, path: Path, folder: Path, context: Any) -> tuple[Table, list[list[str]]]:
        """Find out how the file is to be read and what its columns mean; then the rows can be tried."""
        said = self.row["options"]
        sheet, sheets = None, []
        if await asyncio.to_thread(is_workbook, path):
            found = await to_csv(path, folder / "sheet.csv", said["sheet"])
            path, sheet, sheets = folder / "sheet.csv", found.name, list(found.sheets)
            shape = Shape("utf-8", ",")
        else:
            chosen = {"encoding": said["encoding"], "delimiter": said["delimiter"]}
            shape = await asyncio.to_thread(lambda: find_shape(path, **chosen))
        table = await asyncio.to_thread(Table, path, shape)
        samples = await asyncio.to_thread(
            lambda: [[cell.replace("\x00", "")[:500] for cell in row] for _, row in islice(table.rows(), SAMPLES)]
        )
        preset = said["preset"] or preset_of(table.headers)
        self.options = replace(self.options, preset=preset)
        mapping = self._mapping(table.headers, context)
        sensitive = [header for header, target in mapping.items() if target in self.kind.sensitive_targets(context)]
        phase, state = ("validate", "validating") if said["dry_run"] else ("import", "running")
        async with self.write() as session:
            await self._change(
                session,
                phase=phase,
                state=state,
                options={**said, "preset": preset},
                mapping=mapping,
                samples=samples,
                detected={
                    "encoding": shape.encoding,
                    "delimiter": shape.delimiter,
                    "skip_lines": shape.skip_lines,
                    "sheet": sheet,
                    "sheets": sheets,
                    "headers": table.headers,
                    "notices": table.notices,
                    "sensitive": sensitive,
                },
            )
        return table, samples

    def _mapping(self, headers: Sequence[str], context: Any) -> dict[str, str | None]:
        """What was said of the columns, and suggestions for the rest."""
        said: dict[str, str | None] = self.row["options"]["mapping"]
        if not said.keys() <= set(headers):
            raise Unreadable("unknown_column", "options.mapping names a column that the file does not have.")
        known = {one.name for one in self.kind.targets(context)}
        for target in said.values():
            if target is not None and target not in known and ":" not in target:
                raise Unreadable("unknown_target", "options.mapping names a custom field that is not defined.")
        mapping = {**self.kind.suggest(headers, self.options.preset, context), **said}
        if not any(mapping.values()):
            raise Unreadable(
                "no_columns",
                "No column of the file is one of ours. Name the columns by PATCH /v1/imports/{id} with mapping.",
            )
        return mapping

    async def _rows(self, table: Table, parse: ParseRow) -> None:
        """Every row that is not done with, a chunk at a time. The next chunk is read while one is written."""
        rows = table.rows(self.row["position"])
        ahead = asyncio.create_task(asyncio.to_thread(_read, rows, parse))
        try:
            while chunk := await ahead:
                progress = min(999, table.read_bytes * 1000 // table.size)
                ahead = asyncio.create_task(asyncio.to_thread(_read, rows, parse))
                await self._chunk(chunk, progress)
        finally:
            with suppress(Exception):
                await ahead  # a thread cannot be cancelled; the file must not go from under it

    async def _chunk(self, parsed: list[ParsedRow], progress: int) -> None:
        """One transaction."""
        row, dry_run = self.row, self.row["phase"] == "validate"
        position = parsed[-1].number
        async with self.write() as session:
            good = [one for one in parsed if not one.errors and not one.blank]
            told = Chunk(row["id"], self.options, dry_run)
            results = {one.number: one for one in await self.kind.write(session, told, good)} if good else {}
            whole = [results.get(one.number) or _without(one) for one in parsed]
            await journal.write_rows(session, row["id"], parsed, whole, dry_run=dry_run)
            if not await journal.advance(
                session, row, before=row["position"], position=position, progress=progress, results=whole
            ):
                raise _Stopped
        after = await self.runner.database.read(self.tenant).fetch_row(service.GET, id=row["id"])
        if after is None or after["generation"] != row["generation"]:
            raise _Stopped
        self.row = after

    async def _forget(self) -> bool:
        async with self.write() as session:
            return await drafts.forget(session, self.row["id"])

    async def _report(self) -> str:
        """Write the file of failed rows; where it is kept."""
        files = self.runner.files
        name: str = files.new_name(self.tenant.id, AREA)
        content = failed_csv(self.runner.database.read(self.tenant), self.row)
        filename = f"{Path(self.row['filename']).stem[:150]}-errors.csv"
        await files.write(name, content, max_bytes=_LARGEST_REPORT, media_type="text/csv", filename=filename)
        return name

    # Back

    async def undo(self) -> None:
        """Take rows back from the last one to the first."""
        while (before := self.row["back_to"]) > 0:
            back_to = max(0, before - CHUNK)
            row = self.row
            async with self.write() as session:
                entries = await journal.journal(session, row["id"], back_to + 1, before)
                outcomes = await self.kind.undo(session, row["id"], entries) if entries else {}
                if outcomes:
                    await journal.mark_undone(session, row["id"], outcomes)
                progress = min(999, 1000 - back_to * 1000 // max(row["position"], 1))
                if not await journal.go_back(
                    session, row, before=before, back_to=back_to, progress=progress, outcomes=outcomes
                ):
                    raise _Stopped
            after = await self.runner.database.read(self.tenant).fetch_row(service.GET, id=row["id"])
            if after is None or after["generation"] != row["generation"]:
                raise _Stopped
            self.row = after
        await self.end(state="undone", progress=1000)


def _read(rows: Iterator[tuple[int, list[str]]], parse: ParseRow) -> list[ParsedRow]:
    """The next chunk of rows, read and checked; fewer where they are large. In a thread."""
    chunk: list[ParsedRow] = []
    size = 0
    for number, cells in islice(rows, CHUNK):
        chunk.append(parse(number, cells))
        size += sum(map(len, cells)) + len(cells)
        if size > _LARGEST_CHUNK:
            break
    return chunk


def _without(row: ParsedRow) -> RowResult:
    """What becomes of a row that is not even looked up."""
    if row.blank:
        return RowResult(row.number, "skipped", "blank")
    return RowResult(row.number, "failed", errors=row.errors)


async def gave_up(session: WriteSession, job: Job) -> None:
    """The job is dead: the import has failed, and can be run again from where it stopped."""
    row = await session.fetch_row(service.GET, id=UUID(job.payload["import_id"]))
    if row is not None and row["generation"] == job.payload["generation"]:
        reason = "The work was given up after several attempts; see GET /v1/jobs. Run the import to go on."
        changes = {"state": "failed", "reason": reason, "reason_code": "gave_up", "finished_at": session.now}
        await update_row(session, imports, row["id"], changes, expected=None)
