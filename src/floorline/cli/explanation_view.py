"""An explanation in a terminal: the summary, the candidates, the multipliers and the timeline."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from floorline.core.display import show_cost, show_number
from floorline.state.explanation import Candidate, Explanation

_NONE = "–"
_MOST_MODEL = 28
"""Characters of a model's name in the table of candidates, so that the reason keeps some room."""


def draw(found: Explanation) -> RenderableType:
    """Draw an explanation."""
    parts: list[RenderableType] = [_text(found.summary), Text(), _head(found), Text()]
    parts += [_candidates(found), Text(), _timeline(found)]
    return Group(*parts)


def _head(found: Explanation) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    expected = f"expected {show_cost(found.expected_cost)}"
    for name, value in (
        ("decision", found.id),
        ("time", _time(found.at)),
        ("SLA", f"{found.sla}, floor {found.floor:g}" if found.sla else _NONE),
        ("decided by", ", ".join(filter(None, (found.policy, found.rule)))),
        ("tenant, key", f"{found.tenant or _NONE}, {found.key or _NONE}"),
        ("conversation", found.session or _NONE),
        ("prompt", f"{found.input_tokens:,} tokens, estimated"),
        ("cost", f"{show_cost(found.cost)}, {expected} {found.cost_unit}"),
        ("satisfied", f"{_score(found.score)}, expected {_score(found.expected_quality)}"),
        ("replaces", found.after),
        ("replaced by", found.replaced_by),
        *((name.replace("_", " "), show_number(v)) for name, v in found.multipliers.items()),
    ):
        if value:
            table.add_row(Text(name), _text(value))
    return table


def _candidates(found: Explanation) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("model", overflow="fold", min_width=5)
    for name in ("quality", "cost", "score", "chance"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold", ratio=1)
    for one in found.candidates:
        table.add_row(
            _text(_short(one.model)),
            Text(_score(one.quality)),
            Text(show_cost(one.cost)),
            Text(show_number(one.score)),
            Text(f"{one.propensity:.3f}"),
            _why(one),
            style="bold" if one.served else "",
        )
    return table


def _why(one: Candidate) -> Text:
    style = "green" if one.served else "cyan"
    return Text.assemble((one.reason.replace("_", " "), style), ": ", _text(one.explanation))


def _timeline(found: Explanation) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold", ratio=1)
    for step in found.timeline:
        table.add_row(Text(_after(step.at - found.at)), _text(step.text))
    return table


def _time(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        # The clock of a replay need not be that of any year.
        return f"{at:g} s"


def _after(seconds: float) -> str:
    """Time of a step since the decision."""
    return f"{seconds:+.2f} s" if abs(seconds) < 120.0 else f"{seconds / 60.0:+,.0f} min"


def _text(value: str) -> Text:
    """Text without signs that would control the terminal."""
    return Text("".join(sign if sign.isprintable() else " " for sign in value))


def _score(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3f}"


def _short(name: str) -> str:
    return name if len(name) <= _MOST_MODEL else name[: _MOST_MODEL - 1] + "…"
