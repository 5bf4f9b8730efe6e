"""Templates of the pages: every value is escaped, and no page needs a script or another file."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from floorline._extras import needs

with needs("report", "the pages of reports"):
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup


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
    made.filters.update(
        count=count,
        css_text=css_text,
        minute=minute,
        number3=number3,
        percent=percent,
        percent1=percent1,
        ratio=ratio,
        seconds=seconds,
        tenths=tenths,
        time=time,
    )
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


def minute(seconds: float) -> str:
    r"""Write seconds since 1970 as a date and the minute in UTC, for readers.

    Examples
    --------
    >>> minute(0.0)
    '1\xa0January\xa01970 00:00\xa0UTC'
    """
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at.day}\xa0{at:%B}\xa0{at.year} {at:%H:%M}\xa0UTC"


def seconds(span: float | None) -> str:
    r"""Write a time span in seconds; a dash for None.

    Examples
    --------
    >>> seconds(1.23456), seconds(None)
    ('1.23\xa0s', '–')
    """
    return "–" if span is None else f"{span:.3g}\xa0s"


def number3(number: float | None) -> str:
    """Write a number with three significant digits; a dash for None.

    Examples
    --------
    >>> number3(1.23456), number3(None)
    ('1.23', '–')
    """
    return "–" if number is None else f"{number:.3g}"


def percent1(share: float | None) -> str:
    r"""Write a share as a percentage with one decimal; a dash for None.

    Examples
    --------
    >>> percent1(0.98765), percent1(-0.5)
    ('98.8\xa0%', '−50.0\xa0%')
    """
    return "–" if share is None else f"{100 * share:.1f}\xa0%".replace("-", "−")


def ratio(part: float, whole: float) -> str:
    r"""Write a ratio as a percentage.

    Examples
    --------
    >>> ratio(3.0, 4.0)
    '75\xa0%'
    """
    return f"{100 * part / whole:.0f}\xa0%"


def css_text(text: str) -> Markup:
    r"""Write a text for a string in a style sheet; no character of it can end the string.

    Examples
    --------
    >>> css_text('a"</style>')
    Markup('a\\22 \\3c \\2f style\\3e ')
    """
    return Markup("".join(c if c.isalnum() and c.isascii() else f"\\{ord(c):x} " for c in text))


def iso(seconds: float) -> str:
    """Write seconds since 1970 as commands take them.

    Examples
    --------
    >>> iso(0.5)
    '1970-01-01T00:00:00.500000Z'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
