"""Read YAML and JSON that may be hostile: bounded in size, depth and number of values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MAX_FILE_BYTES = 2**20
"""Size of a YAML file: a hundred times that of a configuration with a hundred models."""
MAX_DEPTH = 32
"""Lists and mappings inside each other: a configuration has 6. The parser of libyaml recurses once
for each, and ends the process with a segmentation fault at some ten thousand."""
MAX_VALUES = 6_000
"""Names and values of a YAML file, those of anchors at each use: a configuration of 300 models with
eight fields each has 5,100. To validate so many holds the event loop for less than 50 ms."""


class TooLarge(ValueError):
    """A text that is larger, deeper or has more values than is read; its text says which."""


def read_text(path: Path, most: int = MAX_FILE_BYTES) -> str:
    """Read a text file of at most ``most`` bytes.

    Raises
    ------
    OSError
        If it cannot be read.
    UnicodeDecodeError
        If it is neither UTF-8 nor, with a byte order mark, UTF-16.
    TooLarge
        If it is larger.
    """
    with path.open("rb") as stream:
        body = stream.read(most + 1)
    if len(body) > most:
        raise TooLarge(f"it has more than {most:,} bytes")
    return body.decode(encoding_of(body))


def encoding_of(start: bytes) -> str:
    r"""Return the encoding that a file begins to declare: UTF-16 by its mark, else UTF-8.

    Examples
    --------
    >>> encoding_of(b"models:"), encoding_of(b"\xff\xfem\0")
    ('utf-8-sig', 'utf-16')
    """
    return "utf-16" if start.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"


def check_yaml(text: str, *, most_values: int = MAX_VALUES) -> None:
    """Check that a YAML text can be composed: its size, its depth and its number of values.

    It reads events, which takes no recursion and stops at the first limit.

    Raises
    ------
    TooLarge
        If it is too large.
    yaml.YAMLError
        If it is no YAML up to the first limit.

    Examples
    --------
    >>> check_yaml("a: [1, 2]")
    >>> check_yaml("[" * 25_000)
    Traceback (most recent call last):
    ...
    floorline._bounded.TooLarge: it is nested more than 32 deep, on line 1
    """
    import yaml

    if len(text) > MAX_FILE_BYTES:
        raise TooLarge(f"it has more than {MAX_FILE_BYTES:,} characters")
    values = 0
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.ScalarEvent):
            values += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.AliasEvent):
            # What an anchor holds counts again at each of its uses.
            values += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, values))
            values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor is not None:
                sizes[anchor] = values - before
        if len(opened) > MAX_DEPTH:
            raise TooLarge(f"it is nested more than {MAX_DEPTH} deep{_line(event)}")
        if values > most_values:
            raise TooLarge(f"it has more than {most_values:,} values{_line(event)}")


def _line(event: Any) -> str:
    mark = event.start_mark
    return "" if mark is None else f", on line {mark.line + 1}"


def parse_json(text: str | bytes) -> Any:
    """Parse JSON of a file or an option.

    Raises
    ------
    ValueError
        If it is no JSON, or is nested too deeply for the interpreter's stack.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
