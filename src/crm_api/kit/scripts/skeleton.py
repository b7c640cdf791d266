"""The consonants of a word, where names of Arabic and Hebrew script, without short vowels, meet all others. Pure.

A skeleton begins or ends with ``a`` where the word does so with a vowel, since that is written; in between, vowels are
left out. Sounds that Arabic has no letter of its own for stand with the one it uses instead: p with b, v with f, g and
the j of *Jamal* with h (BGN/PCGN 1956 for the consonants).
"""

from __future__ import annotations

import re
from functools import lru_cache

from crm_api.kit.scripts.folding import canonical

_VOWELS = "aeiou"
_ALIKE = str.maketrans("pvj", "bfh", "aeiou")
_ARABIC = str.maketrans(
    "بتثجحخدذرزسشصضطظغفقكلمنهپچژڤگک",
    "btthhhddrzsxsdtzhfkklmnhbchfhk",
    "اأإآٱىعءئؤيیةو",
)
_HEBREW = str.maketrans("בגדהזחטכךלמםנןספףצץקרשת", "bhdhzhtkklmmnnsbfsskrxt", "אעוי")
_ABJAD = re.compile("[\u05d0-\u05ea\u0621-\u06d3]")


def writes_no_vowels(word: str) -> bool:
    """Whether the word is of a script that leaves short vowels out."""
    return not word.isascii() and _ABJAD.search(word) is not None


def _arabic(word: str) -> str:
    if word.startswith("ال") and len(word) > 4:
        word = word[2:]
    begins = "a" if word[0] in "اأإآٱعءئؤيی" else ""
    ends = "a" if len(word) > 1 and word[-1] in "اىةهيیوعءأ" else ""
    core = word[:-1] if ends else word
    core = "ف" + core[1:] if core.startswith("و") else core
    core = re.sub("و(?=[اايىیة])", "ف", core)
    if ends and core.endswith("و") and len(core) > 1:  # Marwa: the last vowel follows a consonant w
        core = core[:-1] + "ف"
    core = core.replace("تش", "چ").replace("تس", "س").replace("لل", "ل")
    return begins + core.translate(_ARABIC) + ends


def _hebrew(word: str) -> str:
    begins = "a" if word[0] in "אעי" else ""
    ends = "a" if len(word) > 1 and word[-1] in "אעהיו" else ""
    core = word[:-1] if ends else word
    core = "ף" + core[1:] if core.startswith("ו") else core
    return begins + core.replace("וו", "ף").translate(_HEBREW) + ends


def _voiced(form: str) -> str:
    """The skeleton of a search form that has its vowels."""
    if len(form) > 2 and form[-1] == "h" and form[-2] in "ae":
        form = form[:-1]
    begins = "a" if form[0] in _VOWELS else ""
    ends = "a" if len(form) > 1 and form[-1] in _VOWELS else ""
    return begins + form.translate(_ALIKE) + ends


@lru_cache(maxsize=20_000)
def bones(word: str) -> str:
    """The skeleton of a folded word; empty where the word has no consonant."""
    if writes_no_vowels(word):
        found = _hebrew(word) if "\u05d0" <= word[0] <= "\u05ea" else _arabic(word)
    else:
        found = _voiced(canonical(word.replace("j", "zh") if "j" in word else word))
    return found if found.strip("a") and found.isascii() else ""


@lru_cache(maxsize=20_000)
def bones_readings(word: str) -> tuple[str, ...]:
    """Skeletons to look a searched word up by: v and w within a word may stand written as the vowel u."""
    found = [bones(word)]
    if "f" in found[0][1:]:
        found.append(found[0][0] + found[0][1:].replace("f", ""))
    if word.endswith(("ah", "eh")) and canonical(word).endswith("h"):  # Saleh, whose h is one, unlike Sarah's
        found.append(found[0][:-1] + "h")
    if word.endswith("ح"):
        found.append(found[0][:-1] + "a")
    if writes_no_vowels(word) and "و" in word[1:-1]:
        found.append(bones(word[0] + word[1:-1].replace("و", "ف") + word[-1]))
    return tuple(dict.fromkeys(one for one in found if one.strip("a")))
