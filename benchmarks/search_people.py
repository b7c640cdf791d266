# ruff: noqa: E501
"""People for the search benchmark: names of several languages and scripts, common ones often, rare ones seldom."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import accumulate

_UK_GIVEN = ["Олена", "Олександр", "Наталія", "Сергій", "Ірина", "Андрій", "Тетяна", "Володимир", "Оксана", "Юрій", "Марія", "Іван", "Анна", "Микола", "Світлана", "Віктор", "Людмила", "Дмитро", "Юлія", "Олексій", "Катерина", "Михайло", "Ольга", "Василь", "Галина", "Петро", "Надія", "Ігор", "Вікторія", "Роман", "Любов", "Максим", "Лариса", "Євген", "Дарина", "Богдан", "Софія", "Ярослав", "Христина", "Тарас", "Зоряна", "Остап", "Соломія", "Назар", "Уляна", "Орест", "Мар'яна", "Всеволод", "Єлизавета", "Святослав", "Злата", "Мирослава", "Стефанія", "Захар", "Ксенія", "Глеб", "Жанна", "Лук'ян", "Щасна", "Цвітана"]  # fmt: skip
_UK_STEMS = ["Шевч", "Коваль", "Бондар", "Ткач", "Кравч", "Олій", "Лис", "Мельнич", "Поліщ", "Савч", "Руд", "Мороз", "Марч", "Петр", "Павл", "Васил", "Гончар", "Клим", "Федор", "Кузьм", "Левч", "Харч", "Романч", "Панч", "Сидор", "Яким", "Гаврил", "Тимош", "Захарч", "Дмитр", "Степан", "Назар", "Юрч", "Іванч", "Гнат", "Остап", "Луц", "Ярем", "Хмельн", "Зел", "Вишн", "Калин", "Журав", "Соловй", "Щерб", "Цимбал", "Чорн", "Білозір", "Горбач", "Довж", "Заболот", "Крив", "Нечуй", "Порох", "Скоропад", "Терещ", "Усик", "Франч", "Шульг", "Явор"]  # fmt: skip
_UK_ENDS = [
    "енко",
    "енко",
    "енко",
    "ук",
    "чук",
    "юк",
    "ко",
    "ський",
    "ицький",
    "ак",
    "ик",
    "ів",
    "ина",
    "ін",
    "ець",
    "ейко",
    "айло",
    "овський",
    "евич",
    "ович",
    "аренко",
    "уля",
    "иця",
]
_RU_GIVEN = ["Александр", "Елена", "Сергей", "Наталья", "Ольга", "Дмитрий", "Светлана", "Алексей", "Мария", "Николай", "Анна", "Евгений", "Екатерина", "Юлия", "Игорь", "Татьяна", "Семён", "Фёдор", "Илья", "Пётр", "Яна", "Щукарь", "Эдуард"]  # fmt: skip
_RU_STEMS = ["Иван", "Петр", "Сидор", "Кузнец", "Смирн", "Попов", "Васильев", "Соколов", "Михайлов", "Нов", "Фёдор", "Мороз", "Волк", "Алексе", "Лебед", "Семён", "Егор", "Павл", "Козл", "Степан", "Никола", "Орл", "Андре", "Макар", "Никит", "Захар", "Зайц", "Соловьёв", "Борис", "Яковл", "Григорь"]  # fmt: skip
_RU_ENDS = ["ов", "ова", "ев", "ева", "ин", "ина", "овский", "ский", "енков", "ых"]
_GE_GIVEN = [
    "გიორგი",
    "ნინო",
    "დავით",
    "მარიამ",
    "ლევან",
    "თამარ",
    "ლუკა",
    "ანა",
    "ირაკლი",
    "ნათია",
    "ზურაბ",
    "ქეთევან",
    "ვახტანგ",
    "მაია",
    "შოთა",
    "ლელა",
    "თეკლე",
    "ბესიკ",
]
_GE_STEMS = [
    "ბერ",
    "კაპანა",
    "გელა",
    "მაისურა",
    "ლომ",
    "ხუცი",
    "წიკლა",
    "ჯავახი",
    "მჭედლ",
    "შენგელ",
    "ქავთარ",
    "ცინც",
    "ღლონტ",
    "კვარაცხ",
    "ნოზა",
    "ჩხე",
    "ფირცხალა",
    "სამხარა",
]
_GE_ENDS = ["იძე", "აძე", "შვილი", "ია", "ავა", "უა", "ური", "ელი", "ანი", "ძე"]
_AR_GIVEN = ["محمد", "أحمد", "علي", "فاطمة", "ليلى", "عمر", "خديجة", "يوسف", "حسن", "مريم", "إبراهيم", "زينب", "خالد", "سارة", "عبدالله", "نور", "كريم", "هدى", "سمير", "رانيا", "مصطفى", "طارق", "جميلة", "وليد"]  # fmt: skip
_AR_FAMILY = ["المصري", "منصور", "الخطيب", "حداد", "النجار", "خوري", "الشامي", "درويش", "صالح", "سليمان", "العلي", "الحسن", "ناصر", "عثمان", "بكر", "الرفاعي", "القاسم", "شاهين", "عباس", "زيدان", "مراد", "الحلبي", "الأحمد", "يعقوب", "طه", "عوض", "غانم"]  # fmt: skip
_EU_GIVEN = ["María", "José", "Łukasz", "Zoë", "Søren", "François", "Anna", "Thomas", "Jürgen", "Małgorzata", "Björn", "Ángel", "Çağla", "İbrahim", "Renée", "Jana", "Milan", "Chloé", "Jörg", "Agnieszka", "João", "Inês", "Dvořák", "John", "Mary", "James", "Sarah", "William", "Emma", "Oliver"]  # fmt: skip
_EU_STEMS = ["Müll", "Gonzál", "Núñ", "Kowal", "Wiśniew", "Dvořá", "Schmi", "Schnei", "Fisch", "Web", "Garcí", "Fernánd", "Rodrígu", "Łuka", "Szymań", "Nowa", "Jank", "Sørens", "Andersso", "Lefèv", "Dubo", "Çeli", "Yılma", "Öztür", "Horvá", "Kovačev", "Petrovi", "Smi", "Johns", "Brow", "Tayl", "Willia", "Clar", "Hug", "Bak"]  # fmt: skip
_EU_ENDS = [
    "er",
    "ez",
    "ski",
    "ska",
    "k",
    "dt",
    "en",
    "son",
    "re",
    "is",
    "th",
    "man",
    "ley",
    "ton",
    "s",
    "ić",
    "ová",
    "ov",
    "ek",
    "mann",
    "berg",
    "feld",
    "stein",
    "quist",
    "haus",
]
_CITIES = ["Київ", "Львів", "Одеса", "Харків", "Дніпро", "Тбілісі", "Kyiv", "Lviv", "Warszawa", "Berlin", "Бровари", "Полтава", "Чернігів", "თბილისი", "ბათუმი", "عمان", "Beirut", "London", "Madrid", "Вінниця", "Ужгород", "Козелець", "Суми", "Рівне"]  # fmt: skip


def _weights(count: int, power: float) -> list[float]:
    return list(accumulate(1 / (rank + 2) ** power for rank in range(count)))


@dataclass(frozen=True, slots=True)
class _People:
    given: tuple[str, ...]
    family: tuple[str, ...]
    given_weights: list[float]
    family_weights: list[float]
    language: str
    country: str

    @classmethod
    def of(cls, given: list[str], family: list[str], language: str, country: str) -> _People:
        return cls(
            tuple(given), tuple(family), _weights(len(given), 0.8), _weights(len(family), 0.7), language, country
        )

    def name(self, chance: random.Random) -> tuple[str, str]:
        """A given and a family name."""
        return (
            chance.choices(self.given, cum_weights=self.given_weights)[0],
            chance.choices(self.family, cum_weights=self.family_weights)[0],
        )


def _families(stems: list[str], ends: list[str], more: list[str], seed: int) -> list[str]:
    found = [stem + end for stem in stems for end in ends]
    found += [stem + middle + end for stem in stems for middle in more for end in ends]
    random.Random(seed).shuffle(found)
    return list(dict.fromkeys(found))


_SYLLABLES = [
    "ан",
    "ар",
    "ен",
    "ер",
    "ил",
    "ин",
    "ис",
    "ол",
    "ор",
    "ос",
    "ул",
    "ур",
    "аль",
    "ель",
    "иш",
    "ач",
    "ет",
    "от",
    "аб",
    "ив",
]
_LATIN_SYLLABLES = [
    "an",
    "ar",
    "en",
    "er",
    "il",
    "in",
    "is",
    "ol",
    "or",
    "os",
    "ul",
    "ur",
    "al",
    "el",
    "ish",
    "et",
    "ot",
    "ab",
    "iv",
    "am",
]
_GE_SYLLABLES = ["ან", "არ", "ენ", "ილ", "ინ", "ოლ", "ორ", "ულ", "ავ", "იშ"]
UK = _People.of(_UK_GIVEN, _families(_UK_STEMS, _UK_ENDS, [*_SYLLABLES, "оват", "ушк"], 1), "uk", "UA")
RU = _People.of(_RU_GIVEN, _families(_RU_STEMS, _RU_ENDS, _SYLLABLES, 2), "ru", "UA")
GE = _People.of(_GE_GIVEN, _families(_GE_STEMS, _GE_ENDS, _GE_SYLLABLES, 3), "ka", "GE")
AR = _People.of(
    _AR_GIVEN, [*_AR_FAMILY, *(f"{one} {other}" for one in _AR_FAMILY[:9] for other in _AR_FAMILY)], "ar", "JO"
)
EU = _People.of(_EU_GIVEN, _families(_EU_STEMS, _EU_ENDS, _LATIN_SYLLABLES, 4), "en", "PL")
_SHARES = ((UK, 45), (RU, 12), (GE, 10), (AR, 8), (EU, 25))


def person(number: int) -> dict[str, object]:
    """The contact of a number, the same in every run; the columns that are not empty."""
    from crm_api.kit.scripts import latin_name

    chance = random.Random(number)
    people = chance.choices([one for one, _ in _SHARES], [share for _, share in _SHARES])[0]
    given, family = people.name(chance)
    if people in (UK, RU) and chance.random() < 0.25:  # written in Latin letters
        given, family = latin_name(given, people.language) or given, latin_name(family, people.language) or family
    city = chance.choices(_CITIES, [1 / (rank + 1) for rank in range(len(_CITIES))])[0]
    return {
        "given_name": given,
        "family_name": family,
        "language": people.language,
        "emails": [{"address": f"person{number}@example.org", "label": None, "is_primary": True, "status": "valid"}],
        "phones": [{"number": f"+380{500000000 + number}", "label": None, "is_primary": True, "status": "valid"}],
        "addresses": [{"city": city, "country": people.country, "is_primary": True, "status": "valid"}],
        "external_ids": [{"system": "legacy", "id": f"L{number}"}] if number % 4 == 0 else [],
        "tags": [f"tag-{number % 20}"],
        "roles": ["donor"] if number % 3 else ["volunteer"],
    }
