"""The search form of a word: all usual spellings of one name, in any script, come out the same. Pure.

One letter of one script is turned into the sound it stands for (`alphabets`), pairs of Latin letters that spell one
sound are taken together, and what languages spell now so, now so (``ie`` or ``ye`` or ``e``, doubled letters,
apostrophes, soft signs) is evened out. The result is not for reading: `roman.latin_name` is.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from crm_api.kit.scripts.alphabets import GREEK_PAIRS, OTHERS, PLAIN

_MARKS = re.compile("[\u0307\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u200b-\u200f'’ʼ`´‘′ʹʻ]")
_WORD = re.compile("(?:[^\\W_]|[\u0300-\u036f\u0900-\u0dff\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff])+")
_MOST_WORDS = 12
LONGEST = 40
"""Letters of a word that count; no name is longer, and a longer text is no key."""


def name_words(text: str) -> list[str]:
    """The folded words of a name, each once: hyphens part words, apostrophes and vowel points are left out."""
    folded = _MARKS.sub("", unicodedata.normalize("NFKC", text).casefold())
    return list(dict.fromkeys(word[:LONGEST] for word in _WORD.findall(folded)))[:_MOST_WORDS]


_LATIN = {
    "schtsch": "x", "szcz": "x", "shtch": "x", "shch": "x", "stsch": "x", "sch": "x", "sh": "x", "sz": "x",
    "tsch": "c", "tch": "c", "cz": "c", "ch": "c", "dzh": "j", "zh": "j", "chr": "kr", "chl": "kl", "chae": "hae",
    "kh": "h", "gh": "h", "gue": "he", "gui": "hi", "g": "h", "ph": "f", "th": "t", "dh": "d", "bh": "b",
    "wh": "v", "ck": "k", "qu": "kv", "q": "k", "x": "ks", "w": "v", "y": "i", "tz": "s", "ou": "u", "oo": "u",
    "ce": "se", "ci": "si", "cy": "si", "c": "k",
}  # fmt: skip
_LATIN_SOUNDS = re.compile("|".join(sorted(_LATIN, key=len, reverse=True)))
_MARKED = re.compile("[šşșčćžżșțţçäğǧĉŝ]")
_HAS_LATIN = re.compile("[a-z]")
_EVEN = {"ie": "e", "iu": "u", "ae": "e", "oe": "o", "ue": "u", "ts": "s", "tc": "c", "xc": "x", "dj": "j"}
_EVENED = re.compile("|".join(_EVEN))
_RUN = re.compile(r"(.)\1+")
_UNSTRESSED = str.maketrans("άέήίόύώ", "αεηιουω")
_GREEK_INITIALS = {"μπ": "б", "ντ": "д", "γκ": "г"}
_GREEK = re.compile("|".join(GREEK_PAIRS))


def _even(text: str) -> str:
    """What is spelt now so, now so, spelt one way; until nothing is left to change."""
    while True:
        after = _RUN.sub(r"\1", _EVENED.sub(lambda match: _EVEN[match.group()], _RUN.sub(r"\1", text)))
        if after == text:
            return text
        text = after


def _sounds(word: str) -> str:
    """A folded word in the alphabet of sounds; `j` is left as it was where it is Latin."""
    if word.isascii():
        return _even(_LATIN_SOUNDS.sub(lambda match: _LATIN[match.group()], word))
    if "ь" in word or "ъ" in word:
        word = re.sub("ъ(?![еёюяэє])", "а", re.sub("ьо", "іо", word)) if "ъ" in word else word.replace("ьо", "іо")
    if any("α" <= letter <= "ω" for letter in word):
        word = re.sub("^(?:μπ|ντ|γκ)", lambda match: _GREEK_INITIALS[match.group()], word)
        word = _GREEK.sub(
            lambda match: GREEK_PAIRS[match.group()], word.translate({0x3AC: "α", 0x3AD: "ε", 0x3AF: "ι"})
        )
    plain = word.translate(PLAIN)
    if _HAS_LATIN.search(plain):
        plain = _LATIN_SOUNDS.sub(lambda match: _LATIN[match.group()], plain)
    return _even(plain.translate(OTHERS))


def _spellings(word: str) -> list[str]:
    """The word with each letter that is read in two ways written out; the likelier first."""
    word = re.sub("(?<=[eo]v)ic$", "ich", word)  # Serbian and Croatian names without their marks
    word = word.replace("john", "jon")
    found = [word]

    def also(pattern: str, *others: str) -> None:
        if re.search(pattern, word):
            found.extend(re.sub(pattern, other, one) for one in list(found) for other in others)

    if "j" in word:  # ж in English and French, й in German and Slavic languages, х at the beginning in Spanish
        rest = re.sub("(?<=[^d])j", "i", word)
        spelt = [rest.replace("j", "zh"), rest.replace("j", "i")] if word[0] == "j" else [rest]
        found = [*spelt, word.replace("j", "zh"), *(["h" + rest[1:]] if word[0] == "j" else [])]
    if "ё" in word:
        found.append(re.sub("ё", "йо", re.sub("(?<=[жчшщ])ё", "о", word)))
    also("ç", "s") if "ç" in word else None
    also("(?<=[aeiou])c(?=a?$)", "s") if word[-2:].find("c") >= 0 else None
    also("z", "s") if word.endswith("ez") else None  # Spanish
    also("ფ", "ჶ") if "ფ" in word else None
    return found


def _distinct(texts: list[str], most: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))[:most]


@lru_cache(maxsize=20_000)
def forms(word: str) -> tuple[str, ...]:
    """The search forms a folded word is found by: one, or up to three where a letter is read in several ways.

    The first is `canonical`. What has no known letter (Chinese, say) is its own form.
    """
    spelt = _spellings(word) if not word.isdecimal() else [word]
    found = [_sounds(one.replace("ç", "ch")) for one in spelt]
    if _MARKED.search(word):  # Ševčenko, as it is typed where there is no š
        found.append(_sounds(_bare(word)))
    return _distinct(found, 3) or (word,)


def _bare(word: str) -> str:
    parts = unicodedata.normalize("NFKD", word.translate({0x131: "i", 0x111: "d", 0x142: "l"}))
    return "".join(part for part in parts if not unicodedata.combining(part))


def canonical(word: str) -> str:
    """The search form of one folded word: usual spellings of one name in any script have the same."""
    return forms(word)[0]


@lru_cache(maxsize=20_000)
def readings(word: str) -> tuple[str, ...]:
    """The forms to look a searched word up by: `forms`, and what careless spelling may have meant besides."""
    found = list(forms(word))
    if word.startswith("x"):
        found.append(_sounds("kh" + word[1:]))
    if "ch" in word and "sch" not in word:
        found.append(_sounds(word.replace("ch", "kh")))
    if "io" in word or "yo" in word or "йо" in word or "ьо" in word:
        found.append(_even(found[0].replace("io", "e")))
    return _distinct(found, 5)


@lru_cache(maxsize=5_000)
def mended(word: str) -> tuple[str, ...]:
    """Forms a Latin word may have been meant for where a typo split letters that spell one sound (``Kmhelnytsky``)."""
    if not word.isascii():
        return ()
    found = [word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)]
    found += [word[:at] + letter + word[at + 1 :] for at in range(1, len(word)) for letter in "hsc"]
    return _distinct([form for one in found for form in forms(one)[:1]], 80)


_LATIN_TAILS = {"c": ("h", "e", "i"), "s": ("h", "ch"), "z": ("h",), "p": ("h",), "k": ("h",), "o": ("u",),
                "t": ("ch",), "d": ("zh",), "gu": ("e", "i"), "q": ("u",), "sc": ("z",), "ch": ("l", "r"),
                "č": ("l", "r")}  # fmt: skip
_EVEN_TAILS = {"i": ("e", "u"), "a": ("e",), "t": ("s", "c"), "d": ("j",)}


@lru_cache(maxsize=20_000)
def beginnings(word: str) -> tuple[str, ...]:
    """What the search forms of words that begin so begin with.

    The next letter may change how the last is read: words that begin with ``shevc`` may go on ``shevch``, whose form
    does not begin with that of ``shevc``.
    """
    plain = "".join(one for one in unicodedata.normalize("NFKD", word) if not unicodedata.combining(one))
    plain = plain.replace("ø", "o")
    tails = [tail for ending, known in _LATIN_TAILS.items() if plain.endswith(ending) or word.endswith(ending)
             for tail in known]  # fmt: skip
    found = list(readings(word))
    for tail in tails:
        found += forms(word + tail)[:2]
    for one in list(found):
        found += [_even(one[:-1] + other) for other in _EVEN_TAILS.get(one[-1:], ())]
    found = sorted(dict.fromkeys(one for one in found if one))
    return tuple(one for one in found if not any(one != other and one.startswith(other) for other in found))[:10]
