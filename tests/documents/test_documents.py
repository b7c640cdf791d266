"""Documents over HTTP: attached, found, linked, read, reminded of, deleted; and seen only by those who may."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from crm_api.documents import service
from crm_api.documents.facts import DocumentExpiring, SweepDue
from crm_api.documents.storage import FileStore
from crm_api.kit.db import SYSTEM
from crm_api.outbox.service import emit
from tests.api.surface import problem_of, send
from tests.documents import fake_s3
from tests.documents.samples import CSV, GOOD, PDF, TEXT
from tests.documents.test_uploads import kept_files, upload
from tests.support.world import World


async def path_of(world: World, document: Any) -> str:
    """The path of a fresh link to the content."""
    url: str = (await world.post(f"/v1/documents/{document['id']}/links"))["url"]
    assert url.startswith(world.settings.public_url)
    return url.removeprefix(world.settings.public_url)


async def read(world: World, path: str, **headers: str) -> Any:
    """The answer of a link, asked without credentials."""
    return await world.client.get(path, headers={"Authorization": "", **headers})


async def key_with(world: World, *scopes: str) -> dict[str, str]:
    """Headers of another key of the organization."""
    key = (await world.post("/v1/api-keys", {"name": "k", "scopes": list(scopes)}))["key"]
    return {"Authorization": f"Bearer {key}"}


async def test_from_upload_to_removal(world: World) -> None:
    contact = await world.contact()
    document = await upload(
        world, PDF, "паспорт Олени.pdf", contact_id=contact["id"], kind="application/pdf", title=" Passport ",
        expires_on="2037-03-01", remind_days="60", sensitivity="donor_sensitive",
    )  # fmt: skip
    assert document["title"] == "Passport"
    assert (document["filename"], document["media_type"]) == ("паспорт Олени.pdf", "application/pdf")
    assert (document["expires_on"], document["remind_days"], document["version"]) == ("2037-03-01", 60, 1)
    assert await world.get(f"/v1/documents/{document['id']}") == document
    assert (await world.get("/v1/documents", params={"contact_id": contact["id"]}))["data"] == [document]
    answer = await read(world, await path_of(world, document))
    assert (answer.status_code, answer.content) == (200, PDF)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith("attachment; ")
    assert disposition.endswith(
        "filename*=UTF-8''%D0%BF%D0%B0%D1%81%D0%BF%D0%BE%D1%80%D1%82%20%D0%9E%D0%BB%D0%B5%D0%BD%D0%B8.pdf"
    )
    path = await path_of(world, document)
    await world.call("DELETE", f"/v1/documents/{document['id']}", expect=204)
    await world.get(f"/v1/documents/{document['id']}", expect=404)
    assert len(kept_files(world)) == 1, "the file goes after the commit"
    await world.drain()
    assert kept_files(world) == []
    assert (await read(world, path)).status_code == 404
    await world.call("DELETE", f"/v1/documents/{document['id']}", expect=404)


async def test_every_kind_of_file_comes_back_as_it_was(world: World) -> None:
    contact = (await world.contact())["id"]
    for name, content, media_type in GOOD[::3]:
        document = await upload(world, content, name, contact_id=contact)
        assert document["media_type"] == media_type
        answer = await read(world, await path_of(world, document))
        assert answer.content == content
        assert answer.headers["content-type"].partition(";")[0] == media_type


@pytest.mark.parametrize(
    ("asked", "status", "content", "shown"),
    [
        ("bytes=0-3", 206, TEXT[:4], f"bytes 0-3/{len(TEXT)}"),
        ("bytes=4-", 206, TEXT[4:], f"bytes 4-{len(TEXT) - 1}/{len(TEXT)}"),
        ("bytes=-5", 206, TEXT[-5:], f"bytes {len(TEXT) - 5}-{len(TEXT) - 1}/{len(TEXT)}"),
        ("bytes=-9999", 206, TEXT, f"bytes 0-{len(TEXT) - 1}/{len(TEXT)}"),
        ("bytes=2-99999", 206, TEXT[2:], f"bytes 2-{len(TEXT) - 1}/{len(TEXT)}"),
        ("bytes=0-1,4-5", 200, TEXT, None),
        ("lines=1-2", 200, TEXT, None),
        ("bytes=99999-", 416, b"", f"bytes */{len(TEXT)}"),
        ("bytes=-0", 416, b"", f"bytes */{len(TEXT)}"),
    ],
)
async def test_parts_of_the_content(world: World, asked: str, status: int, content: bytes, shown: str | None) -> None:
    path = await path_of(world, await upload(world))
    answer = await read(world, path, Range=asked)
    assert (answer.status_code, answer.headers.get("content-range")) == (status, shown)
    if status == 416:
        assert answer.json()["code"] == "range_not_satisfiable"
    else:
        assert answer.content == content
        assert answer.headers["content-length"] == str(len(content))


async def test_links_that_are_none(world: World) -> None:
    document = await upload(world)
    path = await path_of(world, document)
    for wrong in (path[:-2], path + "A", "/v1/files/" + "A" * 80, f"/v1/files/{document['id']}"):
        answer = await send(world, "GET", wrong, authorized=False)
        assert (answer.status, problem_of(answer)["code"]) == (404, "link_invalid")


async def test_beneficiary_documents_exist_for_those_only_who_may_know(world: World) -> None:
    contact = (await world.contact())["id"]
    secret = await upload(world, contact_id=contact, sensitivity="beneficiary_sensitive", title="Diagnosis")
    plain = await upload(world, CSV, "a.csv", contact_id=contact)
    donor_key = await key_with(world, "documents:read", "documents:write", "contacts:read")
    full_key = await key_with(world, "documents:read", "contacts:read_sensitive")
    for query in ({}, {"sensitivity": "beneficiary_sensitive"}, {"id": secret["id"]}, {"kind": "other"}):
        page = await world.get("/v1/documents", params={**query, "include_total": "true"}, headers=donor_key)
        assert secret["id"] not in [row["id"] for row in page["data"]]
        assert page["total"] == len(page["data"])
    assert [row["id"] for row in (await world.get("/v1/documents", headers=donor_key))["data"]] == [plain["id"]]
    at = f"/v1/documents/{secret['id']}"
    absent = f"/v1/documents/{uuid4()}"
    for method, suffix, body in (
        ("GET", "", None), ("PATCH", "", {"title": "x"}), ("DELETE", "", None), ("POST", "/links", None)
    ):  # fmt: skip
        theirs = await world.call(method, at + suffix, expect=404, json=body, headers=donor_key)
        nothing = await world.call(method, absent + suffix, expect=404, json=body, headers=donor_key)
        assert {**theirs, "request_id": ""} == {**nothing, "request_id": ""}
    assert (await world.get(at, headers=full_key))["title"] == "Diagnosis"
    assert len((await world.get("/v1/documents", headers=full_key))["data"]) == 2
    # Nor can somebody hide what is theirs to see, or keep what they may not know of.
    refused = await world.patch(f"/v1/documents/{plain['id']}", {"sensitivity": "beneficiary_sensitive"},
                                expect=403, headers=donor_key)  # fmt: skip
    assert (refused["code"], refused["scope"]) == ("missing_scope", "contacts:read_sensitive")
    await upload(world, contact_id=contact, sensitivity="beneficiary_sensitive", headers=donor_key, expect=403)
    assert len(kept_files(world)) == 2


async def test_scopes(world: World) -> None:
    document = await upload(world)
    reader = await key_with(world, "documents:read")
    await world.get("/v1/documents", headers=reader)
    await world.post(f"/v1/documents/{document['id']}/links", headers=reader)
    await world.patch(f"/v1/documents/{document['id']}", {"title": "x"}, expect=403, headers=reader)
    await upload(world, headers=reader, expect=403)
    other = await key_with(world, "contacts:read", "contacts:write")
    await world.get("/v1/documents", expect=403, headers=other)


async def test_lists_by_expiry(world: World) -> None:
    contact = (await world.contact())["id"]
    made = {}
    for day in ("2027-03-01", "2026-12-24", "", "2031-01-01"):
        more: dict[str, Any] = {"expires_on": day} if day else {}
        made[day] = (await upload(world, contact_id=contact, **more))["id"]

    async def found(**query: str) -> list[str]:
        page = await world.get("/v1/documents", params={"limit": 2, **query})
        ids = [row["id"] for row in page["data"]]
        while page["has_more"]:
            page = await world.get("/v1/documents", params={"limit": 2, **query, "cursor": page["next_cursor"]})
            ids += [row["id"] for row in page["data"]]
        return ids

    days = ["2026-12-24", "2027-03-01", "2031-01-01"]
    assert await found(sort="expires_on") == [made[day] for day in [*days, ""]]
    assert await found(sort="-expires_on") == [made[day] for day in ["", *reversed(days)]]
    assert await found(sort="expires_on", **{"expires_on[gte]": "2027-01-01"}) == [made[day] for day in days[1:]]
    assert await found(sort="expires_on", **{"expires_on[lte]": "2027-03-01"}) == [made[day] for day in days[:2]]
    assert await found(sort="expires_on", **{"expires_on[gt]": "2031-01-01"}) == []
    assert await found(expires_on="2027-03-01") == [made["2027-03-01"]]


async def test_changes(world: World) -> None:
    document = await upload(world, expires_on="2037-03-01")
    path = f"/v1/documents/{document['id']}"
    same = await world.patch(path, {"title": document["title"]})
    assert same["version"] == 1
    changed = await world.patch(path, {"title": "New", "kind": "contract", "expires_on": None},
                                headers={"If-Match": '"1"'})  # fmt: skip
    assert (changed["title"], changed["kind"], changed["expires_on"], changed["version"]) == (
        "New",
        "contract",
        None,
        2,
    )
    await world.patch(path, {"title": "Later"}, expect=412, headers={"If-Match": '"1"'})
    await world.call("DELETE", path, expect=412, headers={"If-Match": '"1"'})
    for wrong in ({"title": None}, {"file": "x"}, {"filename": "x"}, {"kind": "none"}, {"remind_days": 400}):
        await world.patch(path, wrong, expect=422)
    assert changed["sha256"] == document["sha256"]
    events = (await world.get("/v1/audit-events", params={"resource": "document"}))["data"]
    assert [(event["action"], event["fields"]) for event in events] == [
        ("document.updated", ["expires_on", "kind", "title"]),
        ("document.created", None),
    ]


async def test_the_owner(world: World) -> None:
    member = (await world.post("/v1/members", {"email": "o@fund.example", "role": "fundraiser"}))["id"]
    document = await upload(world, owner_member_id=member)
    assert document["owner_member_id"] == member
    assert len((await world.get("/v1/documents", params={"owner_member_id": member}))["data"]) == 1
    problem = await upload(world, owner_member_id=str(uuid4()), expect=404)
    assert problem["errors"][0]["pointer"] == "/owner_member_id"
    problem = await upload(world, contact_id=str(uuid4()), expect=404)
    assert problem["errors"][0]["pointer"] == "/contact_id"


async def test_of_a_merged_contact(world: World, owner: asyncpg.Connection) -> None:
    """It goes to the contact that the retired one has become."""
    retired, survivor = (await world.contact())["id"], (await world.contact())["id"]
    async with owner.transaction():
        await owner.execute("SELECT set_config('crm.organization_id', $1, true)", str(world.id))
        await owner.execute("UPDATE contacts SET merged_into = $2 WHERE id = $1", UUID(retired), UUID(survivor))
    assert (await upload(world, contact_id=retired))["contact_id"] == survivor


# Reminders


async def reminders(world: World) -> list[dict[str, Any]]:
    """Tasks that reminders have made."""
    found: list[dict[str, Any]] = (await world.get("/v1/tasks", params={"limit": 200}))["data"]
    return [task for task in found if "document" in task["title"]]


async def test_a_reminder_comes_once_for_each_date(world: World) -> None:
    await world.set_clock(datetime(2026, 11, 22, 9, tzinfo=UTC))
    member = (await world.post("/v1/members", {"email": "o@fund.example", "role": "fundraiser"}))["id"]
    contact = (await world.contact(owner_member_id=member))["id"]
    document = await upload(world, contact_id=contact, expires_on="2026-12-31", remind_days="30", title="Visa of Nino")
    await upload(world, contact_id=contact, expires_on="2026-11-01")  # history
    await upload(world, contact_id=contact)
    for moment, count in (
        (datetime(2026, 11, 30, 23, tzinfo=UTC), 0),
        (datetime(2026, 12, 1, 7, tzinfo=UTC), 1),
        (datetime(2026, 12, 20, 7, tzinfo=UTC), 1),
        (datetime(2027, 2, 1, 7, tzinfo=UTC), 1),
    ):
        await world.set_clock(moment)
        await world.drain()
        assert len(await reminders(world)) == count, moment
    (task,) = await reminders(world)
    assert (task["contact_id"], task["assignee_id"], task["due_on"]) == (contact, member, "2026-12-31")
    assert "Visa" not in str(task), "whoever sees tasks need not see documents"
    await world.patch(f"/v1/documents/{document['id']}", {"remind_days": 10})
    await world.set_clock(datetime(2027, 2, 3, 7, tzinfo=UTC))
    await world.drain()
    assert len(await reminders(world)) == 1
    await world.patch(f"/v1/documents/{document['id']}", {"expires_on": "2027-03-31", "remind_days": 30})
    await world.set_clock(datetime(2027, 3, 2, 7, tzinfo=UTC))
    await world.drain()
    assert {task["due_on"] for task in await reminders(world)} == {"2026-12-31", "2027-03-31"}


async def test_many_reminders_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than fit into one run, and runs at the same time: each document once."""
    monkeypatch.setattr(service, "_AT_ONCE", 3)
    await world.set_clock(datetime(2026, 11, 22, 9, tzinfo=UTC))
    contact = (await world.contact())["id"]
    for _ in range(8):
        await upload(world, contact_id=contact, expires_on="2026-12-01")

    async def run() -> int:
        async with world.database.write(await _tenant(world), SYSTEM) as session:
            return await service.remind(session)

    await asyncio.gather(*[run() for _ in range(4)])
    await world.drain()
    assert len(await reminders(world)) == 8


async def _tenant(world: World) -> Any:
    found = await world.worker.tenant(world.id)
    assert found is not None
    return found


def test_the_fact_is_thin() -> None:
    fact = DocumentExpiring(document_id=uuid4(), contact_id=uuid4(), owner_member_id=None, expires_on=date(2026, 1, 1))
    assert set(fact.model_dump()) == {"document_id", "contact_id", "owner_member_id", "expires_on"}


# Files and rows


async def test_the_sweep_removes_what_no_document_names(world: World) -> None:
    document = await upload(world)
    (kept,) = kept_files(world)
    folder = Path(world.settings.files_url.removeprefix("file://"))
    orphans = []
    for area, age in (("documents", 2), ("documents", 0.5), ("imports", 2)):
        path = folder / FileStore.new_name(world.id, area)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"orphan")
        moment = time.time() - timedelta(days=age).total_seconds()
        os.utime(path, (moment, moment))
        orphans.append(path)
    long_ago = time.time() - 400 * 86400
    os.utime(kept, (long_ago, long_ago))
    async with world.database.write(world.tenant, SYSTEM) as session:
        emit(session, SweepDue(occurrence=session.now))
    await world.drain()
    assert [path.exists() for path in orphans] == [False, True, True]
    assert (await read(world, await path_of(world, document))).content == TEXT


async def test_documents_of_a_contact_go_with_it(world: World) -> None:
    contact, other = (await world.contact())["id"], (await world.contact())["id"]
    for one in (contact, contact, other):
        await upload(world, contact_id=one)
    async with world.database.write(world.tenant, SYSTEM) as session:
        assert len(await service.files_of_contact(session, UUID(contact))) == 2
        assert await service.delete_documents_of(session, UUID(contact)) == 2
    await world.drain()
    assert len(kept_files(world)) == 1
    assert len((await world.get("/v1/documents"))["data"]) == 1


async def test_a_commit_that_nobody_knows_of_keeps_the_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection broke at COMMIT: the row may be there, so the file must be, until the sweep has looked."""
    from crm_api.kit.db import WriteSession
    from crm_api.kit.trouble import Away

    whole = WriteSession.commit

    async def breaks(self: WriteSession) -> None:
        await whole(self)
        raise Away("The database went away. Send the request again.")

    contact = (await world.contact())["id"]
    monkeypatch.setattr(WriteSession, "commit", breaks)
    await upload(world, contact_id=contact, expect=503)
    monkeypatch.setattr(WriteSession, "commit", whole)
    (document,) = (await world.get("/v1/documents"))["data"]
    assert (await read(world, await path_of(world, document))).content == TEXT


async def test_in_a_bucket(make_world: Any) -> None:
    """The same walk with S3: links lead to the bucket, and a file is removed there."""
    async with fake_s3.serving() as bucket:
        world: World = await make_world(
            files_url=f"s3://{fake_s3.BUCKET}", files_endpoint=bucket.url, files_region=fake_s3.REGION,
            files_access_key_id=fake_s3.KEY_ID, files_secret_access_key=fake_s3.SECRET,
        )  # fmt: skip
        document = await upload(world, PDF, "паспорт.pdf")
        link = await world.post(f"/v1/documents/{document['id']}/links")
        assert link["url"].startswith(bucket.url)
        import httpx

        async with httpx.AsyncClient() as client:
            answer = await client.get(link["url"])
        assert (answer.content, answer.headers["content-type"]) == (PDF, "application/pdf")
        await upload(world, b"MZ" + bytes(9), "a.pdf", expect=422)
        assert len(bucket.objects) == 1
        bucket.broken = True
        problem = await upload(world, expect=503)
        assert "file store" in problem["detail"]
        await world.call("DELETE", f"/v1/documents/{document['id']}", expect=204)
        await world.drain()
        assert len(bucket.objects) == 1
        bucket.broken = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                while bucket.objects:
                    await asyncio.sleep(0.05)
                    await world.drain()
        assert bucket.objects == {}
        assert bucket.refused == []
