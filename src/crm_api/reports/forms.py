"""The forms of a report's answer: JSON, CSV, and as a chart SVG and PNG; which one is made says the `Accept` header."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from crm_api.kit.db import ReadSession
from crm_api.kit.problems import NotAcceptable
from crm_api.kit.reply import Response, media, reply
from crm_api.reports.charts.drawing import draw
from crm_api.reports.charts.reports import spec_of
from crm_api.reports.negotiation import chosen
from crm_api.reports.report import Report, as_csv

JSON: Final = "application/json"
OFFERS: Final = (JSON, "text/csv", "image/svg+xml", "image/png")
VARY: Final = {"Vary": "Accept"}
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "image/svg+xml": {"schema": {"type": "string"}},
            "image/png": {"schema": {"type": "string", "contentMediaType": "image/png"}},
        },
        "description": "The report, by Accept",
    },
    406: {},
}
"""What the document says of every report's answers."""
_HARMLESS: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""A picture that a browser opens by itself runs and loads nothing."""


async def answer(
    session: ReadSession,
    accept: str | None,
    name: str,
    found: Mapping[str, Any],
    table: Callable[[Mapping[str, Any]], Report],
) -> Response:
    """The answer of the report of that name in the form that was asked for. 406 where there is no such form, 503 while
    too many charts wait to be drawn."""
    form = wanted(accept)
    if form == JSON:
        return reply(dict(found), headers=VARY)
    if form == "text/csv":
        saved = {**VARY, "Content-Disposition": f'attachment; filename="{name}.csv"'}
        return media(as_csv(table(found)), form, saved)
    spec = spec_of(name, found, session.tenant.language)
    content = await draw(spec, "image/png" if form == "image/png" else "image/svg+xml")
    ending = form.partition("/")[2].removesuffix("+xml")
    shown = {"Content-Disposition": f'inline; filename="{name}.{ending}"', "Content-Security-Policy": _HARMLESS}
    return media(content, form, {**VARY, **shown})


def wanted(accept: str | None) -> str:
    """The form that an `Accept` header asks for, or 406."""
    form = chosen(accept, OFFERS)
    if form is None:
        raise NotAcceptable(f"This can be had as {', '.join(OFFERS)}. Name one of them in Accept, or leave it out.")
    return form
