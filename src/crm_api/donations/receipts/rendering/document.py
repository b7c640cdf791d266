"""A receipt as PDF. The same content gives the same bytes: nothing here reads a clock, a database or a file store."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from PIL import Image

from crm_api.donations.receipts.rendering.layout import Sheet, can_write, clean, isolated
from crm_api.donations.receipts.rendering.qr import qr
from crm_api.donations.receipts.rendering.words import METHOD_NAMES, RTL, WORDS, date_text, money_text
from crm_api.kit.money import Money

_GREY = 105
_LABELS = 62.0
_CODE = 27.0
_LOGO_WIDTH, _LOGO_HEIGHT = 52.0, 20.0
_MOST_LOGO_PIXELS = 4_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """One gift on a receipt."""

    gift_date: date
    method: str
    description: str
    amount: Money
    deductible: Money


@dataclass(frozen=True, slots=True)
class Content:
    """All that a receipt shows."""

    kind: str
    number: str
    language: str
    issued_at: datetime
    issued_on: date
    year: int
    donor_name: str
    donor_latin_name: str
    donor_address: tuple[str, ...]
    organization_name: str
    organization_lines: tuple[str, ...]
    legal_text: str
    signatory_name: str
    signatory_title: str
    lines: tuple[Line, ...]
    totals: tuple[tuple[Money, Money], ...]
    """Of each currency: the amount and the part of it that can be deducted."""
    verify_url: str
    logo: bytes | None
    specimen: bool
    voided_on: date | None
    replaces: str


def usable_logo(content: bytes) -> bool:
    """Whether a picture can stand on a receipt: PNG or JPEG of at most four megapixels that can be decoded."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.format not in {"PNG", "JPEG"} or picture.width * picture.height > _MOST_LOGO_PIXELS:
                return False
            picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True


def render(content: Content) -> bytes:
    """The PDF."""
    sheet = Sheet(language=content.language, rtl=content.language in RTL)
    pdf = sheet.pdf
    words = WORDS[content.language]
    title = words[content.kind].format(year=content.year)
    pdf.set_title(f"{title} {content.number}")
    pdf.set_author(content.organization_name)
    pdf.set_creation_date(content.issued_at)
    _head(sheet, content)
    _opening(sheet, content, title)
    if content.kind == "annual":
        _table(sheet, content)
    else:
        _single(sheet, content)
    _closing(sheet, content)
    _every_page(sheet, content)
    return bytes(pdf.output())


def _head(sheet: Sheet, content: Content) -> None:
    logo = content.logo
    beside = sheet.width
    low = sheet.y
    if logo is not None:
        with Image.open(io.BytesIO(logo)) as picture:
            scale = min(_LOGO_WIDTH / picture.width, _LOGO_HEIGHT / picture.height)
            wide, high = picture.width * scale, picture.height * scale
        sheet.pdf.image(io.BytesIO(logo), x=sheet.place(sheet.width - wide, wide), y=sheet.y, w=wide, h=high)
        beside -= wide + 6
        low = sheet.y + high
    sheet.y = sheet.write(clean(content.organization_name), width=beside, size=14, bold=True)
    for line in content.organization_lines:
        sheet.y = sheet.write(isolated(clean(line)), width=beside, size=9, grey=_GREY)
    sheet.y = max(sheet.y, low) + 3
    sheet.rule()
    sheet.y += 9


def _opening(sheet: Sheet, content: Content, title: str) -> None:
    words = WORDS[content.language]
    sheet.y = sheet.write(title, size=19, bold=True) + 3
    _row(sheet, words["number"], content.number, bold=True)
    _row(sheet, words["issued"], date_text(content.issued_on, content.language))
    if content.replaces:
        sheet.y = sheet.write(words["replaces"].format(number=isolated(content.replaces)), size=10, grey=_GREY)
    if content.voided_on is not None:
        said = words["voided_on"].format(date=isolated(date_text(content.voided_on, content.language)))
        sheet.y = sheet.write(f"{words['void']}. {said}", size=10, bold=True)
    sheet.y += 3
    name = content.donor_name
    if not can_write(name) and content.donor_latin_name:
        name = content.donor_latin_name
    _row(sheet, words["donor"], clean(name), bold=True)
    for line in content.donor_address:
        sheet.y = sheet.write(isolated(clean(line)), start=_LABELS, size=10)
    sheet.y += 5


def _row(sheet: Sheet, label: str, value: str, *, bold: bool = False) -> None:
    """A label and its value, which starts a new page together with it."""
    box = sheet.width - _LABELS
    text = isolated(value)
    sheet.need(max(sheet.height(label, _LABELS - 4, 9), sheet.height(text, box, 10.5, bold=bold)) + 1)
    end = sheet.write(label, width=_LABELS - 4, size=9, grey=_GREY)
    sheet.y = max(end, sheet.write(text, start=_LABELS, size=10.5, bold=bold)) + 1


def _single(sheet: Sheet, content: Content) -> None:
    """The gift of a receipt for one, label by label."""
    words, language = WORDS[content.language], content.language
    for line in content.lines:
        sheet.rule()
        sheet.y += 4
        _row(sheet, words["amount"], money_text(line.amount, language), bold=True)
        _row(sheet, words["gift_date"], date_text(line.gift_date, language))
        _row(sheet, words["method"], METHOD_NAMES[language].get(line.method, line.method))
        if line.description:
            named = "what" if content.kind == "in_kind" else "purpose"
            _row(sheet, words[named], clean(line.description))
        if line.deductible.amount != line.amount.amount:
            goods = Money(line.amount.amount - line.deductible.amount, line.amount.currency)
            _row(sheet, words["goods"], money_text(goods, language))
        _row(sheet, words["deductible"], money_text(line.deductible, language))
        sheet.y += 2
        sheet.rule()
        sheet.y += 6


_COLUMNS = ((0.0, 38.0), (40.0, 72.0), (114.0, 56.0))


def _cells(sheet: Sheet, cells: Sequence[str], *, size: float = 9.5, bold: bool = False, grey: int = 0) -> None:
    height = max(sheet.height(text, width, size, bold=bold) for text, (_, width) in zip(cells, _COLUMNS, strict=True))
    sheet.need(height + 2)
    for at, (text, (start, width)) in enumerate(zip(cells, _COLUMNS, strict=True)):
        sheet.write(text, start=start, width=width, size=size, bold=bold, end=at == 2, grey=grey)
    sheet.y += height + 1.2


def _table(sheet: Sheet, content: Content) -> None:
    """The gifts of an annual statement; each currency has its own total."""
    words, language = WORDS[content.language], content.language
    _cells(sheet, (words["gift_date"], words["purpose"], words["amount"]), size=8.5, grey=_GREY)
    sheet.rule()
    sheet.y += 2
    for line in content.lines:
        described = clean(line.description) or METHOD_NAMES[language].get(line.method, line.method)
        date_ = date_text(line.gift_date, language)
        _cells(sheet, (isolated(date_), isolated(described), isolated(money_text(line.amount, language))))
    sheet.rule()
    sheet.y += 3
    for amount, deductible in content.totals:
        _cells(sheet, (words["total"], "", isolated(money_text(amount, language))), size=10.5, bold=True)
        _wide(sheet, words["deductible"], money_text(deductible, language))
    sheet.y += 4


def _wide(sheet: Sheet, label: str, value: str) -> None:
    """A line of a sum whose label needs more than a column."""
    start, width = _COLUMNS[2]
    height = max(sheet.height(label, start - 2, 9.5), sheet.height(value, width, 9.5))
    sheet.need(height)
    sheet.write(label, width=start - 2, size=9.5)
    sheet.write(isolated(value), start=start, width=width, size=9.5, end=True)
    sheet.y += height + 2


def _closing(sheet: Sheet, content: Content) -> None:
    for paragraph in filter(None, map(clean, content.legal_text.split("\n"))):
        sheet.y = sheet.write(paragraph, size=9, flowing=True) + 1.5
    if content.signatory_name:
        sheet.need(28)
        sheet.y += 14
        left = sheet.place(0, 70)
        sheet.pdf.set_draw_color(90)
        sheet.pdf.line(left, sheet.y, left + 70, sheet.y)
        sheet.y = sheet.write(clean(content.signatory_name), size=10, bold=True)
        if content.signatory_title:
            sheet.y = sheet.write(clean(content.signatory_title), size=9, grey=_GREY)
    sheet.need(_CODE + 6)
    sheet.y = max(sheet.y + 6, sheet.pdf.h - sheet.bottom - _CODE)
    _code(sheet, content)


def _code(sheet: Sheet, content: Content) -> None:
    """The code that leads to the public check, with its address beside it."""
    modules = qr(content.verify_url)
    step = _CODE / len(modules)
    left, top = sheet.place(0, _CODE), sheet.y
    sheet.pdf.set_fill_color(0)
    for row, line in enumerate(modules):
        at = 0
        while at < len(line):  # a stretch at a time: lines between neighbours would show
            end = at
            while end < len(line) and line[end]:
                end += 1
            if end > at:
                sheet.pdf.rect(left + at * step, top + row * step, (end - at) * step, step, style="F")
            at = max(end, at + 1)
    sheet.y = top + 6
    sheet.y = sheet.write(WORDS[content.language]["verify"], start=_CODE + 5, size=9)
    sheet.write(isolated(content.verify_url), start=_CODE + 5, size=7.5, grey=_GREY)
    sheet.pdf.link(left, top, _CODE, _CODE, content.verify_url)


def _every_page(sheet: Sheet, content: Content) -> None:
    """Page numbers, and the mark that an invalid receipt bears on each page."""
    words = WORDS[content.language]
    pages = int(sheet.pdf.pages_count)
    marks = [words["void"]] if content.voided_on is not None else []
    marks += [words["specimen"]] if content.specimen else []
    for page in range(1, pages + 1):
        sheet.pdf.page = page
        middle = (sheet.pdf.w / 2, sheet.pdf.h / 2)
        for at, mark in enumerate(marks):
            with sheet.pdf.rotation(38, *middle), sheet.pdf.local_context(fill_opacity=0.16):
                sheet.y = middle[1] - 16 + at * 32
                sheet.write(mark, start=-30, width=sheet.width + 60, size=62, bold=True, end=False, centred=True)
        sheet.y = sheet.pdf.h - 15
        said = words["page"].format(page=isolated(str(page)), pages=isolated(str(pages)))
        sheet.write(f"{isolated(content.number)} · {said}", size=8, grey=_GREY, end=True)
