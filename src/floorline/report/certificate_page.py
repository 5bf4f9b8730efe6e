"""A certificate as a page that needs nothing but a browser, and as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import msgspec

from floorline._extras import needs
from floorline._files import write_whole
from floorline.report.certificate_plot import interval_plot
from floorline.report.certificate_report import Report

with needs("report", "the page of a certificate"):
    from mako.template import Template

_TEMPLATE = "certificate.html.mako"


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
    template = Template(
        files("floorline.report").joinpath(_TEMPLATE).read_text("utf-8"),
        default_filters=["h"],
        strict_undefined=True,
    )
    made = report.certificate
    plot = interval_plot(report.series, made.floor) if report.series else None
    page: str = template.render_unicode(report=report, made=made, data=report.data, plot=plot)
    return page


def verdict_line(report: Report) -> str:
    """Return one line: the verdict and the numbers it rests on."""
    made = report.certificate
    mean = "-" if made.satisfaction is None else f"{made.satisfaction:.4f}"
    return (
        f"{made.sla}: {made.verdict}. floor {made.floor:g}, mean {mean}, "
        f"{100 * made.confidence:g} % bounds {made.lower:.4f} to {made.upper:.4f}, "
        f"{made.labels:,} labels of {made.requests:,} responses"
    )


def latency_lines(report: Report) -> list[str]:
    """Return one line for each promise of latency, as ``verdict_line`` is for the floor."""
    return [
        f"{made.sla}: {made.verdict}. {made.promise}: share "
        f"{'-' if made.within is None else format(made.within, '.4f')}, "
        f"{100 * made.confidence:g} % bounds {made.lower:.4f} to {made.upper:.4f}, "
        f"{made.requests:,} requests"
        + (f" and {made.unknown:,} of unknown time" if made.unknown else "")
        for made in report.certificate.latency
    ]


def percent(share: float) -> str:
    """Write a share as a percentage with up to two decimals."""
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + " %"


def time(seconds: float) -> str:
    """Write seconds since 1970 as a date and time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
