"""Lines of text of any script on a page: fonts chosen by character, shaped by HarfBuzz, ordered by the bidirectional
algorithm, and written in the order in which they are read, so that text copied from the PDF reads as it does on paper.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any

from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from fpdf import FPDF
from fpdf.bidi import BidiParagraph
from fpdf.enums import TextDirection

_FACES = (
    ("sans", "NotoSans-Regular.ttf", "NotoSans-Bold.ttf"),
    ("georgian", "NotoSansGeorgian-Regular.ttf", "NotoSansGeorgian-Bold.ttf"),
    ("more", "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
)
"""Fonts by preference: the first that has a character writes it. Arabic is DejaVu's: fonts that put the dots of its
letters together from pieces (Noto's) look no better, and what they write cannot be copied from the PDF as text."""
_ISOLATES = "\u2066\u2067\u2068\u2069"
_JOINERS = "\u200c\u200d"
_ATOM = re.compile(r"[^\W_]+(?:[.,:/'’-](?=[^\W_])[^\W_]*)*|.", re.DOTALL)
"""What is written in one go: a word or number; marks and spaces stand alone, since programs that read the text of a
right-to-left line put what they meet before what they have."""
_UNKNOWN = "\u25a1"


def isolated(value: str) -> str:
    """A value for a sentence of any direction: its own direction stays inside."""
    return f"\u2068{value}\u2069" if value else ""


def clean(text: str) -> str:
    """Composed text on one line, without control characters and without marks that would turn others' direction."""
    text = unicodedata.normalize("NFC", text)
    kept = (" " if one.isspace() else one for one in text if one not in "\r" and _harmless(one))
    return re.sub(" {2,}", " ", "".join(kept)).strip()


def _harmless(char: str) -> bool:
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co"} or char in _JOINERS or char in "\n\t"


@lru_cache(maxsize=16)
def _covered(file: str) -> frozenset[int]:
    with as_file(files(__package__) / "fonts" / file) as path, TTFont(path, lazy=True) as font:
        return frozenset(font.getBestCmap())


def can_write(text: str) -> bool:
    """Whether the bundled fonts have every character of the text."""
    return all(_face(one, None) is not None for one in clean(text))


def _face(char: str, before: str | None) -> str | None:
    """The font of a character; a mark goes with the letter it stands on."""
    if char in _JOINERS:
        return before or "sans"
    if before is not None and (unicodedata.combining(char) or char.isspace()):
        for name, file, _ in _FACES:
            if name == before and ord(char) in _covered(file):
                return before
    return next((name for name, file, _ in _FACES if ord(char) in _covered(file)), None)


def _only_glyphs(font: Any) -> None:
    """Leave out of the embedded font what shapes text: HarfBuzz reads that from the file, a PDF has no use for it, and
    to cut it down takes longer than all the rest."""
    for table in ("GSUB", "GPOS", "GDEF", "kern", "morx", "MATH"):
        if table in font.ttfont:
            del font.ttfont[table]


@dataclass(frozen=True, slots=True)
class _Glyph:
    """A character with its font and embedding level."""

    char: str
    level: int
    face: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is written in one go."""

    text: str
    level: int
    face: str


def _resolve(text: str, *, rtl: bool) -> list[_Glyph]:
    """Characters of a paragraph in reading order, with their levels by the Unicode bidirectional algorithm."""
    if not text:
        return []
    direction = TextDirection.RTL if rtl else TextDirection.LTR
    found: list[_Glyph] = []
    before: str | None = None
    for one in BidiParagraph(text, base_direction=direction).characters:
        if one.character in _ISOLATES:
            continue
        face = _face(one.character, before)
        char = one.character if face is not None else _UNKNOWN
        before = face or "more"
        found.append(_Glyph(char, one.embedding_level, before))
    return found


def _pieces(glyphs: Sequence[_Glyph], *, apart: bool) -> list[_Piece]:
    """Stretches of one font and level; `apart` splits them into words and single marks."""
    found: list[_Piece] = []
    start = 0
    for at in range(1, len(glyphs) + 1):
        same = at < len(glyphs) and (glyphs[at].level, glyphs[at].face) == (glyphs[start].level, glyphs[start].face)
        if same:
            continue
        text = "".join(one.char for one in glyphs[start:at])
        parts = _ATOM.findall(text) if apart else [text]
        found += [_Piece(part, glyphs[start].level, glyphs[start].face) for part in parts]
        start = at
    return found


def _visual(levels: Sequence[int]) -> list[int]:
    """Places of the pieces from left to right (rule L2)."""
    order = list(range(len(levels)))
    odd = [level for level in levels if level % 2]
    for level in range(max(levels, default=0), min(odd, default=1) - 1, -1) if odd else ():
        at = 0
        while at < len(order):
            end = at
            while end < len(order) and levels[order[end]] >= level:
                end += 1
            order[at:end] = reversed(order[at:end])
            at = max(end, at + 1)
    return order


class Sheet:
    """Pages of A4 that are written line by line from the top. Measures are millimetres, sizes of type points."""

    margin = 20.0
    bottom = 24.0

    def __init__(self, *, language: str, rtl: bool) -> None:
        self.pdf = FPDF(format="A4")
        self.pdf.set_auto_page_break(False)
        self.pdf.c_margin = 0
        self.pdf.set_lang(language)
        self.rtl = rtl
        self._loaded: set[tuple[str, bool]] = set()
        self._lines: dict[tuple[str, float, float, bool], list[list[_Glyph]]] = {}
        self._widths: dict[tuple[_Piece, float, bool], float] = {}
        self.y = 0.0
        self.add_page()

    @property
    def width(self) -> float:
        """Of what can be written on."""
        return float(self.pdf.w) - 2 * self.margin

    def add_page(self) -> None:
        """Go on with a new page."""
        self.pdf.add_page()
        self.y = self.margin

    def room(self, height: float) -> bool:
        """Whether so much fits on this page."""
        return self.y + height <= self.pdf.h - self.bottom

    def need(self, height: float) -> None:
        """Begin a new page where so much does not fit on this one."""
        if not self.room(height):
            self.add_page()

    def place(self, start: float, width: float) -> float:
        """Where a box begins from the left whose distance from the side at which lines begin is given."""
        return self.margin + (self.width - start - width if self.rtl else start)

    def _font(self, face: str, size: float, *, bold: bool, level: int) -> None:
        if (face, bold) not in self._loaded:
            file = next(faces[2 if bold else 1] for faces in _FACES if faces[0] == face)
            with as_file(files(__package__) / "fonts" / file) as path, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.pdf.add_font(face, "B" if bold else "", path)
                _only_glyphs(self.pdf.fonts[face + ("B" if bold else "")])
            self._loaded.add((face, bold))
        self.pdf.set_font(face, "B" if bold else "", size)
        self.pdf.set_text_shaping(True, direction="rtl" if level % 2 else "ltr")

    def _measure(self, glyphs: Sequence[_Glyph], size: float, *, bold: bool) -> float:
        total = 0.0
        for piece in _pieces(glyphs, apart=self._mixed(glyphs)):
            total += self._width(piece, size, bold=bold)
        return total

    def _width(self, piece: _Piece, size: float, *, bold: bool) -> float:
        found = self._widths.get((piece, size, bold))
        if found is None:
            self._font(piece.face, size, bold=bold, level=piece.level)
            found = self._widths[piece, size, bold] = float(self.pdf.get_string_width(piece.text))
        return found

    @staticmethod
    def _mixed(glyphs: Iterable[_Glyph]) -> bool:
        return any(one.level % 2 for one in glyphs)

    def _wrapped(self, text: str, width: float, size: float, *, bold: bool) -> list[list[_Glyph]]:
        """Lines of a paragraph; a word that is too long for any line is broken."""
        known = self._lines.get((text, width, size, bold))  # most are measured first, then written
        if known is not None:
            return known
        lines: list[list[_Glyph]] = []
        line: list[_Glyph] = []
        used = 0.0
        words: list[list[_Glyph]] = [[]]
        for one in _resolve(text, rtl=self.rtl):
            words[-1].append(one)
            if one.char == " ":
                words.append([])
        for word in words:
            for part in self._broken(word, width, size, bold=bold):
                long = self._measure(part, size, bold=bold)
                bare = self._measure(part[:-1], size, bold=bold) if part and part[-1].char == " " else long
                if line and used + bare > width:
                    lines.append(line)
                    line, used = [], 0.0
                line = line + part
                used += long
        lines.append(line)
        self._lines[text, width, size, bold] = lines
        return lines

    def _broken(self, word: list[_Glyph], width: float, size: float, *, bold: bool) -> list[list[_Glyph]]:
        if self._measure(word, size, bold=bold) <= width or len(word) < 2:
            return [word]
        half = len(word) // 2
        return [
            *self._broken(word[:half], width, size, bold=bold),
            *self._broken(word[half:], width, size, bold=bold),
        ]

    def height(self, text: str, width: float, size: float, *, bold: bool = False) -> float:
        """How much a text takes of the page."""
        paragraphs = text.split("\n")
        lines = sum(len(self._wrapped(one, width, size, bold=bold)) for one in paragraphs)
        return lines * self._leading(size)

    @staticmethod
    def _leading(size: float) -> float:
        return size * 0.3528 * 1.42

    def write(
        self,
        text: str,
        *,
        start: float = 0.0,
        width: float | None = None,
        size: float = 10.0,
        bold: bool = False,
        end: bool = False,
        centred: bool = False,
        flowing: bool = False,
        grey: int = 0,
    ) -> float:
        """A text in a box, at the side where lines begin, at their `end` or `centred`; where the next line would be.
        A `flowing` one goes on on the next page where this one ends."""
        box = self.width - start if width is None else width
        left = self.place(start, box)
        y = self.y
        self.pdf.set_text_color(grey)
        share = 0.5 if centred else 1.0 if self.rtl != end else 0.0
        for paragraph in text.split("\n"):
            for line in self._wrapped(paragraph, box, size, bold=bold):
                if flowing and y + self._leading(size) > self.pdf.h - self.bottom:
                    self.add_page()
                    y = self.y
                    self.pdf.set_text_color(grey)
                self._put(line, left, y, box, size, bold=bold, share=share)
                y += self._leading(size)
        return y

    def _put(
        self, line: list[_Glyph], left: float, y: float, box: float, size: float, *, bold: bool, share: float
    ) -> None:
        """One line: pieces take their places as they are seen, and are written as they are read. `share` of the room
        that is left stands to the left of it."""
        while line and line[-1].char == " ":
            line = line[:-1]
        pieces = _pieces(line, apart=self._mixed(line))
        widths = [self._width(piece, size, bold=bold) for piece in pieces]
        x = left + (box - sum(widths)) * share
        places = [0.0] * len(pieces)
        for at in _visual([piece.level for piece in pieces]):
            places[at] = x
            x += widths[at]
        if self.rtl:  # whoever reads the text tells words of one line apart by steps to the right, and here is none
            pieces, places, widths = [*pieces, _Piece(" ", 0, "sans")], [*places, x], [*widths, 0.0]
        for piece, place, width in zip(pieces, places, widths, strict=True):
            self._font(piece.face, size, bold=bold, level=piece.level)
            self.pdf.set_xy(place, y)
            self.pdf.cell(w=width, h=self._leading(size), text=piece.text)

    def rule(self, *, grey: int = 190) -> None:
        """A thin line across the page."""
        self.pdf.set_draw_color(grey)
        self.pdf.set_line_width(0.2)
        self.pdf.line(self.margin, self.y, self.margin + self.width, self.y)
