"""Family names in the plural and given names in the vocative, as the languages of our users write households. Pure.

Only endings with one regular form are changed; any other name stays as it is, which reads well enough everywhere. What
is wrong for a family is set by hand. Sources: Український правопис 2019 §87, §97; Розенталь, «Справочник», §149;
ქართული სალიტერატურო ენის ნორმები.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_UK_PLURAL = (
    (r"(ськ|цьк|зьк)(ий|а)$", r"\1их"),
    (r"(ов|ев|єв|їв)а?$", r"\1их"),
    (r"(ін|їн)$", r"\1их"),
    (r"(?<=[бвгджзклмнпрстфхцчшщ])ий$", "их"),
    (r"енко$", "енків"),
    (r"ко$", "ків"),
    (r"(ук|юк|як|ак|ик|ник|ач|ар)$", r"\1ів"),
    (r"(яр|аль)$", r"\1ів"),
    (r"(?<=[нтвпрлбм])ець$", "ців"),
)
_RU_PLURAL = (
    (r"(ск|цк)(ий|ая)$", r"\1их"),
    (r"(ов|ев|ёв)а?$", r"\1ых"),
    (r"(ин|ын)$", r"\1ых"),
    (r"(ый|ой|ая)$", "ых"),
)
_PL_PLURAL = ((r"(sk|ck|dzk)(i|a)$", r"\1ich"),)
_KA_PLURAL = ((r"ი$", "ების"), (r"ა$", "ების"), (r"([ეოუ])$", r"\1ების"))
_PLURALS = {"uk": _UK_PLURAL, "ru": _RU_PLURAL, "pl": _PL_PLURAL, "ka": _KA_PLURAL}
_FEMININE = {
    "uk": ((r"(ськ|цьк|зьк)а$", r"\1ий"), (r"(ов|ев|єв|ін|їн|ин)а$", r"\1"), (r"а$", "ий")),
    "ru": ((r"(ск|цк)ая$", r"\1ий"), (r"(ов|ев|ёв|ин|ын)а$", r"\1"), (r"ая$", "ой"), (r"ая$", "ый")),
    "pl": ((r"(sk|ck|dzk)a$", r"\1i"),),
}
_IRREGULAR_PLURALS = {"Швець": "Шевців", "Жнець": "Женців"}


def _first(rules: Iterable[tuple[str, str]], word: str) -> str:
    for pattern, replacement in rules:
        changed, count = re.subn(pattern, replacement, word)
        if count:
            return changed
    return word


def masculine_forms(family: str, language: str) -> list[str]:
    """What the husband or father of somebody with this family name may be called: Ковальська is Ковальський."""
    rules = _FEMININE.get(language, ())
    return [changed for one, other in rules for changed, count in [re.subn(one, other, family)] if count]


def one_of_each(families: Iterable[str], language: str) -> list[str]:
    """The different family names of a household, husband's and wife's forms of one being the same."""
    known = list(dict.fromkeys(families))
    return [
        name for name in known if not any(form != name and form in known for form in masculine_forms(name, language))
    ]


def family_plural(family: str, language: str) -> str:
    """The family as a whole, in the genitive: «Родина Ковальських», «Семья Ивановых», «ბერიძეების ოჯახი»."""
    if family in _IRREGULAR_PLURALS and language == "uk":
        return _IRREGULAR_PLURALS[family]
    rules = _PLURALS.get(language)
    if rules is None or len(family) < 4:
        return family
    parts = re.split(r"(-)", family)
    parts[-1] = _soft(_first(rules, parts[-1]))
    return "".join(parts)


def _soft(word: str) -> str:
    return word.replace("альів", "алів") if word.endswith("альів") else word


_VOCATIVES = {"Ілля": "Ілле", "Любов": "Любове", "Ігор": "Ігорю", "Федір": "Федоре", "Нінель": "Нінеле", "Лев": "Леве"}
_VOCATIVE = (
    (r"(ович|йович|ьович|ич)$", r"\1у"),
    (r"(?<=[аеєиіїоуюя])я$", "є"),
    (r"я$", "ю"),
    (r"а$", "о"),
    (r"ко$", "ку"),
    (r"о$", "е"),
    (r"[йь]$", "ю"),
    (r"г$", "же"),
    (r"к$", "ку"),
    (r"(?<=[бвджзлмнпрстфхцчшщґ])$", "е"),
)


def vocative(name: str, language: str) -> str:
    """A given name or patronymic as one calls out to the person in Ukrainian: Олено, Андрію, Петрівно. Other languages
    of ours have no such form in use, or (Georgian) leave names as they are."""
    if language != "uk":
        return name
    return "".join(
        part if part in " -" or not part else _VOCATIVES.get(part, _first(_VOCATIVE, part))
        for part in re.split(r"([ -])", name)
    )
