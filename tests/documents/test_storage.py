"""The file store: the same promises for a folder and for a bucket, whose signatures are checked."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import time_machine
from pydantic import SecretStr

from crm_api.documents.storage import FileStore, FilesUnset, content_disposition
from crm_api.kit.crypto import Vault, new_master_key
from crm_api.kit.problems import NotFound, PayloadTooLarge, Unavailable
from crm_api.settings import Settings
from tests.documents import fake_s3
from tests.support.settings import SECRET_KEY

ORGANIZATION = UUID("0193a000-0000-7000-8000-000000000001")


def store_at(url: str, *, keys: tuple[str, ...] = (SECRET_KEY,), **settings: Any) -> FileStore:
    return FileStore(Settings(_env_file=None, files_url=url, **settings), Vault(keys))


@pytest.fixture
async def bucket() -> AsyncIterator[fake_s3.Bucket]:
    async with fake_s3.serving() as found:
        yield found
        assert found.uploads == {}, "an upload was left open"


def in_bucket(bucket: fake_s3.Bucket, **changes: Any) -> FileStore:
    options = {
        "files_endpoint": bucket.url,
        "files_region": fake_s3.REGION,
        "files_access_key_id": fake_s3.KEY_ID,
        "files_secret_access_key": SecretStr(fake_s3.SECRET),
    }
    return store_at(f"s3://{fake_s3.BUCKET}/some/prefix", **{**options, **changes})


@pytest.fixture(params=["folder", "bucket"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FileStore]:
    if request.param == "folder":
        yield store_at(f"file://{tmp_path}")
        return
    async with fake_s3.serving() as found:
        yield in_bucket(found)
        assert found.refused == []
        assert found.uploads == {}


async def pieces(content: bytes, size: int = 70_000) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def whole(store: FileStore, name: str, **bounds: int) -> bytes:
    return b"".join([piece async for piece in store.read(name, **bounds)])


@pytest.mark.parametrize("size", [0, 1, 69_999, 9_000_000, 17_500_000])
async def test_written_and_read(store: FileStore, size: int) -> None:
    content = os.urandom(size)
    name = store.new_name(ORGANIZATION, "documents")
    stored = await store.write(
        name, pieces(content), max_bytes=size, media_type="application/pdf", filename="паспорт.pdf"
    )
    assert (stored.size, stored.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert await store.size(name) == size
    assert await whole(store, name) == content
    if size > 10:
        assert await whole(store, name, start=3, end=9) == content[3:9]
        assert await whole(store, name, start=size - 5) == content[-5:]
    await store.delete(name)
    await store.delete(name)
    for asking in (store.size(name), whole(store, name)):
        with pytest.raises(NotFound):
            await asking


async def test_too_much_leaves_nothing(store: FileStore) -> None:
    name = store.new_name(ORGANIZATION, "documents")
    for size in (11, 12_000_000):
        with pytest.raises(PayloadTooLarge):
            await store.write(name, pieces(bytes(size)), max_bytes=size - 1)
    with pytest.raises(NotFound):
        await store.size(name)
    assert [one async for one in store.listing(ORGANIZATION, "documents")] in ([], [[]])


async def test_a_sender_that_breaks_off_leaves_nothing(store: FileStore) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(10_000_000)
        raise ConnectionResetError

    name = store.new_name(ORGANIZATION, "documents")
    with pytest.raises((ConnectionResetError, Unavailable)):
        await store.write(name, broken(), max_bytes=20_000_000)
    with pytest.raises(NotFound):
        await store.size(name)


async def test_listing_is_of_one_area_of_one_organization(store: FileStore) -> None:
    names = set()
    for number in range(8):
        name = store.new_name(ORGANIZATION, "documents")
        await store.write(name, pieces(bytes(number)), max_bytes=10)
        names.add(name)
    for organization, area in ((ORGANIZATION, "imports"), (uuid4(), "documents")):
        await store.write(store.new_name(organization, area), pieces(b"x"), max_bytes=10)
    found = [one async for batch in store.listing(ORGANIZATION, "documents") for one in batch]
    assert {one.name for one in found} == names
    assert sorted(one.size for one in found) == list(range(8))
    assert all(abs(one.modified.timestamp() - time.time()) < 60 for one in found)


def test_names_cannot_be_guessed_and_say_whose_they_are() -> None:
    names = {FileStore.new_name(ORGANIZATION, "documents") for _ in range(1000)}
    assert len(names) == 1000
    assert all(name.startswith(f"{ORGANIZATION}/documents/") for name in names)
    assert all(len(name.rpartition("/")[2]) == 40 for name in names)
    with pytest.raises(ValueError, match="area"):
        FileStore.new_name(ORGANIZATION, "../x")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "", f"{ORGANIZATION}/documents/aa/../x"])
async def test_other_names_are_never_touched(store: FileStore, name: str) -> None:
    for asking in (
        store.size(name),
        store.delete(name),
        whole(store, name),
        store.write(name, pieces(b""), max_bytes=1),
    ):
        with pytest.raises(ValueError, match="not a name"):
            await asking


async def test_links_of_a_folder(tmp_path: Path) -> None:
    store = store_at(f"file://{tmp_path}", public_url="https://crm.example.org/")
    name = store.new_name(ORGANIZATION, "documents")
    link = await store.link(name, filename="Олена Шевченко.pdf", media_type="application/pdf", seconds=60)
    head, _, token = link.url.rpartition("/")
    assert head == "https://crm.example.org/v1/files"
    assert "documents" not in token
    opened = store.opened(token)
    assert (opened.name, opened.filename, opened.media_type) == (name, "Олена Шевченко.pdf", "application/pdf")
    for wrong in (token[:-1], token[:-1] + ("A" if token[-1] != "A" else "B"), "", "x" * 100, "ї", token + "A"):
        with pytest.raises(NotFound) as caught:
            store.opened(wrong)
        assert caught.value.code == "link_invalid"
    with pytest.raises(NotFound):
        store_at(f"file://{tmp_path}", keys=(new_master_key(),)).opened(token)
    rotated = store_at(f"file://{tmp_path}", keys=(new_master_key(), SECRET_KEY))
    assert rotated.opened(token) == opened
    with time_machine.travel(link.expires_at.timestamp() - 1, tick=False):
        assert store.opened(token) == opened
    with time_machine.travel(link.expires_at.timestamp(), tick=False), pytest.raises(NotFound):
        store.opened(token)


async def test_links_of_a_bucket(bucket: fake_s3.Bucket) -> None:
    """Signed by the library, checked by the bucket: for this file only, until its end, and served as a download."""
    store = in_bucket(bucket)
    name = store.new_name(ORGANIZATION, "documents")
    await store.write(name, pieces(b"%PDF-"), max_bytes=9, media_type="application/pdf", filename="паспорт.pdf")
    link = await store.link(name, filename="паспорт.pdf", media_type="application/pdf", seconds=60)
    async with httpx.AsyncClient() as client:
        answer = await client.get(link.url)
        assert (answer.status_code, answer.content) == (200, b"%PDF-")
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.headers["content-disposition"] == content_disposition("паспорт.pdf")
        for wrong in (link.url.replace(name, store.new_name(ORGANIZATION, "documents")), link.url[:-1] + "x"):
            assert (await client.get(wrong)).status_code == 403
        assert (await client.delete(link.url)).status_code == 403
        with time_machine.travel(link.expires_at.timestamp() + 2):
            assert (await client.get(link.url)).status_code == 403
    assert next(iter(bucket.objects)).startswith(f"some/prefix/{ORGANIZATION}/documents/")


async def test_a_bucket_that_refuses_or_is_away(bucket: fake_s3.Bucket) -> None:
    name = FileStore.new_name(ORGANIZATION, "documents")
    stranger = in_bucket(bucket, files_secret_access_key=SecretStr("another"))
    for asking in (stranger.write(name, pieces(b"x"), max_bytes=1), stranger.size(name), stranger.delete(name)):
        with pytest.raises(Unavailable, match="does not answer as it should"):
            await asking
    assert set(bucket.refused) == {"SignatureDoesNotMatch"}
    assert bucket.objects == {}


async def test_what_the_operator_forgot(tmp_path: Path) -> None:
    for url, words in (("", "not set"), ("ftp://x/y", "not set"), (f"file://{tmp_path}/none", "does not exist")):
        store = store_at(url)
        with pytest.raises(Unavailable, match="CRM_FILES_URL"):
            await store.size(store.new_name(ORGANIZATION, "documents"))
        with pytest.raises(FilesUnset, match=words):
            await store.probe()


async def test_the_probe(store: FileStore) -> None:
    await store.probe()


async def test_memory_is_flat(store: FileStore) -> None:
    """100 MB in and out, with a few parts in memory at a time."""

    async def much() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(1_000_000)
            await asyncio.sleep(0)

    if store.remote:
        pytest.skip("the bucket of the tests keeps everything in this very process")
    name = store.new_name(ORGANIZATION, "documents")
    tracemalloc.start()
    try:
        await store.write(name, much(), max_bytes=100_000_000)
        read = 0
        async for piece in store.read(name):
            read += len(piece)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert read == 100_000_000


def test_file_names_in_any_script() -> None:
    assert content_disposition("report.pdf") == "attachment; filename=\"report.pdf\"; filename*=UTF-8''report.pdf"
    header = content_disposition('Зві"т;\\ %.pdf')
    assert header.isascii()
    assert header.startswith('attachment; filename="____')
    assert header.endswith("filename*=UTF-8''%D0%97%D0%B2%D1%96%22%D1%82%3B%5C%20%25.pdf")
    assert "\n" not in content_disposition("a\nb")
