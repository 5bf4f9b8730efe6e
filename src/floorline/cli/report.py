"""The ``floorline report`` commands."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from floorline.cli.options import DEFAULT_CONFIG, TIME, moment, store_url

if TYPE_CHECKING:
    from floorline.sla import SLA

app = typer.Typer(
    help="Write reports: on SLAs from the log of their requests, and on bench runs.",
    no_args_is_help=True,
)

Log = Annotated[
    str | None,
    typer.Option(
        help="Log: URL or file of a store, or a .jsonl file that 'store export' wrote. "
        "[default: the store of the configuration]"
    ),
]
Pdf = Annotated[
    bool, typer.Option("--pdf", help="Also write it as PDF, which needs the extra 'pdf'.")
]
NOT_KEPT = 1
"""Exit code if the verdict is anything but 'kept'."""


@app.command()
def certificate(
    log: Log = None,
    sla: Annotated[
        str | None, typer.Option(help="SLA to certify. [default: the log's, if it has only one]")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Configuration that defines the SLA and names the store. "
            f"[default: {DEFAULT_CONFIG} if it exists]"
        ),
    ] = None,
    floor: Annotated[
        float | None,
        typer.Option(help="Floor to certify, from 0 to 1. [default: the SLA's floor]"),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(help="Confidence level of the bounds. [default: the SLA's level]"),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="Confidence sequence: betting; bernstein (narrower for graded labels of small "
            "variance); ipw or dr (for labels that arrive with a known probability)."
        ),
    ] = "betting",
    rate: Annotated[
        float | None, typer.Option(help="Known probability of a label, for ipw and dr.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(help="Use the labels of this source only, such as judge. Repeatable."),
    ] = None,
    signed_by: Annotated[
        str, typer.Option(help="Name of the person who signs the certificate.")
    ] = "",
    pdf: Pdf = False,
    out: Annotated[
        Path, typer.Option(help="Folder for the certificate.", show_default=True)
    ] = Path("certificate"),
) -> None:
    """Certify an SLA's floor from a log, and write the certificate as HTML and JSON.

    Prints one line, a second one if the floor is unreachable: why, one line for each promise of
    latency, and two for each judge, which change no exit code. Exit code 0 if the floor and these
    promises are kept, 1 if one is unreachable, broken, at risk or unknown, 2 if the command or the
    log has an error.
    """
    from floorline.errors import without_credentials
    from floorline.report.certificate_page import (
        judge_lines,
        latency_lines,
        verdict_line,
        write_report,
    )
    from floorline.report.certificate_report import make_report, promised, read_promise
    from floorline.report.judged_log import JudgedLog
    from floorline.stores.log_source import reading_log

    known = _known(config)
    name = store_url(log, config or DEFAULT_CONFIG)
    judged = JudgedLog(sources=source)
    with reading_log(name) as events:
        promise = read_promise(events, sla, source, judged)
    report = make_report(
        promise,
        promised(promise, known, floor, confidence),
        events,
        name=without_credentials(name),
        method=method,
        rate=rate,
        signed_by=signed_by,
        signed_at=time.time(),
        judged=judged,
    )
    written = write_report(report, out, pdf=pdf)
    console = Console(soft_wrap=True, highlight=False)
    console.print(verdict_line(report.certificate), markup=False)
    if report.certificate.verdict == "unreachable":
        console.print(report.certificate.reason, markup=False)
    for line in (*latency_lines(report.certificate), *judge_lines(report.certificate)):
        console.print(line, markup=False)
    for path in written:
        console.print(f"wrote {path}", markup=False, soft_wrap=True)
    made = report.certificate
    if made.verdict != "kept" or any(one.verdict != "kept" for one in made.latency):
        raise typer.Exit(NOT_KEPT)


@app.command()
def sla(
    since: Annotated[
        str, typer.Option(help=f"Time of the first request: {TIME}.", show_default=True)
    ] = "7d",
    until: Annotated[
        str | None,
        typer.Option(help="Time after the last request, written like --since. [default: now]"),
    ] = None,
    sla: Annotated[
        str | None, typer.Option(help="SLA to report on. [default: every one with requests]")
    ] = None,
    tenant: Annotated[
        str | None,
        typer.Option(help="Report on this tenant's requests only, and say nothing of others."),
    ] = None,
    customer: Annotated[
        str, typer.Option(help="Name of the customer in the title. [default: the tenant]")
    ] = "",
    log: Log = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help=f"Configuration that names the store. [default: {DEFAULT_CONFIG} if it exists]"
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(help="Confidence level of the bounds. [default: the SLA's level]"),
    ] = None,
    pdf: Pdf = False,
    out: Annotated[Path, typer.Option(help="Folder for the report.", show_default=True)] = Path(
        "sla-report"
    ),
) -> None:
    """Report on SLAs over a period, for the customer: HTML and JSON, and PDF if asked.

    Reads the store; no gateway has to run, and one may. Prints one line for each SLA: its verdict
    and the numbers it rests on.
    """
    from floorline.cli.terminal import note
    from floorline.errors import InvalidInput, without_credentials
    from floorline.report.certificate_page import judge_lines, latency_lines, verdict_line
    from floorline.report.sla.page import write_period_report
    from floorline.report.sla.report import check_found, make_period_report, source_of
    from floorline.report.sla.requests import PeriodFold, Scope
    from floorline.stores.log_source import reading_log

    now = time.time()
    # Whole seconds, so that the command on the page is short.
    first = math.floor(moment("since", since))
    last = math.ceil(min(now, now if until is None else moment("until", until)))
    if not first < last:
        raise InvalidInput("until", until or "now", f"give a time after --since {since}")
    known = _known(config)
    name = store_url(log, config or DEFAULT_CONFIG)
    fold = PeriodFold(Scope(float(first), float(last), tenant, sla))
    with reading_log(name) as events:
        fold.fold_all(events)
    check_found(fold)
    stored = Path(name).suffix != ".jsonl"
    source = source_of(fold, events, without_credentials(name), verified=stored)
    report = make_period_report(
        fold, known, source, customer=customer, confidence=confidence, made_at=now
    )
    if len(fold.tenants) > 1:
        note(
            f"this report is about the requests of {len(fold.tenants)} tenants together: give "
            "--tenant before you send it to one of them"
        )
    written = write_period_report(report, out, pdf=pdf)
    console = Console(soft_wrap=True, highlight=False)
    for made in report.slas:
        lines = [*latency_lines(made.certificate), *judge_lines(made.certificate)]
        for line in (verdict_line(made.certificate), *lines):
            console.print(line, markup=False)
    for path in written:
        console.print(f"wrote {path}", markup=False)


@app.command()
def run(
    folder: Annotated[
        Path, typer.Argument(help="Folder that 'floorline bench --out FOLDER' wrote.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="File of the page. [default: report.html in the folder]")
    ] = None,
    pdf: Pdf = False,
) -> None:
    """Write a bench run as one HTML page, with its tables, its plots and what made them."""
    from floorline.report.run_page import write_run_page

    for path in write_run_page(folder, out, pdf=pdf):
        Console(soft_wrap=True, highlight=False).print(f"wrote {path}", markup=False)


def _known(config: Path | None) -> list[SLA]:
    """Return the SLAs of the configuration; none if no file was given and the default is absent."""
    if config is None and not DEFAULT_CONFIG.exists():
        return []
    from floorline.config import load

    return load(DEFAULT_CONFIG if config is None else config).as_slas()
