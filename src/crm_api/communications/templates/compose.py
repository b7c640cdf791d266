"""Builds the bundled letters: one source per letter and language becomes a subject, a text part and an HTML part.

Writing the words once keeps the two parts of a letter from drifting apart, and lets every variable be isolated for
bidirectional text without the authors thinking of it. A source has sections (``== subject ==``, ``== preview ==``,
``== body ==``); ``[[name]]`` on a line of its own brings in a section of the language's ``parts.liquid``. The body is
ordinary Liquid, with blank lines between blocks:

* ``| Label: variable`` lines become rows of a small table, left out where the variable is missing;
* ``-> Label: variable`` becomes a button (in the text part, the address);
* everything else is a paragraph.

The result is plain Liquid, so an organization that wants its own letter starts from a complete one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from importlib.resources import files

_SECTION = re.compile(r"^== (\w+) ==$", re.MULTILINE)
_LIQUID = re.compile(r"({{.*?}}|{%.*?%})", re.DOTALL)
_ONLY_TAGS = re.compile(r"(\s*{%(?:(?!%}).)*%})+\s*")
_ROW = re.compile(r"\| (?P<label>.+): (?P<variable>[\w.]+)")
_BUTTON = re.compile(r"-> (?P<label>.+): (?P<variable>[\w.]+)")
_LINKS = {
    "{{ organization.website }}": "{{ organization.website }}",
    "{{ organization.reply_email }}": "mailto:{{ organization.reply_email }}",
}
"""Variables that are links in HTML, and in text are kept free of invisible characters."""

_PARAGRAPH = '<p style="margin:0 0 18px;">{}</p>'
_TABLE = (
    '<table role="presentation" class="box" width="100%" cellpadding="0" cellspacing="0" border="0" '
    'style="margin:0 0 18px;background-color:#f3f6f4;border-radius:8px;"><tr><td style="padding:12px 18px;">'
    '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">{}</table></td></tr></table>'
)
_CELLS = (
    '{{% if {variable} %}}<tr><td class="quiet" align="{align}" valign="top" width="38%" '
    'style="padding:5px 0;color:#56635c;font-size:15px;line-height:22px;">{label}</td>'
    '<td align="{align}" valign="top" style="padding:5px 0;padding-{align}:12px;font-size:15px;line-height:22px;'
    'font-weight:bold;"><bdi>{{{{ {variable} }}}}</bdi></td></tr>{{% endif %}}'
)
_BUTTON_HTML = (
    '<table role="presentation" cellpadding="0" cellspacing="0" border="0" style="margin:6px 0 24px;"><tr>'
    '<td class="button" align="center" bgcolor="#1f6f50" style="border-radius:8px;background-color:#1f6f50;">'
    '<a href="{{{{ {variable} }}}}" target="_blank" style="display:inline-block;padding:13px 28px;color:#ffffff;'
    'font-size:16px;line-height:22px;font-weight:bold;text-decoration:none;">{label}</a></td></tr></table>'
)


@lru_cache(maxsize=64)
def _read(name: str) -> str:
    return (files(__package__) / "defaults" / name).read_text(encoding="utf-8")


def _sections(source: str) -> dict[str, str]:
    pieces = _SECTION.split(source)
    return {name: body.strip("\n") for name, body in zip(pieces[1::2], pieces[2::2], strict=True)}


def compose(kind: str, language: str, *, rtl: bool) -> tuple[str, str, str]:
    """Subject, text and HTML source of a bundled letter."""
    letter = _sections(_read(f"{language}/{kind}.liquid"))
    parts = _sections(_read(f"{language}/parts.liquid"))
    body = letter["body"]
    for name, section in parts.items():
        body = body.replace(f"[[{name}]]", section)
    blocks = [block.strip("\n") for block in re.split(r"\n\s*\n", body)]
    footer = parts["footer"]
    text = "\n\n".join([_text(block, rtl) for block in blocks] + ["-- \n" + _text(footer, rtl)]) + "\n"
    align = "right" if rtl else "left"
    html = _read("layout.html.liquid")
    for name, value in {
        "lang": language,
        "dir": "rtl" if rtl else "ltr",
        "align": align,
        "subject": _escaped(letter["subject"], isolate=False),
        "preview": _escaped(letter["preview"], isolate=True),
        "body": "\n".join(_html(block, align) for block in blocks),
        "footer": _escaped(footer, isolate=True),
    }.items():
        html = html.replace(f"[[{name}]]", value)
    return letter["subject"], text, html


def _text(block: str, rtl: bool) -> str:
    """One block of the text part."""
    rows = _ROW.findall(block)
    if rows:
        block = "".join(
            f"{{% if {variable} %}}{label}: {{{{ {variable} }}}}\n{{% endif %}}" for label, variable in rows
        )
    button = _BUTTON.fullmatch(block)
    if button:
        block = f"{{{{ {button['variable']} }}}}"
    return _LIQUID.sub(lambda found: _isolated(found[0]), block) if rtl else block


def _isolated(piece: str) -> str:
    """A variable in right-to-left text, between U+2068 and U+2069. Not an address: programs that make links of
    addresses would take the invisible character for a part of it."""
    if piece.startswith("{%") or piece in _LINKS or piece == "{{ retry_url }}":
        return piece
    return f"\u2068{piece}\u2069"


def _html(block: str, align: str) -> str:
    """One block of the HTML part."""
    if _ONLY_TAGS.fullmatch(block):
        return block
    rows = _ROW.findall(block)
    if rows:
        cells = (_CELLS.format(label=escape(label), variable=variable, align=align) for label, variable in rows)
        return _TABLE.format("".join(cells))
    button = _BUTTON.fullmatch(block)
    if button:
        return _BUTTON_HTML.format(label=escape(button["label"]), variable=button["variable"])
    return _PARAGRAPH.format(_escaped(block, isolate=True))


def _escaped(text: str, *, isolate: bool) -> str:
    """Words escaped for HTML, Liquid left alone; variables isolated, so that their direction stays their own."""
    pieces = []
    for piece in _LIQUID.split(text):
        if piece in _LINKS:
            pieces.append(f'<a href="{_LINKS[piece]}" style="color:inherit;"><bdi>{piece}</bdi></a>')
        elif piece.startswith("{{"):
            pieces.append(f"<bdi>{piece}</bdi>" if isolate else piece)
        elif piece.startswith("{%"):
            pieces.append(piece)
        else:
            pieces.append(escape(piece, quote=False).replace("\n", "<br>\n"))
    return "".join(pieces)
