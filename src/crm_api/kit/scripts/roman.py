"""Names in readable Latin letters, by the published standard of each language. Pure.

Ukrainian: resolution 55 of the Cabinet of Ministers, 2010 (passports). Russian: ICAO Doc 9303 part 3 (passports since
2014, GOST R 52535.1). Belarusian: the instruction of 2000 in its form of 2007, without marks. Bulgarian: the
Transliteration Act, 2009. Serbian and Macedonian: the Latin alphabet of the language, without marks. Georgian: the
national system of 2002, without the apostrophes, as in passports. Greek: ELOT 743 letter by letter. Armenian:
BGN/PCGN 1981, simplified.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from crm_api.kit.scripts.alphabets import PLAIN, alphabet

_LETTERS = "абвгдежзийклмнопрстуфхцчшщьюя"


def _table(sounds: str, **others: str) -> dict[str, str]:
    parts = ["" if sound == "_" else sound for sound in sounds.split()]
    return dict(zip(_LETTERS, parts, strict=True)) | others


_UKRAINIAN = _table(
    "a b v h d e zh z y i k l m n o p r s t u f kh ts ch sh shch _ iu ia",
    ґ="g", є="ie", і="i", ї="i", ы="y", э="e", ё="io", ъ="",
)  # fmt: skip
_RUSSIAN = _table(
    "a b v g d e zh z i i k l m n o p r s t u f kh ts ch sh shch _ iu ia",
    ё="e", ъ="ie", ы="y", э="e", і="i", ї="i", є="e", ґ="g",
)  # fmt: skip
_BELARUSIAN = _table(
    "a b v h d e zh z i i k l m n o p r s t u f kh ts ch sh shch _ iu ia",
    ё="io",
    і="i",
    ў="u",
    ы="y",
    э="e",
    ґ="g",
    ъ="",
)
_BULGARIAN = _table("a b v g d e zh z i y k l m n o p r s t u f h ts ch sh sht y yu ya", ъ="a", ы="y", э="e", ё="yo")
_SERBIAN = _table(
    "a b v g d e z z i j k l m n o p r s t u f h c c s st _ ju ja",
    ђ="dj", ј="j", љ="lj", њ="nj", ћ="c", џ="dz", ѓ="gj", ќ="kj", ѕ="dz", ъ="a", ы="y", э="e", ё="jo",
)  # fmt: skip
_BY_LANGUAGE = {"uk": _UKRAINIAN, "ru": _RUSSIAN, "be": _BELARUSIAN, "bg": _BULGARIAN, "sr": _SERBIAN, "mk": _SERBIAN}
_INITIAL = {
    "uk": {"є": "ye", "ї": "yi", "й": "y", "ю": "yu", "я": "ya", "ё": "yo"},
    "be": {"е": "ye", "ё": "yo", "ю": "yu", "я": "ya"},
}
_GEORGIAN = alphabet(
    "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ",
    "a b g d e v z t i k l m n o p zh r s t u p k gh q sh ch ts dz ts ch kh j h",
)
_ARMENIAN = alphabet(
    "աբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆև",
    "a b g d e z e y t zh i l kh ts k h dz gh ch m y n sh o ch p j r s v t r ts v p k o f ev",
)
_GREEK = alphabet(
    "αβγδεζηθικλμνξοπρσςτυφχψω",
    "a v g d e z i th i k l m n x o p r s s t y f ch ps o",
) | alphabet(
    "άέήίόύώϊϋΐΰ",
    "a e i i o y o i y i y",
)
_PAIRS = {"ου": "ou", "μπ": "b", "γγ": "ng", "αυ": "av", "ευ": "ev", "ού": "ou", "αύ": "av", "εύ": "ev"}
_OTHERS = _GEORGIAN | _ARMENIAN | _GREEK
_CYRILLIC = re.compile("[\u0400-\u04ff]")
_UNREADABLE = re.compile("[\u0590-\u08ff]")
_WORD = re.compile("[^\\W_]+(?:['’ʼ`][^\\W_]+)*")


def _language(text: str, language: str | None) -> str:
    """Whose Cyrillic it is: what was said, unless letters tell otherwise; Ukrainian where nothing tells."""
    said = (language or "").partition("-")[0].lower()
    if re.search("[іїєґ]", text) and said != "be":
        return "uk"
    if "ў" in text:
        return "be"
    if re.search("[ђјљњћџѓќ]", text):
        return "sr"
    if re.search("[ыэё]", text) and said != "be":
        return "ru"
    return said if said in _BY_LANGUAGE else "uk"


def _cyrillic(word: str, language: str) -> str:
    table, initial = _BY_LANGUAGE[language], _INITIAL.get(language, {})
    bare = re.sub("['’ʼ`]", "", word)
    if language == "uk":
        bare = bare.replace("зг", "zgh")
    if language == "bg" and bare.endswith("ия"):
        bare = bare[:-2] + "ia"
    return "".join(
        (initial if position == 0 else table).get(letter, table.get(letter, letter))
        for position, letter in enumerate(bare)
    )


def _cased(before: str, after: str) -> str:
    """The case of what was: all capitals, a capital first, or as it comes."""
    if "\u10d0" <= before[:1] <= "\u10ff":  # Georgian is written without capitals
        return after.capitalize()
    if len(before) > 1 and before.isupper():
        return after.upper()
    return after[:1].upper() + after[1:] if before[:1].isupper() else after


@lru_cache(maxsize=2_000)
def latin_name(text: str, language: str | None = None) -> str | None:
    """A name as its bearer's passport would spell it in Latin letters; Latin names as they are, without their marks.

    `language` (``uk``, ``ru``, ``be``, ``bg``, ``sr``, ``mk``) decides between languages of one script where the
    letters do not; else Cyrillic is read as Ukrainian. None where the script does not say how a name is pronounced
    (Arabic and Hebrew leave vowels out, Chinese has no letters): only its bearer knows.
    """
    composed = unicodedata.normalize("NFC", text)
    if _UNREADABLE.search(composed):
        return None
    spoken = _language(composed.casefold(), language)

    def word(match: re.Match[str]) -> str:
        found = match.group()
        if found.isascii():
            return found
        low = found.lower()
        if _CYRILLIC.search(low):
            return _cased(found, _cyrillic(low, spoken))
        for pair in _PAIRS if any(letter in _GREEK for letter in low) else ():
            low = low.replace(pair, _PAIRS[pair])
        return _cased(found, "".join(_OTHERS.get(letter, PLAIN.get(ord(letter), letter)) for letter in low))

    latin = " ".join(_WORD.sub(word, composed).split())
    return latin if all(letter.isascii() or not letter.isalpha() for letter in latin) else None
