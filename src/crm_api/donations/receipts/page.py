"""The public check of a receipt: whether it holds, when it was issued and by whom. Nothing about donor or amount."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from crm_api.donations.receipts import statements
from crm_api.donations.receipts.numbers import read_code
from crm_api.donations.receipts.rendering.words import RTL, date_text, language_of
from crm_api.kit.db import Actor, Database, Row, Tenant

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_ACTOR = Actor("public", "receipt_check")
_UNKNOWN: dict[str, Any] = {"status": "unknown", "issued_on": None, "organization": None, "specimen": False}
_WORDS: Mapping[str, tuple[str, str, str, str, str, str]] = {
    "en": ("Check of a receipt", "This receipt is valid.", "This receipt is void.", "There is no such receipt.",
           "Issued on {date} by {organization}.", "It is a specimen, made to try the system out."),
    "uk": ("Перевірка квитанції", "Квитанція дійсна.", "Квитанцію анульовано.", "Такої квитанції немає.",
           "Видано {date}, {organization}.", "Це зразок для випробування системи."),
    "ka": ("ქვითრის შემოწმება", "ქვითარი ძალაშია.", "ქვითარი გაუქმებულია.", "ასეთი ქვითარი არ არსებობს.",
           "გაცემულია {date}, {organization}.", "ეს არის ნიმუში სისტემის გამოსაცდელად."),
    "ru": ("Проверка квитанции", "Квитанция действительна.", "Квитанция аннулирована.", "Такой квитанции нет.",
           "Выдана {date}, {organization}.", "Это образец для проверки системы."),
    "ar": ("التحقق من إيصال", "هذا الإيصال صالح.", "هذا الإيصال ملغى.", "لا يوجد إيصال كهذا.",
           "صدر في {date} عن {organization}.", "هذه عينة لتجربة النظام."),
}  # fmt: skip
_STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#1c1c1c;"
    "background:#fff}strong{display:block;font-size:1.4rem;padding:.8rem 1rem;border-radius:.4rem;background:#eee}"
    ".valid{background:#dff0e4}.void{background:#f6dcdc}@media(prefers-color-scheme:dark){body{background:#1c1c1c;"
    "color:#eee}strong{background:#333}.valid{background:#1d4a2d}.void{background:#5b2323}}"
)


async def check(database: Database, text: str) -> tuple[dict[str, Any], str]:
    """What the public learns of a code, and the organization's language. What is no code is an unknown one."""
    read = read_code(text)
    if read is None:
        return _UNKNOWN, "en"
    organization_id, code = read
    session = database.read(Tenant(organization_id, "live", "USD", "UTC", "en"), _ACTOR)
    row: Row | None = await session.fetch_row(statements.CHECK, code=code)
    if row is None:
        return _UNKNOWN, "en"
    status = "valid" if row["status"] == "active" else "void"
    found = {
        "status": status,
        "issued_on": row["issued_on"],
        "organization": row["name"],
        "specimen": row["specimen"],
    }
    return found, row["language"]


def render(found: Mapping[str, Any], accepted: str, organization_language: str) -> bytes:
    """The page, in the first language of the browser that it can be written in, else in the organization's."""
    tags = [part.partition(";")[0] for part in accepted.split(",")[:10]]
    known = [tag for tag in tags if tag.strip().lower().partition("-")[0] in _WORDS]
    language = language_of(*known, organization_language)
    title, valid, void, unknown, issued, specimen = _WORDS[language]
    said = {"valid": valid, "void": void, "unknown": unknown}[found["status"]]
    body = [f"<h1>{escape(title)}</h1>", f'<strong class="{found["status"]}">{escape(said)}</strong>']
    if found["organization"] is not None:
        words = {"date": escape(date_text(found["issued_on"], language))}
        words["organization"] = f"<bdi>{escape(found['organization'])}</bdi>"
        body.append(f"<p>{issued.format(**words)}</p>")
    if found["specimen"]:
        body.append(f"<p>{escape(specimen)}</p>")
    direction = "rtl" if language in RTL else "ltr"
    return (
        f'<!doctype html><html lang="{language}" dir="{direction}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    ).encode()
