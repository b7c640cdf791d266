"""Guides as stories: the steps that a Markdown file tells, read from its fenced blocks, curl calls and directives.

The format is described in docs/guides/README.md.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

ELIDED = "…"
MORE = "……"
"""What a bare … is read as: more members or items may follow."""
_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>.*)$")
_DIRECTIVE = re.compile(r"^ *<!-- (?P<name>world|clock|sign|not run): ?(?P<text>.*?) ?-->$")
_ANSWERS = {"json", "csv", "text"}
_REQUEST_LINE = re.compile(r"^(GET|POST|PUT|PATCH|DELETE) (/\S*|\{[a-z_]+\})$")


class Unreadable(Exception):
    """The guide is not written as the format says; the text says where."""


@dataclass(slots=True)
class Part:
    """A part of a form."""

    name: str
    value: str
    file: str | None = None
    """Name of a file of the guide, instead of a value."""
    media_type: str = ""


@dataclass(slots=True)
class Request:
    """A request as the guide shows it, variables not filled in."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    parts: list[Part] = field(default_factory=list)


@dataclass(slots=True)
class Expected:
    """The answer that the guide shows."""

    language: str
    status: int | None
    text: str
    line: int


@dataclass(slots=True)
class Step:
    """One thing that happens."""

    line: int
    request: Request | None = None
    expected: Expected | None = None
    clock: str | None = None
    sign: str | None = None


@dataclass(slots=True)
class Guide:
    """A file, read."""

    path: Path
    world: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many requests it makes."""
        return sum(step.request is not None for step in self.steps)


class _Reader:
    def __init__(self, path: Path) -> None:
        self.guide = Guide(path)
        self.lines = path.read_text("utf-8").splitlines()
        self.at = 0
        self.skip = False
        self.sign: str | None = None

    def read(self) -> Guide:
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if match := _FENCE.match(line):
                self._fence(match)
            elif match := _DIRECTIVE.match(line):
                self._directive(match["name"], match["text"])
                self.at += 1
            elif line.strip() == "<!-- http":
                start = self.at + 1
                self._http(self._until("-->"), start)
            elif re.match(r"^ {4,}curl ", line):
                self._indented()
            else:
                self.at += 1
        if self.sign is not None or self.skip:
            raise self._wrong("a directive is followed by nothing")
        return self.guide

    def _wrong(self, words: str, line: int | None = None) -> Unreadable:
        return Unreadable(f"{self.guide.path.name}:{(self.at if line is None else line) + 1}: {words}")

    def _until(self, end: str, indent: int = 0) -> str:
        """The lines up to one that is `end`; the reader stands behind it afterwards."""
        self.at += 1
        found: list[str] = []
        while self.at < len(self.lines) and self.lines[self.at].strip() != end:
            found.append(self.lines[self.at][min(indent, _leading(self.lines[self.at])) :])
            self.at += 1
        if self.at == len(self.lines):
            raise self._wrong(f"no end {end} of the block")
        self.at += 1
        return "\n".join(found)

    def _directive(self, name: str, text: str) -> None:
        if name == "world":
            if self.guide.steps:
                raise self._wrong("<!-- world --> comes before the first step")
            self.guide.world = dict(pair.split("=", 1) for pair in text.split())
        elif name == "clock":
            self.guide.steps.append(Step(self.at + 1, clock=text))
        elif name == "sign":
            self.sign = text
        else:
            if not text:
                raise self._wrong("<!-- not run: … --> needs a reason")
            self.guide.not_run.append(text)
            self.skip = True

    def _fence(self, match: re.Match[str]) -> None:
        start = self.at
        language, _, rest = match["info"].strip().partition(" ")
        text = self._until("```", len(match["indent"]))
        name = rest.strip()
        if "." in name and language not in {"http", "sh", "bash"}:
            self.guide.files[name] = text.encode() + b"\n"
        elif language == "http":
            self._http(text, start)
        elif language in {"sh", "bash", "console"}:
            self._shell(text, start)
        elif language in _ANSWERS:
            self._answer(language, name, text, start)

    def _answer(self, language: str, status: str, text: str, start: int) -> None:
        if self.skip:  # shown for a request that is not run
            self.skip = False
            return
        last = self.guide.steps[-1] if self.guide.steps else None
        if last is None or last.request is None or last.expected is not None:
            if language == "json":
                raise self._wrong("an answer without a request before it", start)
            return
        if status and not re.fullmatch(r"[1-5]\d\d", status):
            raise self._wrong(f"{status!r} is not a status", start)
        last.expected = Expected(language, int(status) if status else None, text, start + 1)

    def _add(self, request: Request, start: int) -> None:
        if self.skip:
            return
        self.guide.steps.append(Step(start + 1, request=request, sign=self.sign))
        self.sign = None

    def _http(self, text: str, start: int) -> None:
        head, _, body = text.partition("\n\n")
        first, *headers = head.strip().splitlines()
        match = _REQUEST_LINE.match(first.strip())
        if match is None:
            raise self._wrong(f"not a request line: {first!r}", start)
        request = Request(match[1], match[2], body=body.strip())
        for header in headers:
            name, colon, value = header.partition(":")
            if not colon:
                raise self._wrong(f"not a header: {header!r}", start)
            request.headers[name.strip()] = value.strip()
        self._add(request, start)
        self._after_request()

    def _after_request(self) -> None:
        """What is not run takes its answer with it, if one follows directly."""
        if not self.skip:
            return
        at = self.at
        while at < len(self.lines) and not self.lines[at].strip():
            at += 1
        following = _FENCE.match(self.lines[at]) if at < len(self.lines) else None
        if following is None or following["info"].split(" ")[0] not in _ANSWERS:
            self.skip = False

    def _shell(self, text: str, start: int) -> None:
        for call in _calls(text):
            self._add(_curl(call, lambda words: self._wrong(words, start)), start)
        self._after_request()

    def _indented(self) -> None:
        start = self.at
        block = []
        while self.at < len(self.lines) and (not self.lines[self.at].strip() or _leading(self.lines[self.at]) >= 4):
            block.append(self.lines[self.at].strip())
            self.at += 1
        self._shell("\n".join(block).strip(), start)


def _leading(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _calls(text: str) -> list[list[str]]:
    """The curl calls of a piece of shell; its other lines (`export …`, comments) are not ours."""
    found = []
    waiting = ""
    for line in text.splitlines():
        waiting += line.removesuffix("\\").rstrip() + "\n" if not line.endswith("\\") else line[:-1] + " "
        if line.endswith("\\"):
            continue
        try:
            words = shlex.split(waiting, comments=True)
        except ValueError:  # a quotation goes on in the next line
            continue
        waiting = ""
        if words and words[0] == "curl":
            found.append(words)
    return found


def _curl(words: list[str], wrong: Any) -> Request:
    """A curl call as a request."""
    request = Request("", "")
    rest = iter(words[1:])
    for word in rest:
        if word in {"-X", "--request"}:
            request.method = next(rest)
        elif word in {"-H", "--header"}:
            name, _, value = next(rest).partition(":")
            request.headers[name.strip()] = value.strip()
        elif word in {"-d", "--data", "--data-raw", "--json", "--data-binary"}:
            request.body = next(rest)
        elif word in {"-F", "--form"}:
            request.parts.append(_part(next(rest)))
        elif word in {"-o", "--output"}:
            next(rest)
        elif word.startswith("-") and set(word[1:]) <= set("siSfLOJ"):
            continue
        elif word.startswith("-"):
            raise wrong(f"curl {word} is not known here")
        else:
            request.path = re.sub(r"^(\$API|https?://(127\.0\.0\.1|localhost):8000)", "", word)
    request.method = request.method or ("POST" if request.body or request.parts else "GET")
    return request


def _part(text: str) -> Part:
    name, _, value = text.partition("=")
    value, *options = value.split(";")
    media_type = next((option.removeprefix("type=") for option in options if option.startswith("type=")), "")
    if value.startswith("@"):
        return Part(name, "", value[1:], media_type)
    return Part(name, value, None, media_type)


def read_guide(path: Path) -> Guide:
    """The steps of a Markdown file; `Unreadable` where it does not keep to the format."""
    return _Reader(path).read()


# Expected JSON, with … in it


def expected_json(text: str) -> Any:
    """The JSON of an answer block, where a bare … stands for what is left out."""
    plain = []
    depth: list[str] = []
    at = 0
    while at < len(text):
        one = text[at]
        if one == '"':
            end = at + 1
            while text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            plain.append(text[at : end + 1])
            at = end + 1
            continue
        if one in "{[":
            depth.append(one)
        elif one in "}]":
            depth.pop()
        if one == ELIDED:
            before = "".join(plain).rstrip()
            plain.append(f'"{MORE}": 0' if depth[-1:] == ["{"] and before[-1:] in "{," else f'"{MORE}"')
            if not re.match(r"\s*[,}\]]|\s*$", text[at + 1 :]):
                plain.append(",")  # `… {"next": 1}`: more, then this
        else:
            plain.append(one)
        at += 1
    return orjson.loads("".join(plain))
