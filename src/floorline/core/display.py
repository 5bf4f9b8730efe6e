"""Short texts and HTML tables that show an object to a person, in a console or a notebook."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape


def show_number(value: float | None) -> str:
    """Four significant digits of a number, with commas in thousands; a dash for None and NaN.

    Examples
    --------
    >>> show_number(0.123456), show_number(1234567), show_number(2e-7), show_number(None)
    ('0.1235', '1,234,567', '2e-07', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def show_cost(value: float | None) -> str:
    """Four significant digits of a cost, small ones without an exponent; a dash for None and NaN.

    Examples
    --------
    >>> show_cost(0.00009995), show_cost(0.000123456), show_cost(12.5), show_cost(None)
    ('0.00009995', '0.0001235', '12.5', '–')
    """
    if value is None or not 1e-12 <= abs(value) < 1e-3:
        return show_number(value)
    digits = 3 - math.floor(math.log10(abs(value)))
    return f"{value:.{digits}f}".rstrip("0")


def show_ratio(value: float, form: str = ".2f") -> str:
    """Write a ratio in a table; a dash if there is none, because its reference is 0.

    Examples
    --------
    >>> show_ratio(1.5), show_ratio(0.25, ".0%"), show_ratio(math.inf)
    ('1.50', '25%', '–')
    """
    return format(value, form) if math.isfinite(value) else "–"


def html_table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Table of two columns, name and value, with every text escaped.

    Examples
    --------
    >>> html_table("SLA <gold>", [("floor", "0.9")])
    '<table><caption>SLA &lt;gold&gt;</caption><tr><th>floor</th><td>0.9</td></tr></table>'
    """
    body = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows
    )
    return f"<table><caption>{escape(title)}</caption>{body}</table>"


def html_grid(
    title: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1
) -> str:
    """Table of several columns, the first ``texts`` of texts, the others of numbers; all escaped.

    Examples
    --------
    >>> html_grid("Zoo", ["model", "price"], [["<small>", "1"]]).partition("<tbody>")[2]
    '<tr><td>&lt;small&gt;</td><td style="text-align:right">1</td></tr></tbody></table>'
    """

    def cells(tag: str, values: Sequence[str]) -> str:
        styles = [""] * texts + [' style="text-align:right"'] * (len(values) - texts)
        pairs = zip(styles, values, strict=True)
        return "".join(f"<{tag}{style}>{escape(value)}</{tag}>" for style, value in pairs)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f"<table><caption>{escape(title)}</caption><thead><tr>{cells('th', header)}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )
