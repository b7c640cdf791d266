"""Cells that a spreadsheet would take for a formula, written so that it does not, and read back as they were.

A cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break can run something when somebody opens the file
(CSV injection), also behind apostrophes. So can what follows a semicolon, a tab or a line break within a cell: programs
of countries that write numbers with a comma take the semicolon for the separator, and then our quotation marks do not
hold a cell together. In each such place one apostrophe is written; reading takes one away from wherever one would have
been put. So a file that went out comes back as it was.
"""

from __future__ import annotations

import re

_BEGINS = r"(^|[;\t\r\n])"
_RISKY = r"(?='*[=+\-@\t\r\n＝＋－＠])"  # the full-width forms too: some programs fold them
_PLACE = re.compile(_BEGINS + _RISKY)
_GUARDED = re.compile(f"{_BEGINS}'{_RISKY}")
_FIRST = frozenset("'=+-@\t\r\n＝＋－＠")


def guard(text: str) -> str:
    """The text as a cell of a CSV file."""
    if text[:1] not in _FIRST and ";" not in text and "\n" not in text and "\t" not in text and "\r" not in text:
        return text  # nearly every cell: a file has millions
    return _PLACE.sub(r"\1'", text)


def unguard(text: str) -> str:
    """The text that a cell of a CSV file stands for."""
    return _GUARDED.sub(r"\1", text) if "'" in text else text
