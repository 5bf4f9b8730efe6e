"""Templates of the pages: every value is escaped, and no page needs a script or another file."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from floorline._extras import needs
from floorline.core.display import show_number

with needs("report", "the pages of reports"):
    from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """Render a file of ``templates/``."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("floorline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(percent=percent, time=time, count=count, tenths=tenths, number=show_number)
    return made


def percent(share: float | None) -> str:
    r"""Write a share as a percentage with up to two decimals; a dash for None.

    A space that does not break keeps the sign with its number.

    Examples
    --------
    >>> percent(0.98765), percent(0.5), percent(None)
    ('98.77\xa0%', '50\xa0%', '–')
    """
    if share is None:
        return "–"
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + "\xa0%"


def count(number: int) -> str:
    """Write a whole number with commas in thousands.

    Examples
    --------
    >>> count(1234567)
    '1,234,567'
    """
    return f"{number:,}"


def tenths(number: float) -> str:
    """Write a number with one decimal and commas in thousands.

    Examples
    --------
    >>> tenths(1234.56)
    '1,234.6'
    """
    return f"{number:,.1f}"


def time(seconds: float) -> str:
    """Write seconds since 1970 as a date and time in UTC.

    Examples
    --------
    >>> time(0.0)
    '1970-01-01 00:00:00 UTC'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
