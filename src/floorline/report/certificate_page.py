"""A certificate as a page that needs nothing but a browser, and as JSON."""

from __future__ import annotations

from pathlib import Path

import msgspec

from floorline._files import write_whole
from floorline.core.display import show_cost
from floorline.report.certificate_plot import interval_plots
from floorline.report.certificate_report import Report
from floorline.report.pdf import pdf_of
from floorline.report.templates import render
from floorline.state.certificate import Certificate


def write_report(report: Report, out: Path, *, pdf: bool = False) -> list[Path]:
    """Write ``certificate.json`` and ``.html``, and ``.pdf`` if asked, into a folder.

    Returns
    -------
    Paths of the files

    Raises
    ------
    FloorlineError
        If a PDF is asked for and what it needs is not installed. Then nothing is written.
    """
    body = msgspec.json.format(msgspec.json.encode(report), indent=2)
    page = html_page(report)
    contents = {".json": body + b"\n", ".html": page.encode()}
    if pdf:
        contents[".pdf"] = pdf_of(page)
    out.mkdir(parents=True, exist_ok=True)
    for ending, content in contents.items():
        write_whole(out / f"certificate{ending}", content)
    return [out / f"certificate{ending}" for ending in contents]


def html_page(report: Report) -> str:
    """Write a report as one HTML document without scripts or outside references."""
    made = report.certificate
    plots = interval_plots(report.series, made.floor, report.counted)
    return render(
        "certificate.html.jinja",
        report=report,
        made=made,
        data=report.data,
        plots=plots,
        cost=show_cost,
    )


def verdict_line(made: Certificate) -> str:
    """Return one line: the verdict and the numbers it rests on."""
    mean = "-" if made.satisfaction is None else f"{made.satisfaction:.4f}"
    return (
        f"{made.sla}: {made.verdict}. floor {made.floor:g}, mean {mean}, "
        f"{100 * made.confidence:g} % bounds {made.lower:.4f} to {made.upper:.4f}, "
        f"{made.labels:,} labels of {made.requests:,} responses"
    )


def judge_lines(certificate: Certificate) -> list[str]:
    """Return a line for each bound by a judge, as ``verdict_line`` is for the floor."""
    lines = []
    for made in certificate.judged:
        counts = f"{made.drawn:,} scores and {made.missed:,} missed draws"
        for what, found in (
            (f"by judge {made.judge} ({counts})", made.by_judge),
            (f"users with judge {made.judge} ({made.pairs:,} pairs)", made.with_users),
        ):
            mean = "-" if found.satisfaction is None else f"{found.satisfaction:.4f}"
            lines.append(
                f"{certificate.sla}, {what}: {found.verdict}. mean {mean}, "
                f"{100 * certificate.confidence:g} % bounds {found.lower:.4f} to {found.upper:.4f}"
            )
    return lines


def latency_lines(certificate: Certificate) -> list[str]:
    """Return one line for each promise of latency, as ``verdict_line`` is for the floor."""
    return [
        f"{made.sla}: {made.verdict}. {made.promise}: share "
        f"{'-' if made.within is None else format(made.within, '.4f')}, "
        f"{100 * made.confidence:g} % bounds {made.lower:.4f} to {made.upper:.4f}, "
        f"{made.requests:,} requests"
        + (f" and {made.unknown:,} of unknown time" if made.unknown else "")
        for made in certificate.latency
    ]
