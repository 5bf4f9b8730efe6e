"""A certificate as a page that needs nothing but a browser, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import msgspec

from floorline._files import write_whole
from floorline.report.certificate_plot import interval_svg
from floorline.report.certificate_report import Group, Report
from floorline.state.certificate import Certificate

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff; margin: 2.5rem auto;
  max-width: 780px; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; border-bottom: 1px solid #d5dbe3; }
.verdict { border-left: .5rem solid; padding: .6rem 1rem; margin: 1.2rem 0; background: #f5f7fa; }
.verdict strong { font-size: 1.3rem; }
.kept { border-color: #1a7f4b; } .broken { border-color: #b3261e; }
.at-risk { border-color: #c77700; } .unknown { border-color: #6b7686; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #e7ebf0;
  vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
code { font: .85em ui-monospace, monospace; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: #4a5565; }
.grid { stroke: #e7ebf0; } .band { fill: #1f4e9e; opacity: .18; }
.mean { fill: none; stroke: #1f4e9e; stroke-width: 2; }
.floor { stroke: #1c2430; stroke-dasharray: 6 4; stroke-width: 1.4; }
.signature { margin-top: 2.5rem; border-top: 2px solid #1c2430; padding-top: .6rem; }
li { margin: .3rem 0; }
"""


def write_report(report: Report, out: Path) -> list[Path]:
    """Write ``certificate.json`` and ``certificate.html`` into a folder; returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    body = msgspec.json.format(msgspec.json.encode(report), indent=2)
    written = [out / "certificate.json", out / "certificate.html"]
    write_whole(written[0], body + b"\n")
    write_whole(written[1], html_page(report).encode())
    return written


def html_page(report: Report) -> str:
    """Write a report as one HTML document without scripts or outside references."""
    made = report.certificate
    name = escape(made.sla)
    title = f"Certificate of SLA {name}"
    parts = [
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>",
        f"<meta name='viewport' content='width=device-width'><style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1><p>Mean satisfaction of its responses is to be at least "
        f"<b>{_percent(made.floor)}</b>.</p>",
        *[f"<p>{escape(note)}</p>" for note in report.notes],
        _verdict(made),
        interval_svg(report.series, made.floor, report.counted) if report.series else "",
        f"<p>Mean (line), its bounds at {_percent(made.confidence)} confidence (band) and the "
        f"floor (dashed) over {report.counted}.</p>",
        _facts(report),
    ]
    if report.window is not None:
        parts += [f"<h2>Latest {report.window.window:,} labels</h2>", _verdict(report.window)]
    parts += [
        "<h2>What this assumes</h2>",
        _bullets(made.assumptions),
        "<h2>Signs in the data against it</h2>",
        _bullets(report.checks) if report.checks else "<p>None found.</p>",
        "<h2>Labels by source</h2>",
        _table("source", report.sources, served=False),
        f"<p>{report.corrected:,} corrections; a corrected label counts once, as last given.</p>",
        "<h2>Responses by model</h2>",
        _table("model", report.models, served=True),
        _data(report),
        f"<div class='signature'>Signed by <b>{escape(report.signed_by) or 'nobody'}</b>, "
        f"{_time(report.signed_at)}. Made by Floorline {escape(report.floorline)}.</div>",
        "</body></html>\n",
    ]
    return "\n".join(parts)


def verdict_line(report: Report) -> str:
    """One line: the verdict and the numbers it rests on."""
    made = report.certificate
    mean = "-" if made.satisfaction is None else f"{made.satisfaction:.4f}"
    return (
        f"{made.sla}: {made.verdict}. floor {made.floor:g}, mean {mean}, "
        f"{100 * made.confidence:g} % bounds {made.lower:.4f} to {made.upper:.4f}, "
        f"{made.labels:,} labels of {made.requests:,} responses"
    )


def _verdict(made: Certificate) -> str:
    kind = made.verdict.replace(" ", "-")
    mean = "" if made.satisfaction is None else f" Mean {_percent(made.satisfaction)};"
    return (
        f"<div class='verdict {kind}'><strong>{made.verdict.capitalize()}</strong>: "
        f"{escape(made.reason)}.<br>{mean} bounds {_percent(made.lower)} to "
        f"{_percent(made.upper)}; {made.labels:,} labels of {made.requests:,} responses.</div>"
    )


def _facts(report: Report) -> str:
    made = report.certificate
    rows = [("Method", made.method), ("Confidence", _percent(made.confidence))]
    return _pairs(rows)


def _data(report: Report) -> str:
    data = report.data
    if data.first_at is None or data.last_at is None:
        span = "no event has a time"
    else:
        span = f"{_time(data.first_at)} to {_time(data.last_at)}"
    positions = (
        "none"
        if data.last_position is None
        else (f"{data.first_position:,} to {data.last_position:,} ({data.events:,} events)")
    )
    return "<h2>Data</h2>" + _pairs(
        [("Log", data.log), ("Positions", positions), ("Time", span), ("SHA-256", data.sha256)]
    )


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    cells = [
        f"<tr><th>{escape(name)}</th><td>"
        + (f"<code>{escape(value)}</code>" if name in ("Log", "SHA-256") else escape(value))
        + "</td></tr>"
        for name, value in rows
    ]
    return f"<table>{''.join(cells)}</table>"


def _table(what: str, groups: Sequence[Group], *, served: bool) -> str:
    number = "<th class='number'>"
    head = f"<tr><th>{what}</th>" + (f"{number}served</th>" if served else "")
    head += f"{number}labels</th>{number}mean satisfaction</th></tr>"
    rows = []
    for group in groups:
        numbers = [f"{group.served:,}"] if served else []
        numbers += [f"{group.labels:,}", "-" if group.mean is None else _percent(group.mean)]
        cells = "".join(f"<td class='number'>{cell}</td>" for cell in numbers)
        rows.append(f"<tr><td>{escape(group.name)}</td>{cells}</tr>")
    return f"<table>{head}{''.join(rows)}</table>"


def _bullets(texts: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + " %"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
