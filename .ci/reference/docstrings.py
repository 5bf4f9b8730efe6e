"""Numpy docstrings, read into what Markdown can show."""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

_SECTION = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", re.MULTILINE)


class Docstring(NamedTuple):
    """The text before the sections of a docstring, and the sections by their names."""

    text: str
    sections: dict[str, str]


def parse(docstring: str | None) -> Docstring:
    """Split a docstring at its sections."""
    parts = _SECTION.split(inspect.cleandoc(docstring or ""))
    return Docstring(parts[0].strip(), dict(zip(parts[1::2], parts[2::2], strict=True)))


def fields(section: str) -> list[tuple[str, str]]:
    """Return the names of a section with their texts, in one line each.

    A section without names, such as what a function returns in one sentence, is one name.
    """
    found = []
    for one in filter(None, re.split(r"^(?=\S)", section.strip("\n"), flags=re.MULTILINE)):
        name, _, about = one.partition("\n")
        # Types, as in "name : float", are in the signature.
        found.append((name.partition(" : ")[0].strip(), as_line(about)))
    return found


def as_markdown(text: str) -> str:
    """Return a text of a docstring in Markdown.

    Literals have one backtick, and names of pages are links.
    """
    text = re.sub(r"``(.+?)``", r"`\1`", text.strip(), flags=re.DOTALL)
    return re.sub(r"(?<![\w/`(])docs/([\w-]+\.md)", r"[\1](\1)", text)


def as_line(text: str) -> str:
    """Return a text as one line that may stand in a table."""
    return " ".join(as_markdown(text).split()).replace("|", r"\|")
