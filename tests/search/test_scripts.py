"""Search forms, skeletons and romanisation: rules that hold for any name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.contacts.keys import birthday, key_rows, name_keys, variants, vocabulary
from crm_api.contacts.query import LEVELS, parse
from crm_api.kit.scripts import beginnings, bones_readings, canonical, latin_name, name_words, readings
from tests.support.effort import examples

SAME = (
    "Шевченко Shevchenko შევჩენკო Ševčenko Schewtschenko Szewczenko", "Щербак Shcherbak Scherbak Sherbak",
    "Зеленський Zelenskyi Zelensky Zelenskiy Zelenskyy", "Хмельницький Khmelnytskyi Hmelnitsky", "Марія Мария Maria Mariia Mariya",
    "Сергеев Sergeev Sergeyev", "Юлія Yuliia Yulia Iuliia", "Євген Yevhen Ievgen", "Соловйов Soloviov Solovyov", "Мюллер Müller Mueller",
    "გიორგი Giorgi Гиорги", "Цой Tsoi Tsoy", "Жанна Zhanna Žanna", "Лук'яненко Lukianenko Lukyanenko Лук’яненко", "Ганна Hanna Ganna",
    "Χαράλαμπος Haralampos", "Ђорђевић Djordjevic Đorđević", "Łukasz Лукаш Lukasz",
)  # fmt: skip
MEET = ("محمد Mohammed Мухаммед Muhammad", "عمر Omar Умар", "يوسف Youssef Yusuf Юсуф", "شيفتشينكو Shevchenko Шевченко",
        "ليلى Layla Лейла Leila", "جمال Jamal Gamal Джамаль", "עמית Amit", "عبدالله Abdullah Абдулла")  # fmt: skip
APART = ("Шевченко Савченко", "Olena Olha", "Іван Івана", "Петренко Петрук", "Nino Nina", "Коваль Коваленко")


def _only(text: str) -> str:
    (word,) = name_words(text)
    return word


@pytest.mark.parametrize("names", SAME)
def test_spellings_of_one_name_have_one_form(names: str) -> None:
    first, *others = names.split()
    for other in others:
        assert canonical(_only(first)) in readings(_only(other)), f"{first} {other}"


@pytest.mark.parametrize("names", MEET)
def test_scripts_without_vowels_meet_the_others(names: str) -> None:
    first, *others = names.split()
    for other in others:
        assert set(bones_readings(_only(first))) & set(bones_readings(_only(other))), f"{first} {other}"


@pytest.mark.parametrize("names", APART)
def test_other_names_stay_apart(names: str) -> None:
    one, other = names.split()
    assert canonical(_only(one)) != canonical(_only(other))


@pytest.mark.parametrize(
    ("name", "language", "latin"),
    [
        ("Згурський Юрій", "uk", "Zghurskyi Yurii"), ("Ганна", "uk", "Hanna"), ("Анна Гагарина", "ru", "Anna Gagarina"),
        ("Сергей Щёголев", None, "Sergei Shchegolev"), ("Єлізавета Ґалаґан", None, "Yelizaveta Galagan"), ("Мар'яна", None, "Mariana"),
        ("გიორგი ბერიძე", None, "Giorgi Beridze"), ("Łukasz Müller", None, "Lukasz Muller"), ("Ђорђе Петровић", None, "Djordje Petrovic"),
        ("Георги Димитров", "bg", "Georgi Dimitrov"), ("ІВАН", "uk", "IVAN"), ("O'Brien", None, "O'Brien"), ("محمد", None, None),
        ("דוד", None, None), ("王芳", None, None),
    ],
)  # fmt: skip
def test_names_are_romanised_by_the_standard_of_their_language(
    name: str, language: str | None, latin: str | None
) -> None:
    assert latin_name(name, language) == latin


# Without ç: beside another letter of several readings a word has more forms than a search looks up (ten).
WORDS = st.text(alphabet="абвгґдеєжзиіїйклмнопрстуфхцчшщьюяёыэ", min_size=2, max_size=12) | st.text(
    alphabet="abcdefghijklmnopqrstuvwxyzšžčłøüñ", min_size=2, max_size=12
)  # fmt: skip


@pytest.mark.parametrize(
    ("word", "size"), [("ascz", 3), ("chladek", 2), ("člen", 2), ("güiraldes", 2), ("guimaraes", 2), ("christos", 2)]
)
def test_a_beginning_that_the_next_letter_makes_sound_otherwise(word: str, size: int) -> None:
    folded = name_words(word)[0]
    assert any(canonical(folded).startswith(one) for one in beginnings(folded[:size]))


# Always the same words: of random letters without a language, three in a hundred thousand have more readings than ten.
@settings(max_examples=examples(400), deadline=None, derandomize=True)
@given(WORDS, st.integers(2, 12))
def test_a_beginning_finds_the_word(word: str, size: int) -> None:
    folded = name_words(word)
    if not folded:
        return
    begun = folded[0][:size]
    assert any(canonical(folded[0]).startswith(one) for one in beginnings(begun)), (folded[0], begun, beginnings(begun))


def _found(name: str, q: str) -> bool:
    keys = name_keys([name])
    search = parse(q)
    for level in LEVELS:
        step = search.step(level)
        hit = any(kind == one.kind and one.low <= value < one.high and one.needle in value
                  for kind, value in keys for one in step.driver)  # fmt: skip
        if hit and all(any(kind == one.kind and one.low <= value < one.high for kind, value in keys for one in ranges)
                       for ranges in step.others):  # fmt: skip
            return True
    return False


NAMES = st.lists(st.sampled_from(["Олена", "Шевченко", "Петрівна", "Юрій", "Щербак", "Хмельницький", "Łukasz", "Müller", "José", "Zoë", "Nino", "Beridze", "გიორგი", "ხუციშვილი", "Фёдор", "Соловьёв", "Цой", "Đorđe", "Ганна", "Xenia", "Jacek"]), min_size=1, max_size=4, unique=True)  # fmt: skip


@settings(max_examples=examples(200), deadline=None)
@given(NAMES, st.randoms(use_true_random=False), st.data())
def test_beginnings_in_any_order_and_case_find_the_name(names: list[str], chance: object, data: st.DataObject) -> None:
    words = data.draw(st.permutations(names))
    asked = [word[: data.draw(st.integers(2, len(word)))] for word in words]
    asked = [data.draw(st.sampled_from([word, word.upper(), word.lower()])) for word in asked]
    assert _found(" ".join(names), " ".join(asked)), (names, asked)


def test_keys_of_a_contact_are_few() -> None:
    contact = {
        "given_name": "Олена", "family_name": "Шевченко", "emails": [{"address": "Olena@Example.org"}], "tags": ["a"], "roles": ["donor"],
        "phones": [{"number": "+380501234567"}], "addresses": [{"city": "Київ", "country": "UA"}], "birth_date": "1980-05-17",
        "handles": [{"network": "telegram", "handle": "Olena"}], "external_ids": [{"system": "legacy", "id": "A-17"}], "other_names": [],
    }  # fmt: skip
    keys = key_rows(contact)
    assert sum(kind in {"word", "pair", "bones", "frame"} for kind, _ in keys) <= 8
    assert {("tail", "765432105083"), ("birthday", "05-17"), ("handle", "telegram:olena"), ("external", "A-17 legacy"), ("city", "київ"),
            ("email", "olena@example.org"), ("phone", "+380501234567"), ("home", "k:olena kiv")} <= set(keys)  # fmt: skip
    assert vocabulary(keys) == {"олена", "olena", "шевченко", "xevcenko"}


def test_partial_birth_dates() -> None:
    assert birthday("--05-17") == birthday("1980-05-17") == "05-17"
    assert birthday("1980-05") is birthday("1980") is birthday(None) is None


def test_a_word_has_a_variant_for_each_letter_left_out() -> None:
    assert variants("анна") == ["анна", "нна", "ана", "анн"]
