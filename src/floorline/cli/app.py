"""The ``floorline`` command."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
import typer.core
from rich.console import Console
from typer.exceptions import TyperException

from floorline._version import __version__
from floorline.errors import ConfigError, FloorlineError

_COMMANDS = {
    "demo": "replay:demo",
    "serve": "serve:serve",
    "check": "check:check",
    "keys": "keys:app",
    "store": "store:app",
    "replay": "replay:replay",
    "bench": "bench:bench",
    "datasets": "datasets:app",
    "train": "train:app",
    "report": "report:app",
    "whatif": "whatif:whatif",
}
"""Where each command is; a function, or commands of its own."""


class _Commands(typer.core.TyperGroup):
    """Imports a command when it is called: a server should not wait for the plots of a replay."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = dict.fromkeys(_COMMANDS)  # type: ignore[assignment]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; None if there is none of this name."""
        if cmd_name in self.commands and self.commands[cmd_name] is None:
            self.commands[cmd_name] = _load(cmd_name)
        return self.commands.get(cmd_name)


def _load(name: str) -> Any:
    module, _, attribute = _COMMANDS[name].partition(":")
    found = getattr(importlib.import_module(f"floorline.cli.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(context_settings=_CONTEXT)
        alone.command(name)(found)
        found = alone
    command = typer.main.get_command(found)
    command.name = name
    return command


_CONTEXT = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    cls=_Commands,
    help="Route each LLM request to the cheapest model that keeps a promised floor on quality.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=_CONTEXT,
)


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
    except ConfigError as error:
        for problem in error.problems:
            _fail(problem)
        return 2
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
