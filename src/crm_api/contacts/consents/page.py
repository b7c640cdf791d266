"""The page behind an unsubscribe link: a few words and up to three buttons, in the person's language.

No scripts, nothing loaded from anywhere, no name and no address on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from crm_api.contacts.consents.unsubscribe import Choices

POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
_RTL = frozenset({"ar"})
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Letters from {organization}",
        "question": "Which letters should stop?",
        "list": "Stop “{name}”",
        "purpose": "Stop all letters of this kind",
        "all": "Stop all letters, news and appeals",
        "done": "Done: these letters will not come any more.",
        "left": "Stopped",
        "record": "Letters about your own gifts, such as receipts, still come.",
    },
    "uk": {
        "title": "Листи від «{organization}»",
        "question": "Які листи припинити?",
        "list": "Припинити «{name}»",
        "purpose": "Припинити всі листи цього виду",
        "all": "Припинити всі листи, новини та звернення",
        "done": "Готово: ці листи більше не надходитимуть.",
        "left": "Припинено",
        "record": "Листи про ваші власні внески, як-от підтвердження, надходитимуть і далі.",
    },
    "ka": {
        "title": "წერილები: {organization}",
        "question": "რომელი წერილები შევწყვიტოთ?",
        "list": "შევწყვიტოთ „{name}“",
        "purpose": "შევწყვიტოთ ამ სახის ყველა წერილი",
        "all": "შევწყვიტოთ ყველა წერილი, სიახლე და მოწოდება",
        "done": "შესრულდა: ეს წერილები აღარ მოგივათ.",
        "left": "შეწყვეტილია",
        "record": "წერილები თქვენი შემოწირულობების შესახებ, მაგალითად დადასტურებები, კვლავ მოგივათ.",
    },
    "ru": {
        "title": "Письма от «{organization}»",
        "question": "Какие письма прекратить?",
        "list": "Прекратить «{name}»",
        "purpose": "Прекратить все письма этого вида",
        "all": "Прекратить все письма, новости и обращения",
        "done": "Готово: эти письма больше не придут.",
        "left": "Прекращено",
        "record": "Письма о ваших собственных пожертвованиях, например подтверждения, будут приходить и дальше.",
    },
    "ar": {
        "title": "رسائل من {organization}",
        "question": "أي الرسائل تريد إيقافها؟",
        "list": "إيقاف «{name}»",
        "purpose": "إيقاف كل الرسائل من هذا النوع",
        "all": "إيقاف كل الرسائل والأخبار والنداءات",
        "done": "تم: لن تصلك هذه الرسائل بعد الآن.",
        "left": "متوقفة",
        "record": "تبقى الرسائل المتعلقة بتبرعاتك، مثل الإيصالات، تصلك.",
    },
}
_STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#1c1c1c;"
    "background:#fff}button{font:inherit;display:block;width:100%;margin:.5rem 0;padding:.7rem 1rem;border:1px solid "
    "#555;border-radius:.4rem;background:#f5f5f5;color:inherit;text-align:start;cursor:pointer}"
    "@media(prefers-color-scheme:dark){body{background:#1c1c1c;color:#eee}button{background:#333}}"
)


def language_of(*tags: str | None) -> str:
    """The first of the languages that the page knows, by the primary subtag; else English."""
    for tag in tags:
        primary = (tag or "").lower().partition("-")[0]
        if primary in _WORDS:
            return primary
    return "en"


def render(choices: Choices, organization_language: str, *, done: bool) -> bytes:
    """The page. Its form posts to the address it was opened at."""
    language = language_of(choices.language, organization_language)
    words = _WORDS[language]
    direction = "rtl" if language in _RTL else "ltr"
    title = escape(words["title"].format(organization=choices.organization_name))
    body = [f"<h1>{title}</h1>"]
    if done:
        body.append(f'<p role="status"><strong>{escape(words["done"])}</strong></p>')
    offered = ["list", "purpose", "all"] if choices.list_name else ["purpose", "all"]
    body.append(f"<p>{escape(words['question'])}</p>" if {"all", *offered} - choices.left else "")
    for choice in offered:
        label = escape(words[choice].format(name=choices.list_name or ""))
        if choice in choices.left:
            body.append(f"<p>{label} — {escape(words['left'])}</p>")
        else:
            body.append(f'<form method="post"><button name="choice" value="{choice}">{label}</button></form>')
    body.append(f"<p><small>{escape(words['record'])}</small></p>")
    return (
        f'<!doctype html><html lang="{language}" dir="{direction}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    ).encode()
