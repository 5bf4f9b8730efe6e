"""Signs of tables and messages in ASCII, for terminals and files that have no others."""

from __future__ import annotations

import codecs

_SIGNS = {
    "–": "-",
    "—": "-",
    "…": "...",
    "×": "x",
    "·": ".",
    "±": "+-",
    "≥": ">=",
    "≤": "<=",
    "≈": "~",
    "√": "sqrt",
    "∞": "inf",
    "→": "->",
    "←": "<-",
    "°": "^",
    "µ": "u",
    "μ": "mu",
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "ε": "epsilon",
    "λ": "lambda",
    "π": "pi",
    "σ": "sigma",
    "τ": "tau",
    "φ": "phi",
    "Σ": "sum",
    "\u0302": "",
    "ŝ": "s",
    "ĉ": "c",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "─": "-",
    "━": "-",
    "│": "|",
    "┃": "|",
    "✓": "yes",
    "✗": "no",
}
ERRORS = "floorline.ascii"
"""Name of the way to encode signs that an encoding lacks; see ``codecs``."""


def ascii_text(text: str) -> str:
    r"""Write a text in ASCII.

    Examples
    --------
    >>> ascii_text("τ ≥ 0.9 ±.01 µs"), ascii_text("café")
    ('tau >= 0.9 +-.01 us', 'caf\\xe9')
    """
    return text.encode("ascii", ERRORS).decode("ascii")


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    odd = error.object[error.start : error.end]
    shown = (_SIGNS[sign] if sign in _SIGNS else _escaped(sign) for sign in odd)
    return "".join(shown), error.end


def _escaped(sign: str) -> str:
    return sign.encode("ascii", "backslashreplace").decode("ascii")


codecs.register_error(ERRORS, _replace)
