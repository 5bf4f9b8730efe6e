"""The ``floorline bench`` command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.markdown import Markdown

from floorline._ascii import ascii_text
from floorline.bench.run import run_suite
from floorline.bench.suite import load_suite, suite_folder
from floorline.bench.write_up import write_up
from floorline.cli.terminal import console, is_ascii
from floorline.replay.engines import EngineName, open_engine
from floorline.replay.progress import ReplayProgress

_SHIPPED = ", ".join(["all", *sorted(path.stem for path in suite_folder().glob("*.yaml"))])

_PICTURE = re.compile(r"^!\[.*\]\(.*\)$", re.MULTILINE)


def bench(
    suite: Annotated[
        str, typer.Option(help=f"Suite to run: {_SHIPPED}, or a YAML file of your own.")
    ] = "smoke",
    out: Annotated[Path, typer.Option(help="Folder for the report and the replays.")] = Path(
        "bench-out"
    ),
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Use this many processes of this machine. [default: 2; a cluster uses all its "
            "workers]",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="Where the replays run: local, or dask or ray, which need the extra of that name."
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            help="Address of a running cluster: tcp://HOST:8786 for Dask, HOST:6379, "
            "ray://HOST:10001 or auto for Ray. [default: DASK_SCHEDULER_ADDRESS or RAY_ADDRESS; "
            "without it a cluster of this machine is started]"
        ),
    ] = None,
    show: Annotated[bool, typer.Option(help="Print the report's tables at the end.")] = True,
) -> None:
    """Run a suite of replays that a YAML file declares, and write a report with tables and plots.

    The folder keeps finished replays: a stopped suite continues where it stopped, and a finished
    suite only writes its report again, whichever engine finished it. The results are the same on
    all engines. If replays fail, all others finish first.
    """
    declared = load_suite(suite)
    # The name is checked there, with the names that it may be.
    opened = open_engine(cast(EngineName, engine), address=address, jobs=jobs)
    with opened as workers, ReplayProgress(keep=True) as progress:
        sections = run_suite(declared, out, engine=workers, progress=progress)
    report = write_up(declared, sections, out)
    if show:
        # A terminal shows no pictures; the report links to them.
        text = _PICTURE.sub("", report.read_text(encoding="utf-8"))
        console.print(Markdown(ascii_text(text) if is_ascii(console) else text))
    console.print(f"wrote {report}", highlight=False, soft_wrap=True)
