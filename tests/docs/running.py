"""Runs a guide against an organization of its own, and compares what it shows with what comes."""

from __future__ import annotations

import base64
import json
import mimetypes
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from standardwebhooks.webhooks import Webhook

from tests.docs.reading import ELIDED, MORE, Expected, Guide, Request, Step, expected_json
from tests.support.world import World

FILES = Path(__file__).parent / "files"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_VARIABLE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_SHELL = re.compile(r"\$\{?([A-Z][A-Z0-9_]*)\}?")


class Different(AssertionError):
    """The guide shows something else than what comes; the text says where and what."""


class Story:
    """A guide on its way through."""

    def __init__(self, guide: Guide, world: World) -> None:
        self.guide = guide
        self.world = world
        self.kept: dict[str, str] = {"key": world.api_key, "organization_id": str(world.id)}
        """Variables, and the UUIDs that the guide writes out, with what each stands for."""

    async def tell(self) -> None:
        """All steps in order."""
        for step in self.guide.steps:
            await self.world.drain()
            if step.clock is not None:
                await self._set_clock(step.clock)
            if step.request is not None:
                await self._ask(step, step.request)
        await self.world.drain()
        dead = await self.world.jobs(state="dead")
        if dead:
            raise Different(f"{self.guide.path.name}: jobs died: {[job['last_error'] for job in dead]}")

    async def _set_clock(self, text: str) -> None:
        await self.world.set_clock(None if text == "off" else datetime.fromisoformat(text))
        await self.world.drain()

    # Asking

    def filled(self, text: str) -> str:
        """The text with what its variables stand for; what is not known stays."""
        self.kept["now"] = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self.kept["today"] = self.kept["now"][:10]
        text = _VARIABLE.sub(lambda one: self.kept.get(one[1], one[0]), text)
        text = _SHELL.sub(lambda one: self.kept.get(one[1].lower(), one[0]), text)
        return _UUID.sub(lambda one: self.kept.get(one[0], one[0]), text)

    async def _ask(self, step: Step, request: Request) -> None:
        path = re.sub(r"^https?://[^/]+", "", self.filled(request.path))
        if "{" in path or "$" in path:
            raise self._different(step.line, f"a variable of {path} is not known yet")
        options: dict[str, Any] = {"headers": self._headers(request)}
        if request.parts:
            options |= self._form(step, request)
        elif request.body.startswith("@"):
            options["content"] = self._file(step, request.body[1:])
        elif request.body:
            options["content"] = self.filled(request.body).encode()
        if step.sign is not None:
            options["headers"] |= self._signature(step, options.get("content", b""))
        for name, value in options["headers"].items():
            options["headers"][name] = value.encode()
        answer = await self.world.client.request(request.method, path, **options)
        if step.expected is None:
            if answer.status_code >= 300:
                raise self._different(step.line, f"{answer.status_code} {answer.text}")
        else:
            self._compare(step.expected, answer)

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {name: self.filled(value) for name, value in request.headers.items()}
        given = {name.lower() for name in headers}
        if request.body and "content-type" not in given:
            kind = "application/merge-patch+json" if request.method == "PATCH" else "application/json"
            headers["Content-Type"] = kind
        for name in [name for name in headers if name.lower() == "authorization"]:
            if headers[name] == "none":
                headers[name] = ""
        return headers

    def _form(self, step: Step, request: Request) -> dict[str, Any]:
        data = {part.name: self.filled(part.value) for part in request.parts if part.file is None}
        files = {}
        for part in request.parts:
            if part.file is not None:
                kind = part.media_type or mimetypes.guess_type(part.file)[0] or "application/octet-stream"
                files[part.name] = (part.file, self._file(step, part.file), kind)
        return {"data": data, "files": files}

    def _file(self, step: Step, name: str) -> bytes:
        if name in self.guide.files:
            return self.guide.files[name]
        path = FILES / name
        if "/" in name or not path.is_file():
            raise self._different(
                step.line, f"there is no file {name}: show it in the guide or put it into tests/docs/files"
            )
        return path.read_bytes()

    def _signature(self, step: Step, body: bytes) -> dict[str, str]:
        scheme, _, secret = self.filled(step.sign or "").partition(" ")
        if scheme != "standard-webhooks":
            raise self._different(step.line, f"there is no way to sign named {scheme}")
        plain = secret.removeprefix("whsec_")
        try:
            base64.b64decode(plain, validate=True)
        except ValueError:
            plain = base64.b64encode(plain.encode()).decode()
        message_id, now = f"msg_{uuid4().hex}", datetime.now(UTC)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(plain).sign(message_id, now, body.decode()),
        }

    # Comparing

    def _different(self, line: int, words: str) -> Different:
        return Different(f"{self.guide.path.name}:{line}: {words}")

    def _compare(self, expected: Expected, answer: httpx.Response) -> None:
        right = answer.status_code == expected.status if expected.status else answer.is_success
        if not right:
            raise self._different(expected.line, f"{answer.status_code} {answer.text}")
        if not expected.text.strip():
            return
        if expected.language != "json":
            self._compare_lines(expected, answer.text.replace("\r\n", "\n"))
            return
        try:
            wanted = expected_json(expected.text)
        except ValueError as error:
            raise self._different(expected.line, f"the expected answer is not JSON: {error}") from None
        if answer.content or wanted:
            wrong = self.difference(wanted, answer.json() if answer.content else None, "")
            if wrong:
                shown = json.dumps(answer.json() if answer.content else None, ensure_ascii=False, indent=1)
                raise self._different(expected.line, f"{wrong}\nThe answer was:\n{shown}")

    def difference(self, wanted: Any, found: Any, at: str) -> str | None:
        """What is not as it is shown, in words; nothing where all is."""
        if isinstance(wanted, str):
            return self._text_difference(wanted, found, at)
        if isinstance(wanted, dict):
            if not isinstance(found, dict):
                return f"{at or '/'}: an object is shown, {_named(found)} came"
            for name, value in wanted.items():
                if name == MORE:
                    continue
                if name not in found:
                    return f"{at}/{name}: is not in the answer"
                if wrong := self.difference(value, found[name], f"{at}/{name}"):
                    return wrong
            return None
        if isinstance(wanted, list):
            return self._list_difference(wanted, found, at)
        if wanted != found or isinstance(wanted, bool) != isinstance(found, bool):
            return f"{at}: {wanted!r} is shown, {found!r} came"
        return None

    def _list_difference(self, wanted: list[Any], found: Any, at: str) -> str | None:
        if not isinstance(found, list):
            return f"{at}: a list is shown, {_named(found)} came"
        if MORE in wanted:
            before = wanted[: wanted.index(MORE)]
            after = wanted[wanted.index(MORE) + 1 :]
            if len(found) < len(before) + len(after):
                return f"{at}: at least {len(before) + len(after)} items are shown, {len(found)} came"
            pairs = [*zip(before, found, strict=False), *zip(after, found[len(found) - len(after) :], strict=True)]
        elif len(wanted) != len(found):
            return f"{at}: {len(wanted)} items are shown, {len(found)} came"
        else:
            pairs = list(zip(wanted, found, strict=True))
        for number, (one, other) in enumerate(pairs):
            if wrong := self.difference(one, other, f"{at}/{number}"):
                return wrong
        return None

    def _text_difference(self, wanted: str, found: Any, at: str) -> str | None:
        if wanted in {ELIDED, MORE}:
            return None if found is not None else f"{at}: something is shown, null came"
        if (match := _VARIABLE.fullmatch(wanted)) is not None:
            return self._kept(match[1], found, at)
        if _UUID.fullmatch(wanted):
            if not isinstance(found, str) or not _UUID.fullmatch(found):
                return f"{at}: a UUID is shown, {found!r} came"
            return self._kept(wanted, found, at)
        pattern = ".*".join(re.escape(self.filled(piece)) for piece in wanted.split(ELIDED))
        if not isinstance(found, str) or not re.fullmatch(pattern, found, re.DOTALL):
            return f"{at}: {wanted!r} is shown, {found!r} came"
        return None

    def _kept(self, name: str, found: Any, at: str) -> str | None:
        if not isinstance(found, str | int):
            return f"{at}: {{{name}}} cannot be {found!r}"
        known = self.kept.setdefault(name, str(found))
        return None if known == str(found) else f"{at}: {name} is {known}, but {found} came"

    def _compare_lines(self, expected: Expected, text: str) -> None:
        pattern = r"\n".join(
            r"(?:.*\n?)*?" if line.strip() == ELIDED else ".*".join(re.escape(p) for p in line.rstrip().split(ELIDED))
            for line in expected.text.strip().splitlines()
        )
        if not re.fullmatch(pattern, text.strip()):
            raise self._different(expected.line, f"other lines came:\n{text[:2000]}")


def _named(value: Any) -> str:
    return "null" if value is None else type(value).__name__
