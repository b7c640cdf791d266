"""Letters of many scripts in the alphabet of search forms.

A search form is written in few letters, each for a sound that languages spell in several ways:

    h  г ґ g gh h kh х ხ ჰ ღ გ        x  ш щ sh sch shch š      c  ч ch tch cz č ჩ ჭ
    j  ж дж zh dzh ž ჟ ჯ               s  с ц s ts tz ც წ        i  и і ї й ы y i
    v  в w v                           k  к k ck q               e  е є э ye ie e

Which letter of a script stands for which sound follows the published romanisations: Ukrainian by resolution 55 of the
Cabinet of Ministers (2010), Russian by ICAO Doc 9303 and BGN/PCGN 1947, Belarusian and Bulgarian (Transliteration Act,
2009) and Serbian by their national systems, Georgian by the national system of 2002, Greek by ELOT 743, Armenian by
BGN/PCGN 1981, Arabic by BGN/PCGN 1956 and Hebrew by the Academy's rules of 2006.
"""

from __future__ import annotations

import unicodedata


def alphabet(letters: str, sounds: str) -> dict[str, str]:
    """Each letter with its sound; sounds are parted by spaces."""
    return dict(zip(letters, sounds.split(), strict=True))


_CYRILLIC = alphabet(
    "абвгґдђеёєжзѕиіїйјклљмнњопрстћуўфхцчџшщыэюя",
    "a b v h h d j e e e j z z i i i i i k l li m n ni o p r s t c u u f h s c j x x i e u ia",
) | {
    "ь": "", "ъ": "", "ѓ": "j", "ќ": "k", "ѣ": "e", "ѳ": "f", "ѵ": "i", "қ": "k", "ғ": "h", "ң": "n",
     "ә": "a",
    "ө": "o", "ү": "u", "ұ": "u", "һ": "h", "ҳ": "h", "ҷ": "j", "ӣ": "i", "ӯ": "u", "ӏ": "", "ӑ": "a", "ӗ": "e",
}  # fmt: skip

_GEORGIAN = alphabet(
    "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ",
    "a b h d e v z t i k l m n o p j r s t u p k h k x c s dz s c h j h",
) | {"ჲ": "i", "ჳ": "vi", "ჴ": "h", "ჱ": "e", "ჵ": "o", "ჶ": "f"}

_ARMENIAN = alphabet(
    "աբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆև",
    "a b h d e z e e t j i l h s k h dz h c m i n x o c p j r s v t r s v p k o f ev",
)

_GREEK = alphabet(
    "αβγδεζηθικλμνξοπρσςτυφχψω",
    "a v h d e z i t i k l m n ks o p r s s t i f h ps o",
) | alphabet(
    "άέήίόύώϊϋΐΰ",
    "a e i i o i o i i i i",
)

_ARABIC = alphabet(
    "اأإآٱىبتثجحخدذرزسشصضطظغفقكلمنهويةپچژڤگکی",
    "a a a a a a b t t j h h d d r z s x s d t z h f k k l m n h u i a p c j v h k i",
) | {"ع": "", "ء": "", "ئ": "", "ؤ": ""}

_HEBREW = alphabet(
    "בגדהוזחטיכךלמםנןספףצץקרשת",
    "b h d h v z h t i k k l m m n n s p f s s k r x t",
) | {"א": "a", "ע": ""}

OTHERS: dict[int, str] = {
    ord(letter): sound
    for alphabet in (_CYRILLIC, _GEORGIAN, _ARMENIAN, _GREEK, _ARABIC, _HEBREW)
    for letter, sound in alphabet.items()
}
"""Letters of every script but Latin, for `str.translate`."""

GREEK_PAIRS = {"ου": "у", "γγ": "нг", "τσ": "ц", "τζ": "дз", "αι": "ε", "ει": "ι",
               "οι": "ι", "αυ": "αβ", "ευ": "εβ"}  # fmt: skip
"""Greek pairs of letters for one sound, where need be by a letter of another script that has it."""

PLAIN: dict[int, str] = {}
"""Latin letters with diacritics as plain ones. Where a mark makes another sound, the pair that spells it out."""


def _plain_latin() -> None:
    for code in (*range(0x00C0, 0x0250), *range(0x1E00, 0x1F00)):
        letter = chr(code)
        bare = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
        if bare != letter and bare.isascii():
            PLAIN[code] = bare
    special = {"ł": "l", "ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ı": "i", "đ": "dj",
               "ħ": "h", "ŋ": "n", "ə": "a", "ŧ": "t", "š": "sh", "ş": "sh", "ș": "sh", "č": "ch", "ć": "ch",
               "ž": "zh", "ż": "zh", "ź": "z", "ț": "ts", "ţ": "ts", "ğ": "gh", "ģ": "g", "ś": "s", "ĉ": "ch",
               "ŝ": "sh", "ĵ": "zh", "ǧ": "gh", "ň": "n", "ř": "r", "ä": "ae", "å": "a", "ё": "e"}  # fmt: skip
    PLAIN.update({ord(letter): bare for letter, bare in special.items()})


_plain_latin()
