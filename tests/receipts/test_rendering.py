"""The document: what is read out of it is what was written into it, in every language and both directions."""

from __future__ import annotations

import io
import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pypdf import PdfReader

from crm_api.donations.receipts.rendering.document import Content, Line, render, usable_logo
from crm_api.donations.receipts.rendering.layout import _resolve, _visual, can_write, clean, isolated
from crm_api.donations.receipts.rendering.words import LANGUAGES, WORDS, language_of, money_text
from crm_api.kit.money import Money
from tests.support.effort import examples

# Of each language: currency, organization, donor, address, purpose, legal text.
SAID = {
    "en": ("USD", "Example Relief Fund", "Łukasz O’Brien-Müller", ("12 Harbour Street", "London SW1A 1AA"), "Winter relief",
           "A registered charity (no. 1234567); nothing was given in return. ليلى الأحمد, treasurer."),
    "uk": ("UAH", "Благодійний фонд «Приклад»", "Олена Шевченко-Ґудзь", ("вул. Хрещатик, 1, кв. 25", "01001 Київ"), "Їжа",
           "Внесена до Реєстру неприбуткових установ (рішення № 1234 від 01.02.2020 р.)."),
    "ka": ("GEL", "ფონდი „მაგალითი“", "ნინო ბერიძე", ("რუსთაველის გამზირი 12", "0108 თბილისი"), "ზამთრის დახმარება",
           "რეგისტრირებულია საქველმოქმედო ორგანიზაციად (№ 204123456)."),
    "ru": ("EUR", "Фонд «Пример»", "Семён Подъячев", ("ул. Садовая, д. 7", "LV-1010 Рига"), "Зимняя помощь",
           "Зарегистрирован как благотворительная организация (№ 40001234567)."),
    "ar": ("USD", "صندوق المثال الخيري", "ليلى بنت عبد الرحمن الأحمد", ("شارع الملكة رانيا 15", "عمّان 11181"), "إغاثة الشتاء",
           "جمعية خيرية مسجلة تحت الرقم 123456 (سجل الجمعيات, 2020). يُرجى الاحتفاظ بهذا الإيصال لدى Example Fund."),
}  # fmt: skip


def content(language: str, kind: str = "donation", lines: int = 1, **changes: Any) -> Content:
    currency, organization, donor, address, purpose, legal = SAID[language]
    made = tuple(
        Line(date(2026, 11, 20), "card", purpose, Money(125050 + at, currency), Money(120050, currency))
        for at in range(lines)
    )
    sums = (sum(one.amount.amount for one in made), sum(one.deductible.amount for one in made))
    values: dict[str, Any] = {
        "kind": kind, "number": "2026-000042", "language": language, "issued_at": datetime(2026, 11, 22, tzinfo=UTC),
        "issued_on": date(2026, 11, 22), "year": 2026, "donor_name": donor, "donor_latin_name": "",
        "donor_address": address, "organization_name": organization, "organization_lines": ("1 Example Street, Kyiv",),
        "legal_text": legal, "signatory_name": donor, "signatory_title": purpose, "lines": made,
        "totals": ((Money(sums[0], currency), Money(sums[1], currency)),),
        "verify_url": "https://crm.example.org/receipts/verify/" + "A" * 40, "logo": None, "specimen": False,
        "voided_on": None, "replaces": "",
    }  # fmt: skip
    return Content(**{**values, **changes})


def read(pdf: bytes) -> str:
    """The text as a program reads it, on one line."""
    return _flat("\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages))


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", clean(text.replace("\n", " ")))


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_written_can_be_read(language: str) -> None:
    made = content(language)
    pdf = render(made)
    if language == "uk":
        assert pdf == render(made), "the same receipt is the same file"
    text = read(pdf)
    expected = [
        made.donor_name, *made.donor_address, made.organization_name, *made.organization_lines, made.legal_text,
        made.number, WORDS[language]["donation"], made.verify_url, made.signatory_title,
        f"{WORDS[language]['amount']} {money_text(made.lines[0].amount, language)}",
        f"{WORDS[language]['number']} {made.number}",
    ]  # fmt: skip
    for one in expected:
        assert _flat(one) in text, f"{one!r} is not in {text!r}"
    reader = PdfReader(io.BytesIO(pdf))
    assert reader.metadata is not None
    assert reader.metadata.title == f"{WORDS[language]['donation']} 2026-000042"
    root: Any = reader.trailer["/Root"]
    assert root["/Lang"] == language


def test_marks_of_receipts_that_do_not_hold() -> None:
    made = content("ar", "annual", 30, voided_on=date(2026, 12, 1), specimen=True, replaces="2026-000001")
    pages = [_flat(page.extract_text()) for page in PdfReader(io.BytesIO(render(made))).pages]
    assert len(pages) == 2
    for number, page in enumerate(pages, start=1):
        assert WORDS["ar"]["void"] in page
        assert WORDS["ar"]["specimen"] in page
        assert f"صفحة {number} من 2" in page
    assert "يحل محل الإيصال رقم 2026-000001" in pages[0]
    assert money_text(made.totals[0][0], "ar") in pages[-1]
    assert " ".join(pages).count("20 نوفمبر 2026") == 30


def test_a_name_that_no_font_has_is_written_in_latin_letters() -> None:
    assert can_write("Ἀχιλλεύς Նարեկ שלום देवी Nguyễn")
    assert not can_write("王小明")
    text = read(render(content("en", donor_name="王小明", donor_latin_name="Wang Xiaoming")))
    assert "Received from Wang Xiaoming" in text
    assert "□" in read(render(content("en", donor_name="王小明")))


def test_long_words_and_texts_stay_on_their_pages() -> None:
    legal = " ".join(f"word{at}" for at in range(900))
    pages = PdfReader(io.BytesIO(render(content("en", donor_name="W" * 120, legal_text=legal)))).pages
    assert len(pages) > 1
    seen: list[float] = []
    for page in pages:
        page.extract_text(visitor_text=lambda text, _, at, *__: seen.append(at[5]) if text.strip() else None)
    assert min(seen) > 20
    text = _flat(" ".join(page.extract_text() for page in pages))
    assert re.sub(r"\s", "", text).count("W" * 120) == 1
    assert all(f"word{at}" in text for at in range(900))


@settings(max_examples=examples(60), deadline=None)
@given(st.text(st.sampled_from("abc אבג 123 .,-()⁧⁨⁩‮\n\t"), max_size=30), st.booleans())
def test_every_character_has_one_place(text: str, rtl: bool) -> None:
    glyphs = _resolve(isolated(clean(text)), rtl=rtl)
    assert "".join(one.char for one in glyphs) == clean(text)
    order = _visual([one.level for one in glyphs])
    assert sorted(order) == list(range(len(glyphs)))


def test_order_of_pieces() -> None:
    """The standard's own example: a right-to-left line with a number and a foreign name in it."""
    assert _visual([1, 2, 1]) == [2, 1, 0]
    assert _visual([0, 1, 2, 1, 0]) == [0, 3, 2, 1, 4]
    assert _visual([0, 0]) == [0, 1]
    assert _visual([]) == []


def test_languages_and_pictures() -> None:
    assert language_of("uk-UA", "en") == "uk"
    assert language_of("fr", "ka") == "ka"
    assert language_of(None, "fr") == "en"
    picture = io.BytesIO()
    Image.new("RGBA", (300, 100), (30, 110, 80, 128)).save(picture, "PNG")
    assert usable_logo(picture.getvalue())
    assert not usable_logo(picture.getvalue()[:60])
    assert not usable_logo(b"%PDF-1.7")
    assert render(content("en", logo=picture.getvalue()))
