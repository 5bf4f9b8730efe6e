"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from floorline.errors import InvalidInput

Store = Annotated[
    str | None,
    typer.Option(help="URL of the store, such as sqlite:///FILE, instead of the config's."),
]
Config = Annotated[Path, typer.Option(help="Configuration file that names the store.")]
DEFAULT_CONFIG = Path("floorline.yaml")
Jobs = Annotated[int, typer.Option(min=1, help="Use this many processes.")]

TIME = "2026-01-31, 2026-01-31T12:00 (UTC) or an age such as 30d"


def store_url(url: str | None, config: Path) -> str:
    """Return the URL that was given, or else that of the configuration file.

    Raises
    ------
    ConfigError
        If the configuration file cannot be read or breaks rules.
    """
    if url is not None:
        return url
    from floorline.config import load

    return load(config).store.url.get_secret_value()


def age(text: str, field: str = "older-than") -> float:
    """Read an age in seconds.

    Raises
    ------
    InvalidInput
        If the text is no number with a unit.

    Examples
    --------
    >>> age("30d"), age("1.5h")
    (2592000.0, 5400.0)
    """
    from floorline.config.types import parse_duration

    try:
        return parse_duration(text)
    except ValueError:
        fix = "give a number and a unit of ms, s, m, h, d or w, such as 30d"
        raise InvalidInput(field, text, fix) from None


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
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        try:
            return time.time() - age(text, field)
        except InvalidInput:
            raise InvalidInput(field, text, f"give {TIME}") from None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
