"""The ``floorline`` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from typer.exceptions import TyperException

from floorline import bench_cli, datasets_cli, replay_cli, training_cli
from floorline.errors import FloorlineError
from floorline.version import __version__

app = typer.Typer(
    help="Route each LLM request to the cheapest model that keeps a promised floor on quality.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(datasets_cli.app, name="datasets")
app.command("demo")(replay_cli.demo)
app.command("replay")(replay_cli.replay)
app.command("bench")(bench_cli.bench)
app.add_typer(training_cli.app, name="train")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"floorline {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; every error is one line with a fix, and exit code 2."""
    if "" not in sys.path:
        # So that --policy my_module:MyPolicy finds a file beside the user, as python -m would.
        sys.path.insert(0, "")
    try:
        result = app(args=arguments, prog_name="floorline", standalone_mode=False)
    except typer.Abort:
        return _fail("stopped", code=130)
    except KeyboardInterrupt:
        return _fail("stopped", code=130)
    except FloorlineError as error:
        return _fail(str(error))
    except TyperException as error:
        return _usage(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}; check the path and its permissions")
    return result if isinstance(result, int) else 0


def _usage(error: TyperException) -> int:
    text = error.format_message()
    if not text.strip():
        # A command without arguments has printed its help.
        return 2
    return _fail(f"{text.rstrip('.')}; see 'floorline --help'")


def _fail(text: str, *, code: int = 2) -> int:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[red]error:[/red] {_plain(text)}")
    return code


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("[", r"\[")


def run() -> None:
    """Entry point of the installed command."""
    sys.exit(main())
