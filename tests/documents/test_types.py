"""What a file is, by its content: accepted under its own name only, and nothing that could hurt whoever opens it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crm_api.documents import types
from crm_api.documents.office import Refused
from crm_api.kit.problems import Invalid
from tests.documents.samples import BAD, GOOD, PDF, picture
from tests.support.effort import examples


@pytest.mark.parametrize(("name", "content", "found"), GOOD, ids=[one[0] for one in GOOD])
def test_what_is_accepted(name: str, content: bytes, found: str) -> None:
    for declared in (found, "", "application/octet-stream"):
        file = io.BytesIO(content)
        assert types.judge(file, name, declared) == found
        assert file.tell() == 0, "whoever stores it begins at the beginning"


@pytest.mark.parametrize(("name", "content", "code"), BAD, ids=[f"{one[0]}-{one[2]}" for one in BAD])
def test_what_is_refused(name: str, content: bytes, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        types.judge(io.BytesIO(content), name, "")
    (error,) = caught.value.errors
    assert (error.pointer, error.code) == ("/file", code), error
    assert error.detail.endswith(".")


def test_the_declared_type_must_agree() -> None:
    for name, content, declared in (
        ("a.pdf", PDF, "image/png"),
        ("a.png", picture("PNG"), "image/jpeg"),
        ("a.pdf", PDF, "text/html"),
        ("a.txt", b"text", "text/html"),
    ):
        with pytest.raises(Invalid) as caught:
            types.judge(io.BytesIO(content), name, declared)
        assert caught.value.errors[0].code == "file_type_disagrees"
    assert types.judge(io.BytesIO(b"a,b\n"), "a.csv", "application/vnd.ms-excel") == "text/csv"


def test_every_allowed_type_is_tried() -> None:
    assert {found for _, _, found in GOOD} == set(types.ENDINGS)


def test_a_picture_of_many_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is small; all together are not."""
    monkeypatch.setattr(types, "MOST_PIXELS", 1_000)
    out = io.BytesIO()
    frames = [Image.new("RGB", (30, 30), (number * 30, 0, 0)) for number in range(1, 8)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(Refused, match="megapixels"):
        types.sniff(out, "gif")
    one = io.BytesIO(picture("GIF", (30, 30)))
    assert types.sniff(one, "gif") == "image/gif"


@settings(max_examples=examples(150), deadline=None)
@given(st.sampled_from([content for _, content, _ in GOOD]), st.data())
def test_damage_is_refused_or_harmless_and_never_an_error(content: bytes, data: st.DataObject) -> None:
    """Any byte changed, any end cut off: an allowed type or a refusal in words."""
    at = data.draw(st.integers(0, len(content) - 1))
    cut = data.draw(st.integers(1, len(content)))
    damaged = (content[:at] + bytes([data.draw(st.integers(0, 255))]) + content[at + 1 :])[:cut]
    try:
        assert types.sniff(io.BytesIO(damaged), "txt") in types.ENDINGS
    except Refused as refused:
        assert refused.code.startswith(("file_", "image_"))  # noqa: PT017 - either is right


@settings(max_examples=examples(100), deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"PK\x03\x04", b"%PDF-", b"II*\0", b"\xff\xd8\xff", b"GIF89a", b""]))
def test_any_bytes(content: bytes, magic: bytes) -> None:
    try:
        assert types.sniff(io.BytesIO(magic + content), "") in types.ENDINGS
    except Refused as refused:
        assert refused.words  # noqa: PT017
