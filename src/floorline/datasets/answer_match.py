"""Compare a model's response with the right answer."""

from __future__ import annotations

import re

MATCHES = ("exact", "contains")
"""Ways to compare."""


def matches(response: str, answer: str, how: str = "exact") -> bool:
    """Whether a response is the right answer, or contains it as whole words.

    Case, space, and punctuation at both ends do not count.

    Examples
    --------
    >>> matches(" paris.", "Paris"), matches("It is Paris.", "Paris")
    (True, False)
    >>> matches("It is Paris.", "paris", "contains"), matches("Parisian", "Paris", "contains")
    (True, False)
    """
    given, right = _plain(response), _plain(answer)
    if how == "exact" or not right:
        return given == right
    return re.search(rf"(?<!\w){re.escape(right)}(?!\w)", given) is not None


def _plain(text: str) -> str:
    return re.sub(r"^\W+|\W+$", "", " ".join(text.casefold().split())) or text.strip()
