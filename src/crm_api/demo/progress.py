"""How far the loading is: a bar in a terminal, plain lines elsewhere; on stderr, since stdout is for results."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class Progress:
    """Steps with a number of things each."""

    def __init__(self, total: int, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        """`quiet`: no lines where there is no terminal."""
        self._quiet = quiet
        self._stream = stream or sys.stderr
        self._total = total
        self._bar: Bar | None = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if self._stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description:<18}"),
                BarColumn(bar_width=36),
                TaskProgressColumn(),
                console=Console(file=self._stream),
                transient=True,
            )
            self._task = self._bar.add_task("", total=self._total)
            self._bar.start()
        return self

    def step(self, name: str) -> None:
        """Say what comes now."""
        if self._bar is not None:
            self._bar.update(self._task, description=name)
        elif not self._quiet:
            self.say(f"  {name} …")

    def advance(self, count: int) -> None:
        """So many more are done."""
        if self._bar is not None:
            self._bar.update(self._task, advance=count)

    def say(self, line: str) -> None:
        """A line that stays."""
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
