"""One frame of ``floorline top``: tables that fit into 80 columns."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from floorline.errors import FloorlineError

Row = Mapping[str, Any]

_VERDICTS = {"kept": "green", "at risk": "yellow", "broken": "red", "unreachable": "red"}
_NONE = "–"
_MOST_SLAS = 8
_MOST_MODELS = 10
"""Most rows of the tables, so that the latest decisions keep some room."""
_FEWEST_DECISIONS = 3
_HEAD_LINES = 3
_TABLE_LINES = 3
"""Lines of a table beside its rows: its heads, a line under them and an empty line."""
_MOST_ERROR = 60
"""Characters of an error that a frame shows."""


@dataclass(frozen=True)
class Snapshot:
    """What a gateway showed at one time.

    Attributes
    ----------
    at
        When it was read, in Unix seconds.
    totals
        Traffic of the span.
    slas, models, latest
        Rows of the tables, by the names of their columns.
    """

    at: float
    totals: Row
    slas: Sequence[Row]
    models: Sequence[Row]
    latest: Sequence[Row]

    @classmethod
    def of(cls, tables: Mapping[str, Any], at: float) -> Snapshot:
        """Read the JSON of the tables.

        Raises
        ------
        FloorlineError
            If it is not that of tables.
        """
        rows = {name: _rows(name, table) for name, table in tables.items()}
        totals = rows["totals"][0] if rows["totals"] else {}
        return cls(at, totals, rows["slas"], rows["models"], rows["latest"])


def _rows(name: str, table: Any) -> list[Row]:
    try:
        columns = [str(column) for column in table["columns"]]
        return [dict(zip(columns, row, strict=True)) for row in table["rows"]]
    except (TypeError, KeyError, ValueError):
        raise FloorlineError(
            f"the gateway's table {name!r} has another form than this version reads: use the "
            "floorline of the gateway's version"
        ) from None


def draw(
    snapshot: Snapshot, url: str, since: str, *, height: int | None = None, trouble: str = ""
) -> RenderableType:
    """Draw a frame.

    Parameters
    ----------
    snapshot
        What to show.
    url, since
        Where it comes from; the span of time.
    height
        Lines of the terminal, which bound the rows; None for all rows.
    trouble
        Why there is nothing newer; "" if the frame is the newest.
    """
    slas = _shortened(snapshot.slas, _MOST_SLAS, height)
    models = _shortened(snapshot.models, _MOST_MODELS, height)
    used = _HEAD_LINES + len(slas) + len(models) + 3 * _TABLE_LINES + bool(trouble)
    room = len(snapshot.latest) if height is None else max(height - used, _FEWEST_DECISIONS)
    unit = snapshot.totals.get("cost_unit")
    parts: list[RenderableType] = [*_head(snapshot, url, since, trouble), Text()]
    parts += [_slas(slas), Text(), _models(models, unit), Text()]
    parts.append(_latest(snapshot.latest[:room], unit))
    return Group(*parts)


def _shortened(rows: Sequence[Row], most: int, height: int | None) -> Sequence[Row]:
    return rows if height is None else rows[:most]


def _head(snapshot: Snapshot, url: str, since: str, trouble: str) -> list[Text]:
    totals = snapshot.totals
    at = datetime.fromtimestamp(snapshot.at, UTC).strftime("%H:%M:%S")
    first = Text.assemble(
        ("floorline top", "bold"),
        f"  {_plain(url)}  last {since}  {at} UTC",
        overflow="ellipsis",
        no_wrap=True,
    )
    calls = totals.get("calls") or 0
    errors = totals.get("errors") or 0
    share = f" ({_share(errors / calls)})" if calls else ""
    second = Text(overflow="ellipsis", no_wrap=True)
    for name, value in (
        ("requests", _count(totals.get("requests"))),
        ("fallbacks", _count(totals.get("fallbacks"))),
        ("declined", _count(totals.get("declined"))),
        ("errors", f"{_count(errors)}{share}"),
        ("spent", _money(totals.get("spend"), totals.get("cost_unit"))),
    ):
        second.append(f"{name} ", "dim").append(f"{value}   ", "bold")
    third = Text(overflow="ellipsis", no_wrap=True)
    for name, kind in (("first content", "ttft"), ("end", "latency")):
        quantiles = [_seconds(totals.get(f"{kind}_{q}")) for q in ("p50", "p95")]
        third.append(f"{name} p50 ", "dim").append(quantiles[0], "bold")
        third.append(" p95 ", "dim").append(f"{quantiles[1]}   ", "bold")
    head = [first, second, third]
    if trouble:
        age = max(0.0, time.time() - snapshot.at)
        text = f"{age:.0f} s old: {_plain(trouble)}"
        head.append(Text(text, "bold red", no_wrap=True, overflow="ellipsis"))
    return head


def _grid(*columns: tuple[str, str, int]) -> Table:
    """Return a table; a column is its head, its alignment and the most characters of its cells."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for name, align, most in columns:
        right = align == "right"
        table.add_column(
            name, justify="right" if right else "left", max_width=most, no_wrap=True,
            overflow="ellipsis",
        )  # fmt: skip
    return table


def _slas(rows: Sequence[Row]) -> RenderableType:
    if not rows:
        return Text("no SLA that this key may see", "dim")
    table = _grid(
        ("SLA", "left", 14), ("floor", "right", 7), ("satisfied", "right", 9),
        ("bounds", "right", 13), ("verdict", "left", 16), ("labels", "right", 7),
        ("requests", "right", 8), ("spent", "right", 10),
    )  # fmt: skip
    for row in rows:
        verdict = str(row.get("verdict") or _NONE)
        late = row.get("latency_verdict")
        shown = Text(verdict, _VERDICTS.get(verdict, "dim"))
        if late not in (None, "kept", "unknown"):
            shown.append(" late", _VERDICTS.get(str(late), "dim"))
        lower, upper = row.get("lower"), row.get("upper")
        bounds = f"{_percent(lower)}–{_percent(upper)} %"
        table.add_row(
            _plain(row.get("sla")), _share(row.get("floor")), _share(row.get("satisfaction")),
            bounds, shown, _count(row.get("labels")), _count(row.get("requests")),
            _money(row.get("spent"), row.get("cost_unit")),
        )  # fmt: skip
    return table


def _models(rows: Sequence[Row], unit: Any) -> RenderableType:
    if not rows:
        return Text("no call in this time", "dim")
    table = _grid(
        ("model", "left", 22), ("share", "right", 7), ("calls", "right", 8),
        ("satisfied", "right", 9), ("per 1,000", "right", 9), ("errors", "right", 7),
        ("p50", "right", 7), ("p95", "right", 7),
    )  # fmt: skip
    for row in rows:
        calls, errors = row.get("calls") or 0, row.get("errors") or 0
        cost = row.get("cost_per_call")
        table.add_row(
            _plain(row.get("model")), _share(row.get("share")), _count(calls),
            _share(row.get("satisfaction")), _money(None if cost is None else 1000.0 * cost, unit),
            Text(_share(errors / calls if calls else None), "red" if errors else ""),
            _seconds(row.get("latency_p50")), _seconds(row.get("latency_p95")),
        )  # fmt: skip
    return table


def _latest(rows: Sequence[Row], unit: Any) -> RenderableType:
    if not rows:
        return Text("no decision in this time: send a request to see one", "dim")
    table = _grid(
        ("time", "left", 8), ("SLA", "left", 14), ("model", "left", 20),
        ("expected", "right", 8), ("cost", "right", 10), ("what came of it", "left", 40),
    )  # fmt: skip
    for row in rows:
        at = datetime.fromtimestamp(row.get("at") or 0.0, UTC).strftime("%H:%M:%S")
        cost = row.get("cost")
        cost = row.get("expected_cost") if cost is None else cost
        table.add_row(
            at, _plain(row.get("sla") or "(direct)"), _plain(row.get("model") or "(declined)"),
            _share(row.get("expected_quality")), _money(cost, unit), _became(row),
        )  # fmt: skip
    return table


def _became(row: Row) -> Text:
    """Say what a decision was and what came of it, in a few words."""
    text = Text()
    for word, is_so, style in (
        ("explored", row.get("explored"), "cyan"),
        ("fallback", row.get("fallback"), "yellow"),
    ):
        if is_so:
            text.append(f"{word} ", style)
    error, score = row.get("error"), row.get("score")
    if error:
        text.append(_plain(error)[:_MOST_ERROR], "red")
    elif score is not None:
        good = score >= 0.5
        text.append("satisfied" if good else "not satisfied", "green" if good else "red")
    elif row.get("latency") is not None:
        text.append(f"answered in {_seconds(row['latency'])}", "dim")
    elif row.get("model"):
        text.append("open", "dim")
    return text


def _plain(value: Any) -> str:
    """Return a text without signs that would control the terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in str(value or ""))


def _count(value: Any) -> str:
    """Write a number in at most seven characters: 99,999, 123 k, 1.23 M."""
    if value is None:
        return _NONE
    if abs(value) < 99_999.5:
        return f"{value:,.0f}"
    return f"{value / 1e3:,.0f} k" if abs(value) < 999_500 else f"{value / 1e6:,.2f} M"


def _percent(value: Any) -> str:
    return _NONE if value is None else f"{100.0 * value:.1f}"


def _share(value: Any) -> str:
    return _NONE if value is None else f"{_percent(value)} %"


def _seconds(value: Any) -> str:
    """Write seconds in three characters or so: 340 ms, 1.2 s, 75 s."""
    if value is None:
        return _NONE
    if value < 0.9995:
        return f"{1000.0 * value:.0f} ms"
    return f"{value:.1f} s" if value < 99.95 else f"{value:.0f} s"


def _money(value: Any, unit: Any = "USD") -> str:
    """Write an amount with three significant digits and at least two decimals."""
    if value is None:
        return _NONE
    sign, size = ("-" if value < 0 else ""), abs(value)
    digits = 2 if size < 999.995 else 0
    while 1 < digits < 7 and 0 < size < 10.0 ** (2 - digits):
        digits += 1
    text = f"{sign}{size:,.{digits}f}"
    return f"${text}" if unit in (None, "USD") else f"{text} {unit}"
