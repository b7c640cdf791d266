"""The message on the wire, and letters written to files."""

from __future__ import annotations

import asyncio
import email
import email.header
import os
import re
from email import policy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.communications.channels.channel import message_id_of
from crm_api.communications.channels.eml import EmlChannel
from crm_api.communications.channels.factory import make_channel
from crm_api.communications.channels.mime import AddressInvalid, build_mail, parse_address
from crm_api.communications.channels.smtp import SmtpChannel
from tests.communications.samples import DELIVERY, letter
from tests.support.effort import examples


def decoded(value: str) -> str:
    """A header as the world's mail programs read it (RFC 2047)."""
    return str(email.header.make_header(email.header.decode_header(value.replace("\r\n", ""))))


def raw_headers(content: bytes) -> list[tuple[str, str]]:
    return email.message_from_bytes(content, policy=policy.compat32).items()


def test_the_message_is_whole() -> None:
    mail = build_mail(letter())
    assert mail.content.isascii()
    assert not mail.international
    message = email.message_from_bytes(mail.content, policy=policy.default)
    assert message["Message-ID"] == f"<{DELIVERY}@charity.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "uk"
    assert message["Date"] == "Tue, 13 May 2025 09:30:00 +0000"
    assert message["Reply-To"].addresses[0].addr_spec == "reply@charity.example"
    assert message["To"].addresses[0].addr_spec == "olena.koval@donor.example"
    assert message["List-Unsubscribe"] == letter().headers["List-Unsubscribe"]
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message.get_content_type() == "multipart/alternative"
    text, html = message.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert text.get_content().replace("\r\n", "\n") == letter().text
    assert html.get_content().strip() == letter().html


def test_the_same_delivery_gives_the_same_bytes() -> None:
    assert build_mail(letter()).content == build_mail(letter()).content
    assert b"\n" not in build_mail(letter()).content.replace(b"\r\n", b"")


def test_text_alone_is_not_multipart() -> None:
    message = email.message_from_bytes(build_mail(letter(html="")).content, policy=policy.default)
    assert message.get_content_type() == "text/plain"


NAMES = st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=120)


@given(NAMES, NAMES)
@settings(max_examples=examples(300), deadline=None)
def test_any_name_and_subject_come_out_as_they_went_in(name: str, subject: str) -> None:
    content = build_mail(letter(to_name=name, subject=subject)).content
    headers = dict(raw_headers(content))
    shown = re.sub("[\u202a-\u202e]", " ", name)
    display, _, address = headers["To"].replace("\r\n", "").replace("\n", "").rpartition("<")
    assert address == "olena.koval@donor.example>"
    display = display.strip()
    if display.startswith('"'):
        display = display[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    assert decoded(display).split() == shown.split()
    assert decoded(headers["Subject"]).split() == re.sub("[\u202a-\u202e]", " ", subject).split()
    assert [key for key, _ in raw_headers(content)].count("To") == 1


@given(st.text(max_size=200))
@settings(max_examples=examples(200), deadline=None)
def test_nothing_can_start_another_header(text: str) -> None:
    hostile = f"{text}\r\nBcc: x@evil.example\n\rX-Evil: 1\r\n\r\nbody\u2028Y: 1\x85Z: 1"
    changes: dict[str, Any] = {
        "to_name": hostile,
        "from_name": hostile,
        "subject": hostile,
        "language": "uk\r\nX: 1",
        "headers": {"X-Note": hostile[:200]},
    }
    plain = {name for name, _ in raw_headers(build_mail(letter(headers={"X-Note": "x"})).content)}
    assert {name for name, _ in raw_headers(build_mail(letter(**changes)).content)} == plain


@pytest.mark.parametrize(
    "name", ["To", "bcc", "Subject", "Message-ID", "X Y", "X:Y", "", "Resent-To", "Content-Type", "Ї"]
)
def test_a_header_of_ours_cannot_be_given(name: str) -> None:
    with pytest.raises(ValueError, match="header"):
        build_mail(letter(headers={name: "x"}))


@pytest.mark.parametrize(
    "address",
    ["", "x", "@x.example", "x@", "a b@x.example", "a@x.example\r\nRCPT TO:<b@y>", "<a@x.example>", "a,b@x.example",
     '"a b"@x.example', "a@[127.0.0.1]", "a@-x.example", "a..b@x.example", ".a@x.example", "a@x..example",
     "a@x.example>", "a\x00@x.example", "a" * 65 + "@x.example", "a@" + "x" * 64 + ".example", "a@b@c.example"],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(AddressInvalid) as caught:
        parse_address(address, "recipient")
    assert not address or address not in str(caught.value)


def test_international_addresses() -> None:
    assert str(parse_address("olena@пошта.укр", "recipient")) == "olena@xn--80a1acn3a.xn--j1amh"
    assert str(parse_address("olena@Donor.EXAMPLE", "recipient")) == "olena@donor.example"
    assert not parse_address("olena@пошта.укр", "recipient").international
    assert parse_address("олена@пошта.укр", "recipient").international
    mail = build_mail(letter(to_email="олена@пошта.укр", to_name=""))
    assert mail.international
    assert "To: <олена@xn--80a1acn3a.xn--j1amh>".encode() in mail.content
    assert message_id_of(DELIVERY, "пошта.укр") == f"<{DELIVERY}@xn--80a1acn3a.xn--j1amh>"


def test_a_letter_in_a_log_names_nobody() -> None:
    shown = repr(letter())
    for private in ("olena", "Олена", "Дякуємо", "unsubscribe"):
        assert private not in shown


async def test_a_file_per_delivery(tmp_path: Path) -> None:
    channel = make_channel((tmp_path / "mail" / "out").as_uri())
    assert (await channel.send(letter())).status == "sent"
    written = tmp_path / "mail" / "out" / f"{DELIVERY}.eml"
    assert written.read_bytes() == build_mail(letter()).content
    assert written.stat().st_mode & 0o777 == 0o600
    again = await channel.send(letter(subject="another"))
    assert (again.status, again.code) == ("sent", "already_written")
    assert written.read_bytes() == build_mail(letter()).content
    assert [path.name for path in written.parent.iterdir()] == [written.name]


async def test_many_writers_of_one_delivery_leave_one_whole_file(tmp_path: Path) -> None:
    channels = [EmlChannel(tmp_path) for _ in range(8)]
    results = await asyncio.gather(*(channel.send(letter()) for channel in channels))
    assert {result.status for result in results} == {"sent"}
    assert [path.name for path in tmp_path.iterdir()] == [f"{DELIVERY}.eml"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
async def test_a_full_disk_leaves_no_part_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(*((os, "fsync", full) if failing == "fsync" else (Path, "replace", full)))
        result = await EmlChannel(tmp_path).send(letter())
    assert (result.status, result.code) == ("retry", "disk_full")
    assert list(tmp_path.iterdir()) == []
    assert (await EmlChannel(tmp_path).send(letter())).status == "sent"


async def test_a_folder_that_cannot_be_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    result = await EmlChannel(tmp_path / "file" / "mail").send(letter())
    assert (result.status, result.code) == ("misconfigured", "mail_dir")


async def test_a_letter_that_cannot_be_written_down(tmp_path: Path) -> None:
    channel = EmlChannel(tmp_path)
    cases: list[tuple[dict[str, Any], tuple[str, str]]] = [
        ({"to_email": "no address"}, ("failed", "address_invalid")),
        ({"from_email": "no address"}, ("misconfigured", "sender_invalid")),
        ({"reply_to": "no address"}, ("misconfigured", "sender_invalid")),
        ({"headers": {"To": "x"}}, ("failed", "message_invalid")),
    ]
    for changes, expected in cases:
        result = await channel.send(letter(**changes))
        assert (result.status, result.code) == expected
        assert "no address" not in result.detail
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://relay.example", ("relay.example", 25, "none", None, None)),
        ("smtps://u%40x:p%3A%2F@relay.example", ("relay.example", 465, "tls", "u@x", "p:/")),
        ("smtp+starttls://u:p@relay.example:2525", ("relay.example", 2525, "starttls", "u", "p")),
        ("smtp://[::1]:1025/", ("::1", 1025, "none", None, None)),
    ],
)
def test_an_address_chooses_the_channel(url: str, expected: tuple[Any, ...]) -> None:
    channel = make_channel(url, timeout=5)
    assert isinstance(channel, SmtpChannel)
    chosen = channel.settings
    assert (chosen.host, chosen.port, chosen.tls, chosen.username, chosen.password) == expected
    assert "password" not in repr(chosen)


@pytest.mark.parametrize(
    "url",
    ["", "relay.example", "http://x", "smtp://", "smtp://u:hunter2@", "smtp://x:99999", "smtp://u:hunter2@x:port",
     "file://", "file:///", "file://host/dir", "smtp://x/path", "smtps://u:hunter2@x?tls=no", "smtp://u:hunter2#@x"],
)  # fmt: skip
def test_an_address_that_makes_no_sense(url: str) -> None:
    with pytest.raises(ValueError, match=r"mail|folder") as caught:
        make_channel(url)
    assert "hunter2" not in str(caught.value)
