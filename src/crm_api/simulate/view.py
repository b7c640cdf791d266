"""Showing a chain of steps: live in a terminal, a line per finished step elsewhere."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

State = Literal["running", "done", "note", "bad"]


@dataclass(slots=True)
class Step:
    """One link of the chain."""

    title: str
    lines: list[str] = field(default_factory=list)
    state: State = "running"
    milliseconds: float | None = None


class View(Protocol):
    """Where the chain is shown."""

    def __enter__(self) -> View: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def say(self, line: str, *, strong: bool = False) -> None:
        """A line outside the chain."""

    def begin(self, title: str) -> Step:
        """A step has begun."""

    def finish(self, step: Step, *lines: str, state: State = "done", milliseconds: float | None = None) -> None:
        """A step is over."""


def make_view(stream: TextIO | None = None) -> View:
    """The view that fits where the output goes."""
    chosen = stream or sys.stdout
    with suppress(AttributeError, ValueError):
        chosen.reconfigure(errors="replace")  # type: ignore[union-attr]
    return Terminal(chosen) if chosen.isatty() else Plain(chosen)


class Plain:
    """A line per finished step, without any control codes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> Plain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def say(self, line: str, *, strong: bool = False) -> None:
        """A line outside the chain."""
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def begin(self, title: str) -> Step:
        """Nothing is shown before a step is over."""
        return Step(title)

    def finish(self, step: Step, *lines: str, state: State = "done", milliseconds: float | None = None) -> None:
        """One line, and one more for each further one."""
        time = "" if milliseconds is None else f"{milliseconds:.0f} ms"
        first, *more = lines or ("",)
        mark = {"done": "ok", "note": "--", "bad": "!!"}.get(state, "")
        self.say(f"{mark:<3}{time:>8}  {step.title:<11}  {first}".rstrip())
        for line in more:
            self.say(f"{'':26}{line}")


_MARKS = {"done": ("✓", "green"), "note": ("•", "yellow"), "bad": ("✗", "red")}


class Terminal:
    """The whole chain, redrawn as it grows."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream, highlight=False)
        self._steps: list[Step] = []
        self._live: Live | None = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
            self._live.stop()
            self._live = None
            self._steps = []

    def say(self, line: str, *, strong: bool = False) -> None:
        """A line outside the chain, which it ends."""
        self._close()
        self._console.print(line, markup=False, style="bold" if strong else "", soft_wrap=True)

    def begin(self, title: str) -> Step:
        """Add a step with a spinner."""
        from rich.live import Live

        step = Step(title)
        self._steps.append(step)
        if self._live is None:
            self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=25)
            self._live.start()
        self._live.refresh()
        return step

    def finish(self, step: Step, *lines: str, state: State = "done", milliseconds: float | None = None) -> None:
        """Mark a step and show what it brought."""
        step.lines, step.state, step.milliseconds = list(lines), state, milliseconds
        if self._live is not None:
            self._live.refresh()

    def _table(self) -> Table:
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2, 0, 0))
        for justify in ("left", "left", "left", "right"):
            table.add_column(justify=justify, overflow="fold", no_wrap=justify == "right")
        for step in self._steps:
            mark: Any = Spinner("dots", style="cyan")
            if step.state in _MARKS:
                glyph, color = _MARKS[step.state]
                mark = Text(glyph, style=color)
            time = "" if step.milliseconds is None else f"{step.milliseconds:.0f} ms"
            text = Text()
            for number, line in enumerate(step.lines):
                text.append(("\n" if number else "") + line, style="dim" if number else "")
            style = "dim" if step.state == "running" else "bold"
            table.add_row(mark, Text(step.title, style=style), text, Text(time, style="cyan"))
        return table
