"""Options that several commands have in common."""

from __future__ import annotations

import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from floorline.errors import InvalidInput

Store = Annotated[str | None, typer.Option(help="URL of the store, instead of the config's.")]
Config = Annotated[Path, typer.Option(help="The server's configuration.")]
DEFAULT_CONFIG = Path("floorline.yaml")
Jobs = Annotated[int, typer.Option(min=1, help="Use this many processes.")]

PIPED_COLUMNS = 110
"""Width of the tables in columns if the output is no terminal: enough for every column."""

console = Console(width=None if sys.stdout.isatty() else PIPED_COLUMNS)
"""Prints results to the standard output."""

TIME = "2026-01-31, 2026-01-31T12:00 (UTC) or an age such as 30d"
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def store_url(url: str | None, config: Path) -> str:
    """URL that was given, or else that of a server's configuration."""
    if url is not None:
        return url
    from floorline.config import load

    return load(config).store.url


def age(text: str, field: str = "older-than") -> float:
    """Read an age in seconds.

    Raises
    ------
    InvalidInput
        If the text is not one.

    Examples
    --------
    >>> age("30d"), age("1.5h")
    (2592000.0, 5400.0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if match is None:
        raise InvalidInput(field, text, "give a number and s, m, h, d or w, such as 30d")
    return float(match[1]) * _SECONDS[match[2]]


def moment(field: str, text: str) -> float:
    """Read a Unix time in seconds from a date, a date and time, or an age.

    Raises
    ------
    InvalidInput
        If the text is none of them.

    Examples
    --------
    >>> moment("since", "2026-01-31")
    1769817600.0
    """
    if text[-1:] in _SECONDS:
        return time.time() - age(text, field)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(field, text, f"give {TIME}") from None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
