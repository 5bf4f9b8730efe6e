"""Output to terminals, pipes and files, whatever they can show."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape

from floorline._ascii import ERRORS

PIPED_COLUMNS = 110
"""Width of the tables in columns if the output is no terminal: enough for every column."""

console = Console(width=None if sys.stdout.isatty() else PIPED_COLUMNS)
"""Prints results to the standard output."""


def show_all_signs() -> None:
    """Write signs that the output has no code for, such as τ in ASCII, in other signs."""
    for stream in (sys.stdout, sys.stderr):
        # Tests put other streams in the place of these.
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=ERRORS)


def is_ascii(screen: Console) -> bool:
    """Whether a console can show ASCII only, or some other code without Greek letters."""
    return not screen.encoding.lower().startswith("utf")


def note(text: str) -> None:
    """Say something that is no error, on the standard error."""
    screen = Console(stderr=True, soft_wrap=True, highlight=False)
    screen.print(f"[yellow]note:[/yellow] {escape(text)}")


@contextmanager
def data_notes() -> Iterator[None]:
    """Print what the loaders of data log within this block: gaps, guesses, encodings."""
    logger = logging.getLogger("floorline.datasets")
    handler = _Notes()
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = propagate
        logger.removeHandler(handler)


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())
