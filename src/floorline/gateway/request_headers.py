"""Headers of a request, read once."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope


class RequestHeaders(Headers):
    """Starlette's headers with a table, because a request is asked for a dozen of them.

    Starlette compares the name with that of each header, and raises an error inside for one that
    the request does not have.

    Parameters
    ----------
    scope
        Of the request; the server gives the names in lower case.

    Examples
    --------
    >>> headers = RequestHeaders({"headers": [(b"accept", b"a"), (b"accept", b"b")]})
    >>> headers["Accept"], headers.getlist("accept"), headers.get("host", "none")
    ('a', ['a', 'b'], 'none')
    """

    def __init__(self, scope: Scope) -> None:
        super().__init__(raw=scope["headers"])
        # The first line of a header counts, as in Starlette.
        self._first = dict(reversed(self._list))

    def __getitem__(self, key: str) -> str:
        """Return the first line of a header."""
        value = self._first.get(key.lower().encode("latin-1"))
        if value is None:
            raise KeyError(key)
        return value.decode("latin-1")

    def __contains__(self, key: object) -> bool:
        """Say whether the request has a header."""
        return isinstance(key, str) and key.lower().encode("latin-1") in self._first

    def get(self, key: str, default: Any = None) -> Any:
        """Return the first line of a header, or the default."""
        value = self._first.get(key.lower().encode("latin-1"))
        return default if value is None else value.decode("latin-1")
