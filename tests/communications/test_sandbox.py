"""The process for templates that an organization wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psutil
import pytest

from crm_api.communications.templates.catalogue import Template
from crm_api.communications.templates.problems import TemplateInvalid
from crm_api.communications.templates.render import render_letter, validate_template
from crm_api.communications.templates.sandbox import Sandbox, close_shared_sandbox

HANG = "{{ (1..100000000) | join: ',' | size }}"
"""Within every limit of the language, and busy for minutes: no output, no loop, one filter."""


@pytest.fixture(scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(size=2, cpu_seconds=0.3)
    yield sandbox
    sandbox.close()
    close_shared_sandbox()


def children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "sandbox_child" in " ".join(one.cmdline())]


async def code_of(sandbox: Sandbox, source: str) -> str:
    with pytest.raises(TemplateInvalid) as caught:
        await sandbox.render({"text": source}, {})
    return caught.value.code


async def test_it_renders_and_reuses_its_process(sandbox: Sandbox) -> None:
    parts = {"subject": "{{ name }} & co", "html": "<p>{{ name }}</p>"}
    for _ in range(3):
        rendered = await sandbox.render(parts, {"name": "Олена <3"})
        assert rendered == {"subject": "Олена <3 & co", "html": "<p>Олена &lt;3</p>"}
    assert len(children()) == 1


async def test_a_hang_is_killed_and_neighbours_go_on(sandbox: Sandbox) -> None:
    results = await asyncio.gather(
        sandbox.render({"text": HANG}, {}),
        *(sandbox.render({"text": "{{ n }}"}, {"n": n}) for n in range(20)),
        return_exceptions=True,
    )
    assert isinstance(results[0], TemplateInvalid)
    assert results[0].code == "template_timeout"
    assert results[1:] == [{"text": str(n)} for n in range(20)]
    assert (await sandbox.render({"text": "well"}, {})) == {"text": "well"}


async def test_memory_is_bounded(sandbox: Sandbox) -> None:
    bomb = "{{ '" + "a" * 30_000 + "' | replace: 'a', '" + "b" * 30_000 + "' | size }}"
    assert await code_of(sandbox, bomb) in {"template_memory", "template_timeout", "template_crashed"}
    assert (await sandbox.render({"text": "well"}, {})) == {"text": "well"}


async def test_findings_come_back_whole(sandbox: Sandbox) -> None:
    with pytest.raises(TemplateInvalid) as caught:
        await sandbox.render({"text": "{{ a }}\n{{ b }}"}, {}, strict=True, known=["c"])
    assert [(one.code, one.line, one.part) for one in caught.value.findings] == [
        ("variable_unknown", 1, "text"),
        ("variable_unknown", 2, "text"),
    ]


async def test_the_process_knows_no_secret_and_refuses_objects(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sandbox.render({"text": "x"}, {})
    for child in children():
        assert set(child.environ()) <= {"PYTHONPATH", "LC_CTYPE"}
    with pytest.raises(TypeError):
        await sandbox.render({"text": "x"}, {"value": object()})


async def test_a_killed_process_is_replaced(sandbox: Sandbox) -> None:
    await sandbox.render({"text": "x"}, {})
    for child in children():
        child.kill()
        child.wait()
    assert (await sandbox.render({"text": "again"}, {})) == {"text": "again"}


async def test_closing_leaves_no_process() -> None:
    own = Sandbox(size=1)
    await own.render({"text": "x"}, {})
    started = own._idle[0].process.pid
    own.close()
    assert not psutil.pid_exists(started)


async def test_letters_of_an_organization_are_rendered_there(sandbox: Sandbox) -> None:
    close_shared_sandbox()
    before = len(children())
    template = Template("Hi {{ donor.name }}", "Text {{ gift.amount_text }}", "", "uk")
    letter = await render_letter(template, {"donor": {"name": "Olena"}, "gift": {"amount_text": "5 ₴"}})
    assert (letter.subject, letter.text, letter.html, letter.language) == ("Hi Olena", "Text 5 ₴\n", "", "uk")
    assert len(children()) == before + 1
    await validate_template(template)
    with pytest.raises(TemplateInvalid) as caught:
        await validate_template(Template("{{ donor.nmae }}", "{{ gift.amont }}", "<p>{{ x | safe }}</p>"))
    assert {(one.code, one.part) for one in caught.value.findings} == {
        ("variable_unknown", "subject"),
        ("variable_unknown", "text"),
        ("variable_unknown", "html"),
        ("filter_unknown", "html"),
    }
    close_shared_sandbox()
