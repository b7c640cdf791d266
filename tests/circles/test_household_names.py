"""How households are named and greeted, in the languages of our users."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_api.contacts.households.naming import (
    DEFAULTS,
    OF_HOUSEHOLD,
    OF_PERSON,
    Member,
    Pattern,
    check_pattern,
    name_household,
    pattern_of,
)
from crm_api.contacts.households.words import family_plural, vocative


def person(name: str, **more: object) -> Member:
    """A member from "given middle family" or "given family"."""
    given, *middle, family = name.split()
    return Member(given=given, middle=" ".join(middle), family=family, display_name=name, **more)  # type: ignore[arg-type]


def named(language: str, *members: Member) -> tuple[str, str | None, str | None]:
    found = name_household(members, language, pattern_of(language, {}))
    return found.name, found.formal_greeting, found.informal_greeting


CASES = [
    ("en", ["John Smith", "Mary Smith"], ("Smith Household", "John and Mary Smith", "John and Mary")),
    ("en", ["John Smith", "Mary Jones"], ("Smith and Jones Household", "John Smith and Mary Jones", "John and Mary")),
    ("en", ["A Lee", "B Lee", "C Lee"], ("Lee Household", "A, B and C Lee", "A, B and C")),
    ("uk", ["Олена Шевченко", "Андрій Шевченко"],
     ("Родина Шевченків", "Олено та Андрію Шевченко", "Олено та Андрію")),
    ("uk", ["Олена Петрівна Ковальська", "Андрій Іванович Ковальський"],
     ("Родина Ковальських", "Олено Петрівно та Андрію Івановичу", "Олено та Андрію")),
    ("uk", ["Марія Мельник", "Ілля Бойко"], ("Родина Мельників та Бойків", "Маріє Мельник та Ілле Бойко", "Маріє та Ілле")),
    ("ru", ["Анна Ивановна Иванова", "Пётр Сергеевич Иванов"],
     ("Семья Ивановых", "Анна Ивановна и Пётр Сергеевич", "Анна и Пётр")),
    ("ru", ["Лев Толстой", "Софья Толстая"], ("Семья Толстых", "Лев Толстой и Софья Толстая", "Лев и Софья")),
    ("ka", ["ნინო ბერიძე", "გიორგი ბერიძე"], ("ბერიძეების ოჯახი", "ნინო და გიორგი ბერიძე", "ნინო და გიორგი")),
    ("ka", ["დავით მამარდაშვილი"], ("მამარდაშვილების ოჯახი", "დავით მამარდაშვილი", "დავით")),
    ("ar", ["أحمد حداد", "ليلى الخطيب"], ("عائلة حداد والخطيب", "أحمد حداد وليلى الخطيب", "أحمد وليلى")),
    ("pl", ["Jan Kowalski", "Anna Kowalska"], ("Rodzina Kowalskich", "Jan Kowalski i Anna Kowalska", "Jan i Anna")),
    ("de", ["Jan Huber", "Eva Huber"], ("Familie Huber", "Jan und Eva Huber", "Jan und Eva")),
    ("sv", ["Jan Huber"], ("Huber Household", "Jan Huber", "Jan")),
]  # fmt: skip


@pytest.mark.parametrize(("language", "people", "expected"), CASES)
def test_the_usual_way(language: str, people: list[str], expected: tuple[str, str, str]) -> None:
    assert named(language, *(person(name, is_primary=not n) for n, name in enumerate(people))) == expected


@pytest.mark.parametrize(
    ("name", "called"),
    [("Олена", "Олено"), ("Наталя", "Наталю"), ("Марія", "Маріє"), ("Зоя", "Зоє"), ("Іван", "Іване"), ("Сергій", "Сергію"),
     ("Петро", "Петре"), ("Марко", "Марку"), ("Олег", "Олеже"), ("Василь", "Василю"), ("Ігор", "Ігорю"),
     ("Анна-Марія", "Анно-Маріє"), ("Олександр", "Олександре"), ("Микола", "Миколо"), ("Любов", "Любове"),
     ("Микитович", "Микитовичу"), ("Петрівна", "Петрівно"), ("John", "John"), ("გიორგი", "გიორგი")],
)  # fmt: skip
def test_the_vocative_of_ukrainian(name: str, called: str) -> None:
    assert vocative(name, "uk") == called
    assert vocative(name, "ru") == name


@pytest.mark.parametrize(
    ("language", "family", "plural"),
    [("uk", "Зеленський", "Зеленських"), ("uk", "Чорний", "Чорних"), ("uk", "Кравець", "Кравців"), ("uk", "Швець", "Шевців"),
     ("uk", "Коваль", "Ковалів"), ("uk", "Гончар", "Гончарів"), ("uk", "Петров", "Петрових"), ("uk", "Драгоманова", "Драгоманових"),
     ("uk", "Нечуй-Левицький", "Нечуй-Левицьких"), ("uk", "Дюма", "Дюма"), ("uk", "Smith", "Smith"),
     ("ru", "Шевченко", "Шевченко"), ("ru", "Достоевский", "Достоевских"), ("ru", "Пушкина", "Пушкина"),
     ("ka", "გამსახურდია", "გამსახურდიების"), ("ka", "Smith", "Smith"), ("pl", "Nowak", "Nowak"), ("ar", "حداد", "حداد")],
)  # fmt: skip
def test_families_in_the_plural(language: str, family: str, plural: str) -> None:
    assert family_plural(family, language) == plural


def test_the_deceased_are_left_out_and_when_nobody_lives_nobody_is_greeted() -> None:
    him, her = person("John Smith", deceased=True, is_primary=True), person("Mary Jones")
    assert named("en", him, her) == ("Jones Household", "Mary Jones", "Mary")
    found = name_household([him, person("Mary Jones", deceased=True)], "en", DEFAULTS["en"])
    assert (found.name, found.formal_greeting, found.all_deceased) == ("Smith and Jones Household", None, True)


def test_members_are_left_out_by_hand() -> None:
    members = [
        person("John Smith", is_primary=True),
        person("Mary Jones", in_name=False),
        person("Tim Smith", in_greetings=False),
    ]
    assert named("en", *members) == ("Smith Household", "John Smith and Mary Jones", "John and Mary")
    assert named("en", person("John Smith", in_name=False, in_greetings=False))[0] == "Smith Household"


def test_a_persons_own_greeting_stands_before_the_pattern() -> None:
    members = [
        person("Олена Шевченко", informal_greeting="Лесю", is_primary=True),
        person("Іван Шевченко", salutation="пане"),
    ]
    assert named("uk", *members) == ("Родина Шевченків", "Олено та пане Іване Шевченко", "Лесю та Іване")


def test_people_without_a_family_name_are_named_by_what_there_is() -> None:
    members = [Member(given="Олена", display_name="Олена"), Member(display_name="olena@example.org")]
    assert named("uk", *members) == (
        "Олена та olena@example.org",
        "Олено та olena@example.org",
        "Олено та olena@example.org",
    )


def test_an_own_pattern_takes_the_place_of_the_usual_one() -> None:
    own = {"en": Pattern("The {families} Family", "{name}", "{given}", " & ")}
    assert pattern_of("en-GB", own) is own["en"]
    assert pattern_of("uk", own) is DEFAULTS["uk"]
    assert name_household([person("A B"), person("C B")], "en", own["en"]).formal_greeting == "A & C B"


@pytest.mark.parametrize("pattern", ["", "no placeholder", "{given}|", "{Given}", "{given", "{families}", "{given} }"])
def test_patterns_that_make_no_greeting(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"takes|needs"):
        check_pattern(pattern, OF_PERSON)
    assert check_pattern("{families} Household|{names}", OF_HOUSEHOLD)


_WORD = st.text("абвгґдеєжзиіїйклмнопрстуфхцчшщьюяАОЛК'-abcდძეი ", max_size=12)


@given(st.sampled_from(sorted(DEFAULTS)), st.lists(st.tuples(_WORD, _WORD, st.booleans(), st.booleans()), max_size=6))
def test_any_names_make_a_household(language: str, people: list[tuple[str, str, bool, bool]]) -> None:
    """Never an error, never a placeholder left over; greeted are exactly the living who may be."""
    members = [
        Member(given=a.strip(), family=b.strip(), display_name="X", deceased=c, in_greetings=d) for a, b, c, d in people
    ]
    found = name_household(members, language, DEFAULTS[language])
    for text in (found.name, found.formal_greeting or "", found.informal_greeting or ""):
        assert "{" not in text
    assert (found.informal_greeting is None) == (not any(not m.deceased and m.in_greetings for m in members))
    assert found.all_deceased == (bool(members) and all(m.deceased for m in members))
    assert bool(found.name) == bool(members)
