"""Values of the labels of metrics: their number and their length are bounded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

OTHER = "other"
"""Value for all names that are unknown, or too many: clients choose names of tenants and models,
and must not be able to add time series without bound."""
MAX_VALUES = 200
"""Most values of one label. A histogram of 15 buckets and 200 models has 3,400 lines, or 300 kB."""
MAX_PAIRS = 1_000
"""Most pairs of a model and an SLA that are counted apart."""
_MAX_CHARACTERS = 64
"""Most characters of a value; a longer name ends in a part of its digest."""
_DIGEST_CHARACTERS = 12


class LabelValues:
    """The values of one label, by the names that they stand for.

    Parameters
    ----------
    limit
        Most values; further names share ``OTHER``.

    Examples
    --------
    >>> tenants = LabelValues(limit=2)
    >>> [tenants.of(name) for name in ("acme", "umbrella", "late", "acme")]
    ['acme', 'umbrella', 'other', 'acme']
    >>> LabelValues().of("x" * 100)[-20:]
    'xxxxxxx~09ecb6ebc8bc'
    """

    def __init__(self, limit: int = MAX_VALUES) -> None:
        self._limit = limit
        self._values: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names that have a value of their own."""
        return iter(self._values)

    def of(self, name: str) -> str:
        """Return the value that stands for a name; the empty name is its own value."""
        if not name or name == OTHER:
            return name
        value = self._values.get(name)
        if value is None:
            if len(self._values) >= self._limit:
                return OTHER
            value = self._values[name] = _short(name)
        return value

    def forget(self, name: str) -> str:
        """Give up the value of a name, so that another one can have one."""
        return self._values.pop(name)


def _short(name: str) -> str:
    if len(name) <= _MAX_CHARACTERS:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{name[: _MAX_CHARACTERS - _DIGEST_CHARACTERS - 1]}~{digest[:_DIGEST_CHARACTERS]}"
