"""A bucket that speaks as much of S3's protocol as a client of files needs, and checks every signature (SigV4).

Objects, ranges, multipart uploads, listings, deletions, and presigned addresses with their end. What the protocol says
is from Amazon's API reference; nothing here knows the library under test.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, unquote
from xml.sax.saxutils import escape

import uvicorn

REGION, KEY_ID, SECRET, BUCKET = "eu-test-1", "AKIATESTS", "secret+of/the=tests", "crm-files"


@dataclass
class Object:
    """What is kept under a key."""

    content: bytes
    headers: dict[str, str]
    modified: datetime


@dataclass
class Bucket:
    """The bucket, and what was asked of it."""

    objects: dict[str, Object] = field(default_factory=dict)
    uploads: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    broken: bool = False
    largest_request: int = 0
    url: str = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.largest_request = max(self.largest_request, len(body))
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        raw_path = scope["raw_path"].decode()
        self.asked.append(f"{scope['method']} {sorted(query)}")
        answer_headers: dict[str, str] = {}
        status, content = 503, b"<Error><Code>SlowDown</Code></Error>"
        if not self.broken:
            wrong = _wrong_signature(scope["method"], raw_path, query, headers, body)
            if wrong:
                self.refused.append(wrong)
                status, content = 403, f"<Error><Code>{wrong}</Code></Error>".encode()
            else:
                status, answer_headers, content = self._answer(scope["method"], unquote(raw_path), query, headers, body)
        pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer_headers.items()]
        pairs.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})

    def _answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        _, bucket, key = (path + "/").split("/", 2)
        key = key.rstrip("/")
        if bucket != BUCKET:
            return 404, {}, b"<Error><Code>NoSuchBucket</Code></Error>"
        if not key:
            return self._of_bucket(method, query, body)
        if "uploads" in query or "uploadId" in query:
            return self._multipart(method, key, query, headers, body)
        if method == "PUT":
            return self._put(key, body, headers)
        if method == "DELETE":
            self.objects.pop(key, None)
            return 204, {}, b""
        return self._get(key, headers)

    def _put(self, key: str, content: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        kept: dict[str, str] = {
            str(name): headers[name] for name in ("content-type", "content-disposition") if name in headers
        }
        self.objects[key] = Object(content, kept, datetime.now(UTC))
        return 200, {"ETag": _etag(content)}, b""

    def _get(self, key: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        found = self.objects.get(key)
        if found is None:
            return 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
        told = {
            **found.headers,
            "ETag": _etag(found.content),
            "Last-Modified": found.modified.strftime("%a, %d %b %Y %H:%M:%S GMT"),
            "Accept-Ranges": "bytes",
        }
        size = len(found.content)
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        if match is None:
            return 200, told, found.content
        start, end = int(match[1]), min(int(match[2] or size), size - 1)
        if start >= size:
            return 416, {}, b"<Error><Code>InvalidRange</Code></Error>"
        return 206, {**told, "Content-Range": f"bytes {start}-{end}/{size}"}, found.content[start : end + 1]

    def _multipart(
        self, method: str, key: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if method == "POST" and "uploads" in query:
            upload = f"upload-{len(self.uploads)}"
            self.uploads[upload] = {"key": key, "headers": headers, "parts": {}}
            text = f"<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{escape(key)}</Key>"
            return 200, {}, f"{text}<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>".encode()
        known = self.uploads.get(query["uploadId"])
        if known is None:
            return 404, {}, b"<Error><Code>NoSuchUpload</Code></Error>"
        if method == "PUT":
            known["parts"][int(query["partNumber"])] = body
            return 200, {"ETag": _etag(body)}, b""
        del self.uploads[query["uploadId"]]
        if method == "DELETE":
            return 204, {}, b""
        numbers = [int(one) for one in re.findall(rb"<PartNumber>(\d+)</PartNumber>", body)]
        assert numbers == sorted(known["parts"])
        assert all(len(known["parts"][number]) >= 5 << 20 for number in numbers[:-1]), "S3 refuses smaller parts"
        content = b"".join(known["parts"][number] for number in numbers)
        self._put(key, content, known["headers"])
        text = f"<CompleteMultipartUploadResult><Key>{escape(key)}</Key><ETag>{_etag(content)}</ETag>"
        return 200, {}, f"{text}</CompleteMultipartUploadResult>".encode()

    def _of_bucket(self, method: str, query: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if method == "POST" and "delete" in query:
            keys = [one.decode() for one in re.findall(rb"<Key>([^<]+)</Key>", body)]
            for key in keys:
                self.objects.pop(key, None)
            gone = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
            return 200, {}, f"<DeleteResult>{gone}</DeleteResult>".encode()
        prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        page, more = keys[:3], len(keys) > 3
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[key].content)}</Size>"
            f"<LastModified>{self.objects[key].modified.isoformat()}</LastModified>"
            f"<ETag>{_etag(self.objects[key].content)}</ETag></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        told = f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}"
        return 200, {}, f"<ListBucketResult>{told}</ListBucketResult>".encode()


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def _wrong_signature(method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> str:
    """The code of what is wrong with a request's signature; nothing where it is right (AWS Signature Version 4)."""
    if "X-Amz-Signature" in query:
        given, moment, credential = query.pop("X-Amz-Signature"), query["X-Amz-Date"], query["X-Amz-Credential"]
        signed_headers, payload = query["X-Amz-SignedHeaders"], "UNSIGNED-PAYLOAD"
        ends = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) + timedelta(
            seconds=int(query["X-Amz-Expires"])
        )
        if datetime.now(UTC) > ends:
            return "AccessDenied"
    else:
        match = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=(\S+), ?SignedHeaders=(\S+), ?Signature=([0-9a-f]{64})",
            headers.get("authorization", ""),
        )
        if match is None:
            return "AccessDenied"
        credential, signed_headers, given = match.groups()
        moment, payload = headers["x-amz-date"], headers["x-amz-content-sha256"]
        if payload != "UNSIGNED-PAYLOAD" and payload != hashlib.sha256(body).hexdigest():
            return "XAmzContentSHA256Mismatch"
    key_id, *scope = credential.split("/")
    if key_id != KEY_ID or scope != [moment[:8], REGION, "s3", "aws4_request"]:
        return "InvalidAccessKeyId"
    canonical_query = "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in sorted(query.items()))
    names = signed_headers.split(";")
    canonical = "\n".join(
        [
            method,
            path,
            canonical_query,
            *(f"{name}:{headers[name].strip()}" for name in names),
            "",
            signed_headers,
            payload,
        ]
    )
    text = "\n".join(["AWS4-HMAC-SHA256", moment, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{SECRET}".encode()
    for step in scope:
        key = hmac.digest(key, step.encode(), "sha256")
    right = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return "" if hmac.compare_digest(right, given) else "SignatureDoesNotMatch"


@asynccontextmanager
async def serving() -> AsyncIterator[Bucket]:
    """A bucket on a free port of this machine."""
    bucket = Bucket()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    bucket.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(bucket, log_config=None, lifespan="off", timeout_keep_alive=1))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield bucket
    finally:
        server.should_exit = True
        await task
        listener.close()
