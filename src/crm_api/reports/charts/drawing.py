"""Drawing a specification as SVG or PNG.

Vega runs in the renderer's own JavaScript engine, inside the process and without a network. It and the fonts are loaded
with the first chart (about three seconds, some 90 MB); a chart then takes a few tenths of a second. One thread draws,
so that charts never take the processor from requests together; who comes when many wait is sent away for a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any, Final, Literal

from crm_api.kit.problems import Unavailable
from crm_api.kit.reply import dumps

Form = Literal["image/svg+xml", "image/png"]
MOST_WAITING: Final = 20
_SCALE: Final = 2.0
"""Pixels of a PNG for each of the SVG, so that it is sharp on a dense screen."""
_waiting: set[object] = set()


@lru_cache(maxsize=1)
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="charts")


@lru_cache(maxsize=1)
def _engine() -> Any:
    import vl_convert

    opened = contextlib.ExitStack()  # the fonts stay for the life of the process
    fonts = opened.enter_context(as_file(files("crm_api.donations.receipts.rendering") / "fonts"))
    vl_convert.register_font_directory(str(fonts))
    return vl_convert


def render(spec: dict[str, Any], form: Form) -> bytes:
    """The chart's bytes. Blocks: call it in a thread, or use `draw`."""
    text = dumps(spec).decode()
    if form == "image/png":
        content: bytes = _engine().vegalite_to_png(text, scale=_SCALE, allowed_base_urls=[])
        return content
    drawn: str = _engine().vegalite_to_svg(text, allowed_base_urls=[])
    return drawn.encode()


async def draw(spec: dict[str, Any], form: Form) -> bytes:
    """The chart's bytes; 503 while too many others wait."""
    if len(_waiting) >= MOST_WAITING:
        raise Unavailable("Many charts are being drawn. Ask again in a moment, or ask for JSON.", retry_after=5)
    ticket = object()
    _waiting.add(ticket)
    try:
        return await asyncio.get_running_loop().run_in_executor(_thread(), render, spec, form)
    finally:
        _waiting.discard(ticket)
