"""Environment variables as they are read: for references in the file, and for keys."""

from __future__ import annotations

import re
from collections.abc import Mapping

from floorline.config.types import cleaned

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Name of an environment variable."""


def variable(name: str, environ: Mapping[str, str]) -> str:
    r"""Return the value of an environment variable; "" if it is not set.

    Space and line ends around it, a byte order mark, and a pair of quotes are no part of the value:
    files of secrets end with a line end, and ``docker run --env-file`` keeps quotes.

    Examples
    --------
    >>> variable("KEY", {"KEY": '"sk-1"\r\n'})
    'sk-1'
    """
    return unquoted(cleaned(environ.get(name, "")))


def unquoted(text: str) -> str:
    """Return a text without a pair of quotes around it, if it has no such quotes inside.

    Examples
    --------
    >>> unquoted("'a'"), unquoted('"a" or "b"')
    ('a', '"a" or "b"')
    """
    for quote in "'\"":
        inner = text[1:-1]
        if len(text) >= 2 and text[0] == text[-1] == quote and quote not in inner:
            return str(cleaned(inner))
    return text
