"""The ``floorline report`` commands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from floorline.cli.options import DEFAULT_CONFIG

if TYPE_CHECKING:
    from floorline.sla import SLA

app = typer.Typer(help="Write down what can be said of a promise.", no_args_is_help=True)

NOT_KEPT = 1


@app.callback()
def _root() -> None:
    """Keep 'certificate' a command of its own while it is the only one."""


@app.command()
def certificate(
    log: Annotated[
        str, typer.Option(help="Log: a store's URL or file, or a .jsonl file of 'store export'.")
    ],
    sla: Annotated[
        str | None, typer.Option(help="SLA to certify; may be left out if the log has only one.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help=f"Configuration that promises it. [default: {DEFAULT_CONFIG} if there]"),
    ] = None,
    floor: Annotated[
        float | None, typer.Option(help="Certify this floor instead of the one promised.")
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(help="Confidence of the bounds. [default: the SLA's]")
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="betting; bernstein (narrower for graded labels that vary little); ipw or dr "
            "(for labels of a known rate)."
        ),
    ] = "betting",
    rate: Annotated[
        float | None, typer.Option(help="Known probability of a label, for ipw and dr.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Take labels of this source only, such as judge.")
    ] = None,
    signed_by: Annotated[str, typer.Option(help="Who stands for it.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for the page.", show_default=True)] = Path(
        "certificate"
    ),
) -> None:
    """Certify an SLA's floor from a log, and write the page to sign as HTML and JSON.

    Prints one line. Exit code 0 if the floor is kept, 1 if it is broken, at risk or unknown, 2 if
    something was wrong with the command or the log.
    """
    from floorline.report.certificate_page import verdict_line, write_report
    from floorline.report.certificate_report import make_report, promised, read_promise
    from floorline.stores.log_source import reading_log, without_password

    known = _known(config)
    with reading_log(log) as events:
        promise = read_promise(events, sla, source)
    report = make_report(
        promise,
        promised(promise, known, floor, confidence),
        events,
        name=without_password(log),
        method=method,
        rate=rate,
        signed_by=signed_by,
        signed_at=time.time(),
    )
    written = write_report(report, out)
    console = Console(soft_wrap=True, highlight=False)
    console.print(verdict_line(report), markup=False)
    for path in written:
        console.print(f"wrote {path}", markup=False)
    if report.certificate.verdict != "kept":
        raise typer.Exit(NOT_KEPT)


def _known(config: Path | None) -> list[SLA]:
    """SLAs of a configuration; none if it was not given and is not there."""
    if config is None and not DEFAULT_CONFIG.exists():
        return []
    from floorline.config import load

    return load(DEFAULT_CONFIG if config is None else config).promises()
