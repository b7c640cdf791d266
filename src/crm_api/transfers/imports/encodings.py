"""Which encoding a text is in: byte order marks, then UTF-8 by the whole file, then how plausible older ones read."""

from __future__ import annotations

import codecs
import re
import unicodedata
from pathlib import Path

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OLDER = ("cp1251", "koi8_u", "cp1252", "cp1250", "cp1256", "cp866", "mac_cyrillic")
"""In order of how likely they are where two read equally well."""
_SAMPLE = 64_000
_BLOCK = 1 << 20


def find_encoding(path: Path) -> str | None:
    """Python's name of the encoding; None where the file is no text."""
    with path.open("rb") as file:
        head = file.read(4096)
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    if b"\x00" in head and (wide := _without_mark(head)):
        return wide
    is_utf8, sample = _walk(path)
    if is_utf8:
        return None if head.count(b"\x00") > len(head) // 20 else "utf-8"
    return _older(sample)


def _without_mark(head: bytes) -> str | None:
    """UTF-16 without a mark: in most scripts' text every second byte of spaces, digits and separators is zero."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd > 8 * max(even, 1) / 2 and odd > len(head) // 50:
        return "utf-16-le"
    if even > 8 * max(odd, 1) / 2 and even > len(head) // 50:
        return "utf-16-be"
    return None


def _walk(path: Path) -> tuple[bool, bytes]:
    """Whether the whole file is UTF-8, and the beginning of its lines that are not ASCII."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_utf8 = True
    sample = bytearray()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if is_utf8:
                try:
                    decoder.decode(block)
                except UnicodeDecodeError:
                    is_utf8 = False
            if not is_utf8 or not block.isascii():
                for line in re.findall(rb"[^\n]*[\x80-\xff][^\n]*", block):
                    if len(sample) >= _SAMPLE:
                        break
                    sample += line[:2000] + b"\n"
            if not is_utf8 and len(sample) >= _SAMPLE:
                break
    if is_utf8:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            is_utf8 = False
    return is_utf8, bytes(sample)


def _older(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes  # the API, which never reads a file, does without its tables

    if sum(byte < 9 for byte in sample) > len(sample) // 100:
        return None
    names = list(_OLDER)
    guess = from_bytes(sample[: _SAMPLE // 4]).best()
    if guess is not None and guess.encoding not in names and not guess.encoding.startswith("utf"):
        names.append(guess.encoding)
    return min(names, key=lambda name: (_oddness(sample, name), names.index(name)))


_WORDS = re.compile(r"[^\W\d_]+")


def _oddness(sample: bytes, name: str) -> float:
    """How unlike words of people's languages the text reads: 0 is fine."""
    text = sample.decode(name, errors="replace")
    odd = 0.0
    high = [letter for letter in text if ord(letter) > 127]
    for letter in high:
        kind = unicodedata.category(letter)
        if letter == "\ufffd" or kind in {"Cc", "Co", "Cn"}:
            odd += 5
        elif kind not in {"Lu", "Ll", "Lo", "Lm", "Mn"} and letter not in "«»„“”‘’–—…№°\xa0€":
            odd += 1
        elif letter in _RARE:
            odd += 0.5
    for word in _WORDS.findall(text):
        if word.isascii():
            continue
        inner = word[1:]
        if not word.isupper() and not inner.islower() and not _caseless(inner):
            odd += 2  # a capital inside a word: another Cyrillic encoding swaps the cases
        elif word.isupper() and len(word) > 3:
            odd += 0.2
        scripts = {unicodedata.name(letter, "?").split()[0] for letter in word}
        if len(scripts) > 1:
            odd += 2
        if scripts == {"LATIN"} and sum(not letter.isascii() for letter in word) * 2 > len(word) > 2:
            odd += 2  # words of accented letters alone
    return odd / max(len(high), 1)


_RARE = frozenset("ЂЃѓЉЊЌЋЏђљњќћџЎўЈЅѕјЪъЫыЭэ¤¦§©®±µ¶ÐðÞþ")


def _caseless(word: str) -> bool:
    return word.lower() == word.upper()
