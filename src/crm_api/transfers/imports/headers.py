"""Which of our fields a column's header means, in the languages of those who send such files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from crm_api.kit.names import fold

_SPLIT = re.compile(r"[^\w']+|_+", re.UNICODE)

# Folded words of a header, as people and programs write them; what is named like our own field needs no line here.
CONTACT_HEADERS: Mapping[str, tuple[str, ...]] = {
    "external_id": ("external id", "externalid", "legacy id", "old id"),
    "kind": ("contact type", "record type", "тип контакту", "тип контакта", "тип"),
    "given_name": (
        "first name", "firstname", "given name", "forename", "first", "donor first name", "ім'я", "имя", "імя",
        "სახელი", "الاسم الأول", "الاسم الاول", "الاسم", "prénom", "nombre", "vorname", "imię", "nome", "voornaam",
    ),
    "middle_name": ("middle name", "patronymic", "по батькові", "по-батькові", "отчество", "მამის სახელი", "اسم الأب"),
    "family_name": (
        "last name", "lastname", "surname", "family name", "last", "donor last name", "прізвище", "фамилия", "გვარი",
        "اسم العائلة", "اللقب", "الكنية", "nom", "nom de famille", "apellido", "apellidos", "nachname", "nazwisko",
    ),
    "full_name": (
        "name", "full name", "fullname", "your name", "donor name", "contact name", "повне ім'я", "полное имя",
        "ім'я та прізвище", "имя и фамилия", "ваше ім'я", "სახელი და გვარი", "სახელი გვარი", "الاسم الكامل",
        "nom complet", "nombre completo", "imię i nazwisko", "vollständiger name",
    ),
    "full_name_family_first": ("піб", "п.і.б.", "піп", "фио", "ф.и.о.", "прізвище та ім'я", "фамилия и имя",
                               "прізвище ім'я по батькові", "фамилия имя отчество", "last name, first name"),
    "organization_name": (
        "organization", "organisation", "organization name", "company", "company name", "employer", "організація",
        "компанія", "організація", "организация", "компания", "ორგანიზაცია", "კომპანია", "المنظمة", "الشركة",
        "entreprise", "empresa", "firma", "donating company",
    ),
    "email": (
        "e-mail", "email", "email address", "e-mail address", "mail", "donor email", "електронна пошта", "ел. пошта",
        "ел. адреса", "емейл", "імейл",
        "електронна адреса", "пошта", "эл. почта", "электронная почта", "почта", "имейл", "ელფოსტა", "ელ. ფოსტა",
        "ელექტრონული ფოსტა", "البريد الإلكتروني", "البريد الالكتروني", "courriel", "correo electrónico", "correo",
    ),
    "phone": (
        "phone", "phone number", "telephone", "tel", "mobile", "mobile phone", "cell", "cell phone", "телефон",
        "номер телефону", "номер телефона", "мобільний", "мобильный", "ტელეფონი", "ტელეფონის ნომერი", "მობილური",
        "الهاتف", "رقم الهاتف", "الجوال", "téléphone", "teléfono", "telefon", "handy",
    ),
    "birth_date": ("birth date", "birthdate", "birthday", "date of birth", "dob", "дата народження", "день народження",
                   "дата рождения", "день рождения", "დაბადების თარიღი", "تاريخ الميلاد", "date de naissance"),
    "gender": ("gender", "sex", "стать", "пол", "სქესი", "الجنس"),
    "line1": ("address", "street", "street address", "address line 1", "address 1", "address1", "адреса", "адрес",
              "вулиця", "улица", "მისამართი", "العنوان", "adresse", "dirección"),
    "line2": ("address line 2", "address 2", "address2", "apartment", "квартира"),
    "city": ("city", "town", "місто", "город", "населений пункт", "ქალაქი", "المدينة", "ville", "ciudad", "stadt",
             "miasto"),
    "region": ("region", "state", "province", "county", "oblast", "state/province", "область", "регіон", "регион",
               "რეგიონი", "المحافظة"),
    "postal_code": ("postal code", "postcode", "zip", "zip code", "zip/postal code", "індекс", "поштовий індекс",
                    "индекс", "почтовый индекс", "საფოსტო ინდექსი", "الرمز البريدي", "code postal", "plz"),
    "country": ("country", "країна", "страна", "ქვეყანა", "البلد", "الدولة", "pays", "país", "land", "kraj"),
    "language": ("language", "preferred language", "мова", "язык", "ენა", "اللغة", "langue", "idioma", "sprache"),
    "tags": ("tags", "tag", "labels", "groups", "мітки", "теги", "метки", "групи", "ტეგები", "الوسوم"),
    "roles": ("roles", "role", "ролі", "роль", "роли", "როლი", "الدور"),
    "do_not_contact": ("do not contact", "no contact", "не турбувати", "не беспокоить"),
}  # fmt: skip

PRESETS: Mapping[str, Mapping[str, str | None]] = {
    "google_forms": {
        "timestamp": None, "позначка часу": None, "отметка времени": None, "email address": "email",
        "username": "email",
        "електронна адреса": "email", "адрес электронной почты": "email",
    },
    "donorbox": {
        "name": None, "donor name": None, "first name": "given_name", "last name": "family_name",
        "donor first name": "given_name", "donor last name": "family_name", "donor's first name": "given_name",
        "donor's last name": "family_name", "donor email": "email", "email": "email", "phone": "phone",
        "address": "line1", "address 2": "line2", "address line 2": "line2", "city": "city",
        "state": "region", "state/province": "region", "postal code": "postal_code", "zip code": "postal_code",
        "country": "country", "employer": None, "occupation": None, "donating company": "organization_name",
        "donor id": "external_id:donorbox", "id": None, "campaign": None, "amount": None, "currency": None,
    },
    "benevity": {
        "nonprofit name": None, "nonprofit id": None, "disbursement id": None, "disbursement date": None,
        "company name": None, "company": None, "project name": None, "project id": None, "donation date": None,
        "donor first name": "given_name", "donor last name": "family_name", "email": "email", "address": "line1",
        "city": "city", "state/province": "region", "postal code": "postal_code", "currency": None,
        "total donation to be acknowledged": None, "match amount": None, "transaction id": None,
    },
}  # fmt: skip
"""Headers of known programs: what each means there. Headers that a preset does not name are understood as elsewhere."""
_SIGNS: Mapping[str, tuple[frozenset[str], ...]] = {
    "google_forms": tuple(frozenset({one}) for one in ("timestamp", "позначка часу", "отметка времени")),
    "donorbox": (frozenset({"donor's first name", "donor email"}), frozenset({"donor email", "donor id", "campaign"})),
    "benevity": (frozenset({"disbursement id", "donor first name"}), frozenset({"nonprofit id", "disbursement id"})),
}
"""Headers that only this program's files have together."""
_ABSENT = frozenset({"not shared by donor", "n/a", "anonymous"})
ABSENT: Mapping[str, frozenset[str]] = {"benevity": _ABSENT, "donorbox": _ABSENT, "google_forms": frozenset()}
"""Cells that stand for nothing in a program's reports."""


def plain_header(header: str) -> str:
    """A header in the form that headers are compared in: folded, without decoration and the number of a repeat."""
    text = fold(re.sub(r"\s*\[\d+\]$", "", header)).replace("’", "'").replace("ʼ", "'").replace("`", "'")
    return re.sub(r"\s*[*:?]+$", "", text).strip()


def preset_of(headers: Sequence[str]) -> str | None:
    """The program that a file comes from, by its headers; Google's forms begin with the time."""
    plain = [plain_header(header) for header in headers]
    for preset, signs in _SIGNS.items():
        there = set(plain[:1] if preset == "google_forms" else plain)
        if any(sign <= there for sign in signs):
            return preset
    return None


def joined(text: str) -> str:
    """The words of a header with single spaces between them."""
    return " ".join(part for part in _SPLIT.split(text) if part)


_BY_HEADER = {plain_header(word): target for target, known in CONTACT_HEADERS.items() for word in known}
_BY_HEADER |= {joined(word): target for word, target in list(_BY_HEADER.items())}


def known_target(header: str, targets: Sequence[str], preset: str | None) -> str | None:
    """The target a header names or means; None where it means nothing we know."""
    exact = header.strip()
    if exact in targets:
        return exact
    plain = plain_header(header)
    if preset is not None and plain in PRESETS[preset]:
        return PRESETS[preset][plain]
    for form in (plain, joined(plain)):
        under = form.replace(" ", "_")
        found = next((one for one in (form, under) if one in targets), None) or _BY_HEADER.get(form)
        if found is not None:
            return found
    numbered = re.fullmatch(r"(.+?)[ _]?[2-9]", joined(plain))
    if numbered and (found := _BY_HEADER.get(numbered[1])) in {"email", "phone"}:
        return found
    return None
