"""Progress of replays: in a terminal or a notebook, and nothing in pipes and files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from html import escape
from importlib import import_module
from types import TracebackType
from typing import Any, Protocol

from floorline._extras import needs
from floorline.replay.remaining_time import RemainingTime, in_words

with needs("bench", "showing the progress of replays"):
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.text import Text


_LEAST_BOUND = 10.0
"""Seconds from which a lower bound of the remaining time is shown: less says nothing."""


class _Display(Protocol):
    """Shows one or more lines of progress."""

    def begin(self, title: str, total: int, left: Callable[[], str]) -> None:
        """Show a further line, of which none is done; ``left`` says how long it still takes."""

    def done(self, count: int) -> None:
        """Show so many of the latest line as done."""

    def close(self) -> None:
        """Take down what only the present needs."""


class ReplayProgress:
    """Shows how many replays have finished and how long the others will take.

    Use it as a context manager. In a terminal it shows bars, in a notebook a bar below the cell;
    elsewhere it shows nothing.

    Parameters
    ----------
    keep
        Whether bars stay in the terminal when all is done.
    screen
        Where a terminal is looked for: the standard error by default.
    clock
        Gives seconds.

    Examples
    --------
    >>> with ReplayProgress() as progress:
    ...     progress.begin("replaying simulated", ["random", "oracle"], jobs=1)
    ...     progress.finished(0, seconds=0.5)
    """

    def __init__(
        self,
        *,
        keep: bool = False,
        screen: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._display = _display(screen or Console(stderr=True), keep)
        self._remaining: RemainingTime | None = None
        self._count = 0

    def __enter__(self) -> ReplayProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._display.close()

    def begin(self, title: str, kinds: Sequence[str], jobs: int) -> None:
        """Begin to show a further set of replays.

        Parameters
        ----------
        title
            What is replayed.
        kinds
            Kind of each replay: those of one kind take about the same time.
        jobs
            Number of processes.
        """
        remaining = RemainingTime(kinds, jobs, self._clock())
        self._remaining, self._count = remaining, 0

        def left() -> str:
            found = remaining.left(self._clock())
            told = found is not None and (found.known or found.seconds >= _LEAST_BOUND)
            return str(found) if told else ""

        self._display.begin(title, len(kinds), left)

    def finished(self, number: int, seconds: float | None = None) -> None:
        """Show a replay as finished; ``seconds`` is None if it had been before."""
        if self._remaining is not None:
            self._remaining.finished(number, seconds, self._clock())
            self._count += 1
            self._display.done(self._count)


def _display(screen: Console, keep: bool) -> _Display:
    if _in_notebook():
        return _Notebook()
    return _Terminal(screen, keep) if screen.is_terminal else _Silent()


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process."""
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


class _Silent:
    def begin(self, title: str, total: int, left: Callable[[], str]) -> None:
        pass

    def done(self, count: int) -> None:
        pass

    def close(self) -> None:
        pass


class _LeftColumn(ProgressColumn):
    """Time that is left, computed anew while a bar is shown."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        return Text("" if task.finished else task.fields["left"](), style="progress.remaining")


class _Terminal:
    """Bars of Rich."""

    def __init__(self, screen: Console, keep: bool) -> None:
        columns = (
            TextColumn("{task.fields[title]}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            _LeftColumn(),
        )
        self._bars = Progress(*columns, console=screen, transient=not keep)
        self._latest: TaskID | None = None
        self._bars.start()

    def begin(self, title: str, total: int, left: Callable[[], str]) -> None:
        self._latest = self._bars.add_task("replays", total=total, title=title, left=left)

    def done(self, count: int) -> None:
        if self._latest is not None:
            self._bars.update(self._latest, completed=count)

    def close(self) -> None:
        self._bars.stop()


class _Notebook:
    """A bar in the output of a cell, which each step replaces."""

    def __init__(self) -> None:
        self._title, self._total = "", 0
        self._left: Callable[[], str] = str
        self._began = time.monotonic()
        self._handle: Any = None

    def begin(self, title: str, total: int, left: Callable[[], str]) -> None:
        self._title, self._total, self._left = title, total, left
        self.done(0)

    def done(self, count: int) -> None:
        left = self._left() if count < self._total else ""
        self._show(
            f"{escape(self._title)} <progress max='{self._total}' value='{count}'></progress> "
            f"{count}/{self._total} {left}",
            f"{self._title}: {count}/{self._total} {left}".strip(),
        )

    def close(self) -> None:
        if self._handle is not None:
            took = in_words(time.monotonic() - self._began)
            text = f"{self._title}: {self._total} replays in {took}"
            self._show(escape(text), text)

    def _show(self, html: str, plain: str) -> None:
        # No dependency: a kernel that runs this has it.
        display: Any = import_module("IPython.display").display
        shown = {"text/html": html, "text/plain": plain}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)
