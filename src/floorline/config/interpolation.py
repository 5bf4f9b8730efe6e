"""Values from the environment: ``${NAME}`` and ``${NAME:-default}`` in texts."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$\$|\$\{(?P<body>[^{}]*)\}|\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class BadReference(ValueError):
    """A reference to the environment that cannot be resolved; its text is the fix."""


def interpolate(text: str, environ: Mapping[str, str]) -> str:
    """Fill references in a text; ``$$`` stands for one dollar sign.

    A default applies to a variable that is unset or empty, as in a shell.

    Raises
    ------
    BadReference
        If a variable is not set and no default is given, or a reference is malformed.

    Examples
    --------
    >>> interpolate("http://${HOST}:${PORT:-8000}/v1", {"HOST": "localhost"})
    'http://localhost:8000/v1'
    >>> interpolate("$$5", {})
    '$5'
    """

    def fill(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name, has_default, default = (match["body"] or "").partition(":-")
        if not _NAME.fullmatch(name):
            raise BadReference("write ${NAME} or ${NAME:-default}; for a dollar sign write $$")
        value = environ.get(name, "")
        if has_default:
            return value or default
        if name not in environ:
            raise BadReference(
                f"set the environment variable {name}, or write ${{{name}:-default}}"
            )
        return value

    return _REFERENCE.sub(fill, text)


def is_one_reference(text: str) -> bool:
    """Whether a text is a single reference and nothing else."""
    match = _REFERENCE.fullmatch(text)
    return match is not None and match["body"] is not None
