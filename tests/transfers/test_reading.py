"""Files as they come: encodings, separators, workbooks, and everything that can be wrong with a table."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from crm_api.transfers.imports.contact_merge import same_name
from crm_api.transfers.imports.contact_rows import ContactParser, take_apart
from crm_api.transfers.imports.contacts_kind import ContactsKind, Context
from crm_api.transfers.imports.kinds import Options
from crm_api.transfers.imports.reading import Table, Unreadable, find_shape, is_workbook
from crm_api.transfers.imports.values import country, date_order, international, language, partial_date
from crm_api.transfers.imports.workbook import to_csv

FIXTURES = Path(__file__).parent.parent / "fixtures" / "imports"
UKRAINIAN = "Ім'я;Прізвище;Місто\r\nОлена;Шевченко;Київ\r\nҐеник;Їжакевич;Єнакієве\r\nІван;Петренко;Львів\r\n"
RUSSIAN = "Имя,Фамилия,Город\nСергей,Иванов,Москва\nЭлла,Ырысова,Объездной\n"
WESTERN = "Prénom,Nom,Ville\nZoë,Müller,Zürich\nJosé,Núñez,Málaga\nFrançois,Lefèvre,Orléans\n"
POLISH = "Imię,Nazwisko\nŁukasz,Świątek\nJoanna,Żółć\n"
GEORGIAN = "სახელი\tგვარი\nნინო\tბერიძე\n"
ARABIC = "الاسم,المدينة\nليلى,عمان\nمحمد,القاهرة\n"


def read(folder: Path, content: bytes, **said: str) -> Table:
    """The table in a file with this content."""
    path = folder / "table"
    path.write_bytes(content)
    return Table(path, find_shape(path, **said))


@pytest.mark.parametrize(
    ("text", "encoding", "delimiter"),
    [
        *((UKRAINIAN, name, ";") for name in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1251", "koi8_u")),
        *((RUSSIAN, name, ",") for name in ("utf-8", "cp1251", "koi8_r", "cp866")),
        *((WESTERN, name, ",") for name in ("utf-8", "cp1252", "latin-1")),
        (POLISH, "cp1250", ","), (GEORGIAN, "utf-8", "\t"), (GEORGIAN, "utf-16", "\t"), (ARABIC, "utf-8", ","), (ARABIC, "cp1256", ","),
        ("a|b\n1|2\n", "ascii", "|"), ("name\nOlena\n", "ascii", ","),
        ("name;notes\nOlena;1,2,3\nIvan;4,5,6\n", "ascii", ";"),
    ],
)  # fmt: skip
def test_encoding_and_separator_are_found_out(tmp_path: Path, text: str, encoding: str, delimiter: str) -> None:
    table = read(tmp_path, text.encode(encoding))
    lines = [line.split(delimiter) for line in text.splitlines()]
    assert [table.headers, *(row for _, row in table.rows())] == lines
    assert table.shape.delimiter == delimiter


def test_what_is_said_is_not_guessed(tmp_path: Path) -> None:
    table = read(tmp_path, UKRAINIAN.encode("koi8_u"), encoding="koi8-u", delimiter=";")
    assert next(table.rows())[1][0] == "Олена"
    with pytest.raises(Unreadable) as refused:
        read(tmp_path, b"a,b\n1,2\n", encoding="klingon")
    assert refused.value.code == "encoding_unknown"


def test_rows_of_every_shape(tmp_path: Path) -> None:
    table = read(tmp_path, b'sep=;\n\nname;note;name\n"a;b\nc";x;1\n"He said ""hi""";;\nshort\n\nlast;1;2;3\n')
    assert table.headers == ["name", "note", "name [2]"]
    assert table.notices
    assert list(table.rows()) == [
        (1, ["a;b\nc", "x", "1"]), (2, ['He said "hi"', "", ""]), (3, ["short"]), (4, []), (5, ["last", "1", "2", "3"]),
    ]  # fmt: skip
    assert [number for number, _ in table.rows(after=3)] == [4, 5]
    assert list(read(tmp_path, b"a,b\r1,2\r3,4\r").rows()) == [(1, ["1", "2"]), (2, ["3", "4"])]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file_empty"),
        (b"  \n \n", "file_empty"),
        (b'a,b\n"never closed,1\n' + b"x,y\n" * 50_000, "cell_too_long"),
        (bytes(range(256)) * 40, "not_text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old excel", "format_unknown"),
        ((",".join(f"c{n}" for n in range(600)) + "\n").encode(), "too_many_columns"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "table"
    path.write_bytes(content)
    with pytest.raises(Unreadable) as refused:
        if not is_workbook(path):
            list(Table(path, find_shape(path)).rows())
    assert refused.value.code == code


async def test_a_workbook_is_read_as_it_looks(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Name", "Phone", "Born", "Paid", "Formula"])
    sheet.append(["Олена", 380501234567, date(1980, 5, 17), True, "=1+1"])
    sheet.append([])
    sheet.append(["Nino", 1.5, None, False])
    book.create_sheet("Other").append(["x"])
    path = tmp_path / "people"
    book.save(path)
    assert is_workbook(path)
    found = await to_csv(path, tmp_path / "out.csv", None)
    assert (found.name, found.sheets) == ("Sheet", ("Sheet", "Other"))
    rows = list(Table(tmp_path / "out.csv", find_shape(tmp_path / "out.csv")).rows())
    assert rows == [(1, ["Олена", "380501234567", "1980-05-17", "true"]), (2, []), (3, ["Nino", "1.5", "", "false"])]
    for content, sheet_name, code in (
        (path.read_bytes(), "Nope", "workbook_no_such_sheet"),
        (b"PK\x03\x04 not really", None, "workbook_broken"),
    ):
        wrong = tmp_path / "wrong"
        wrong.write_bytes(content)
        with pytest.raises(Unreadable) as refused:
            await to_csv(wrong, tmp_path / "out.csv", sheet_name)
        assert refused.value.code == code


# What headers and cells mean


def suggested(*headers: str, preset: str | None = None) -> dict[str, str | None]:
    return ContactsKind().suggest(headers, preset, Context(frozenset(), {}))


def test_headers_are_understood_in_many_languages() -> None:
    for headers in (
        ("given_name", "family_name", "email", "phone", "city"),
        ("First Name", "Last name*", "E-Mail Address", "Mobile phone:", "Town"),
        ("Ім’я", "Прізвище", "Електронна пошта", "Номер телефону", "Місто"),
        ("Имя", "Фамилия", "Эл. почта", "Телефон", "Город"),
        ("სახელი", "გვარი", "ელფოსტა", "ტელეფონი", "ქალაქი"),
        ("الاسم", "اسم العائلة", "البريد الإلكتروني", "الهاتف", "المدينة"),
        ("Prénom", "Nom", "Courriel", "Téléphone", "Ville"),
    ):
        assert list(suggested(*headers).values()) == ["given_name", "family_name", "email", "phone", "city"], headers
    assert suggested("E-mail", "E-mail 2", "City", "City [2]", "Nonsense") == {
        "E-mail": "email", "E-mail 2": "email", "City": "city", "City [2]": None, "Nonsense": None,
    }  # fmt: skip
    assert suggested("Name", "First name", "Last name")["Name"] is None
    assert suggested("ПІБ") == {"ПІБ": "full_name_family_first"}


@pytest.mark.parametrize("preset", ["google_forms", "donorbox", "benevity"])
def test_files_of_known_programs(tmp_path: Path, preset: Any) -> None:
    table = read(tmp_path, (FIXTURES / f"{preset}.csv").read_bytes())
    mapping = suggested(*table.headers, preset=preset)
    options = Options(preset=preset, default_country="UA")
    parse = ContactParser(table.headers, mapping, options, [])
    rows = [parse(number, cells) for number, cells in table.rows()]
    assert [row.errors for row in rows] == [[]] * len(rows)
    found = [
        {
            "name": [row.values.get("given_name"), row.values.get("family_name")],
            "emails": [one["address"] for one in row.values.get("emails", ())],
            "phones": [one["number"] for one in row.values.get("phones", ())],
            "city": next((one["city"] for one in row.values.get("addresses", ())), None),
            "external_ids": row.values.get("external_ids", []),
        }
        for row in rows
    ]
    assert found == json.loads((FIXTURES / f"{preset}.json").read_text())


def test_cells_as_people_write_them() -> None:
    assert [country(text) for text in ("UA", "ua", "Україна", "Грузия", "USA", "UK", "საქართველო", "الأردن")] == [
        "UA", "UA", "UA", "GE", "US", "GB", "GE", "JO",
    ]  # fmt: skip
    assert [language(text) for text in ("uk", "UK", "en_US", "Українська", "Georgian", "русский")] == [
        "uk", "uk", "en-US", "uk", "ka", "ru",
    ]  # fmt: skip
    dates = (
        "1980-05-17",
        "17.05.1980",
        "1980",
        "--05-17",
        "1980-05-17 00:00:00",
        "25/12/1980",
        "12/25/1980",
        "1980/5/7",
    )
    assert [partial_date(text, None) for text in dates] == [
        "1980-05-17", "1980-05-17", "1980", "--05-17", "1980-05-17", "1980-12-25", "1980-12-25", "1980-05-07",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="two ways"):
        partial_date("3/4/1980", None)
    assert (partial_date("3/4/1980", "dmy"), partial_date("3/4/1980", "mdy")) == ("1980-04-03", "1980-03-04")
    assert (date_order(["1/2/1980", "13/2/1980"]), date_order(["2/13/1980"]), date_order(["1/2/1980"])) == (
        "dmy",
        "mdy",
        None,
    )
    assert date_order(["13/2/1980", "2/13/1980"]) is None
    numbers = {"050 123 45 67": "+380501234567", "380501234567": "+380501234567", "0038 050 1234567": "+38 050 1234567"}
    for text, expected in numbers.items():
        assert international(text, "UA" if text.startswith("050") else None) == expected
    with pytest.raises(ValueError, match="country code"):
        international("1234567", None)


def test_whole_names_are_taken_apart() -> None:
    for name, first, expected in (
        ("Олена Ковальчук", False, ("Олена", None, "Ковальчук")),
        ("Шевченко Тарас Григорович", False, ("Тарас", "Григорович", "Шевченко")),
        ("Тарас Григорович Шевченко", False, ("Тарас", "Григорович", "Шевченко")),
        ("Шевченко Тарас", True, ("Тарас", None, "Шевченко")),
        ("Smith, John", False, ("John", None, "Smith")),
        ("Maria del Carmen Lopez", False, ("Maria del Carmen", None, "Lopez")),
        ("Cher", False, ("Cher", None, None)),
    ):
        found = take_apart(name, family_first=first)
        assert tuple(found.get(part) for part in ("given_name", "middle_name", "family_name")) == expected, name


def person(given: str = "", family: str = "", firm: str = "") -> dict[str, str]:
    return {"given_name": given, "family_name": family, "organization_name": firm}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (person("Олена", "Шевченко"), person("Olena", "Shevchenko"), True),
        (person("Олена", "Шевченко"), person("Шевченко", "Олена"), True),
        (person("Олена"), person("Олена", "Шевченко"), True),
        (person(), person("Олена", "Шевченко"), True),
        (person("Іван", "Шевченко"), person("Олена", "Шевченко"), False),
        (person("", "Шевченко"), person("Олена", "Шевченко"), False),
        (person("Олена", "Коваль"), person("Олена", "Шевченко"), False),
        (person(firm="Red Cross"), person(firm="red cross"), True),
        (person(firm="Red Cross"), person(firm="Oxfam"), False),
        (person(firm="Red Cross"), person("Олена", "Шевченко"), False),
    ],
)
def test_a_family_is_never_taken_for_one_person(one: dict[str, str], other: dict[str, str], same: bool) -> None:
    assert same_name(one, other) is same
    assert same_name(other, one) is same


def test_a_hostile_cell_is_an_error_of_its_row() -> None:
    parse = ContactParser(["given_name", "email"], {"given_name": "given_name", "email": "email"}, Options(), [])
    for cell in ("\x00", "a\ufffdb"):
        (error,) = parse(1, [cell, ""]).errors
        assert error.column == "given_name"
    row = parse(1, ["x" * 5000, "a@b@c"])
    assert {error.column for error in row.errors} == {"given_name", "email"}
    assert not any("xxx" in error.detail or "a@b" in error.detail for error in row.errors), "no value is repeated"
    assert parse(2, ["", " "]).blank
