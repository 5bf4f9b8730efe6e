"""Numbers, amounts and times as the pages show them: filters of the templates."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

_NONE = "–"
"""What stands for a value that is not known."""
_SMALLEST_CENTS = 0.01
"""Amount from which two decimals are enough."""


def number(value: float | None) -> str:
    """Write a number with commas in thousands, and with three digits that count below thousand.

    Examples
    --------
    >>> number(1234567), number(3600.4), number(0.12345), number(2.50), number(None)
    ('1,234,567', '3,600', '0.123', '2.5', '–')
    """
    if value is None or not math.isfinite(value):
        return _NONE
    size = abs(value)
    if isinstance(value, int) or size >= 1e3:
        return f"{value:,.0f}"
    if size == 0.0:
        return "0"
    written = f"{value:,.{2 - math.floor(math.log10(size))}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def share(value: float | None, digits: int = 1) -> str:
    r"""Write a share as percent.

    Examples
    --------
    >>> share(0.8312), share(1.0), share(None)
    ('83.1\xa0%', '100\xa0%', '–')
    """
    if value is None or not math.isfinite(value):
        return _NONE
    written = f"{100 * value:.{digits}f}"
    if "." in written:
        written = written.rstrip("0").rstrip(".")
    return f"{'0' if written == '-0' else written}\u00a0%"


def saving(value: float | None, reference: str = "") -> str:
    r"""Write a saved share as less or more than what it is compared with, whose amount may follow.

    Examples
    --------
    >>> saving(0.208), saving(-0.096), saving(-1.5), saving(0.0), saving(None)
    ('20.8\xa0% less', '9.6\xa0% more', '2.5 × as much', 'the same', '–')
    >>> saving(0.208, "$5"), saving(-1.5, "$2"), saving(None, "$0")
    ('20.8\xa0% less than $5', '2.5 × as much as $2', '–')
    """
    if value is None or not math.isfinite(value):
        return _NONE
    written = share(abs(value))
    if written == share(0.0):
        text, link = "the same", "as"
    elif value <= -1.0:
        text, link = f"{1.0 - value:.1f} × as much", "as"
    else:
        text, link = f"{written} {'less' if value > 0 else 'more'}", "than"
    return f"{text} {link} {reference}" if reference else text


def money(value: float | None, unit: str = "USD") -> str:
    r"""Write an amount in US dollars or joules; small ones with three digits that count.

    Examples
    --------
    >>> money(12.345), money(0.00012345), money(3.0, "J"), money(None)
    ('$12.35', '$0.000123', '3.00\xa0J', '–')
    """
    if value is None or not math.isfinite(value):
        return _NONE
    size = abs(value)
    if size == 0.0 or size >= _SMALLEST_CENTS:
        text = f"{size:,.2f}"
    else:
        text = f"{size:.{2 - math.floor(math.log10(size))}f}"
    sign = "-" if value < 0 else ""
    return f"{sign}${text}" if unit == "USD" else f"{sign}{text}\u00a0{unit}"


def seconds(value: float | None) -> str:
    r"""Write a duration with a unit that suits its size.

    Examples
    --------
    >>> seconds(0.0123), seconds(2.5), seconds(90), seconds(7200), seconds(None)
    ('12\xa0ms', '2.50\xa0s', '1.5\xa0min', '2\xa0h', '–')
    """
    if value is None or not math.isfinite(value):
        return _NONE
    if value == 0.0:
        return "0\u00a0s"
    if value < 1.0:
        return f"{1000 * value:.0f}\u00a0ms"
    if value < 60.0:
        return f"{value:.2f}\u00a0s"
    for size, unit in ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min")):
        if value >= size:
            return f"{value / size:.1f}".removesuffix(".0") + f"\u00a0{unit}"
    raise AssertionError


def when(at: float | None) -> Markup:
    """Write a Unix time as a ``time`` element in UTC.

    Examples
    --------
    >>> str(when(0.0))
    '<time datetime="1970-01-01T00:00:00Z">1970-01-01 00:00:00 UTC</time>'
    """
    if at is None:
        return Markup(_NONE)
    moment = datetime.fromtimestamp(at, UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        moment.strftime("%Y-%m-%dT%H:%M:%SZ"), moment.strftime("%Y-%m-%d %H:%M:%S")
    )


def sentence(text: str) -> str:
    """Write a clause as a sentence: with a capital letter and a full stop.

    Examples
    --------
    >>> sentence("there is no label yet"), sentence("")
    ('There is no label yet.', '')
    """
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def moment(at: float | None) -> Markup:
    """Write a Unix time without its year, for the rows of a table whose head says "UTC".

    Examples
    --------
    >>> str(moment(0.0))
    '<time datetime="1970-01-01T00:00:00Z" title="1970-01-01 00:00:00 UTC">01 Jan 00:00:00</time>'
    """
    if at is None:
        return Markup(_NONE)
    date = datetime.fromtimestamp(at, UTC)
    shown = date.strftime("%d %b %H:%M:%S")
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        date.strftime("%Y-%m-%dT%H:%M:%SZ"), date.strftime("%Y-%m-%d %H:%M:%S"), shown
    )


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number,
    "share": share,
    "saving": saving,
    "money": money,
    "seconds": seconds,
    "when": when,
    "moment": moment,
    "sentence": sentence,
}
"""The filters by their names in templates."""
