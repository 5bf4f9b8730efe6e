"""URLs of stores, as the configuration, the command line and the engine all read them."""

from __future__ import annotations

import re


def normal_url(url: str) -> str:
    r"""Return a store's URL without space around it, with the scheme that the engine takes.

    Examples
    --------
    >>> normal_url("Postgres://host/db\n"), normal_url("SQLite:///a.db")
    ('postgresql+psycopg://host/db', 'sqlite:///a.db')
    """
    scheme, colon, rest = url.strip().strip("\ufeff").partition("://")
    if re.fullmatch(r"postgres(ql)?(\+psycopg)?", scheme, re.IGNORECASE):
        scheme = "postgresql+psycopg"
    return (scheme.lower() if colon else scheme) + colon + rest
