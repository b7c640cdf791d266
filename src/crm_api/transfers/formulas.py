"""Cells that a spreadsheet would take for a formula, written so that it does not, and read back as they were.

A cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break can run something when somebody opens the file
(CSV injection), also behind apostrophes. Such a cell gets one apostrophe in front when it is written; reading takes one
away from whatever would have been given one. So a file that went out comes back as it was.
"""

from __future__ import annotations

import re

_RISKY = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # the full-width forms too: some programs fold them
_GUARDED = re.compile(r"''*[=+\-@\t\r\n＝＋－＠]")


def guard(text: str) -> str:
    """The text as a cell of a CSV file."""
    return "'" + text if _RISKY.match(text) else text


def unguard(text: str) -> str:
    """The text that a cell of a CSV file stands for."""
    return text[1:] if text[:1] == "'" and _GUARDED.match(text) else text
