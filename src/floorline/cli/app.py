"""The ``floorline`` command."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
import typer.core
from rich.console import Console
from rich.markup import escape
from typer.exceptions import TyperException

from floorline._extras import needs
from floorline._version import __version__
from floorline.cli.terminal import show_all_signs
from floorline.errors import ConfigError, FloorlineError, system_reason


class _Command(NamedTuple):
    """Where a command is (a function, or commands of its own), the extra it needs and its help."""

    where: str
    extra: str
    help: str


COMMANDS = {
    "demo": _Command(
        "demo:demo",
        "bench",
        "Compare routing to a floor with the reference points on a simulated zoo.",
    ),
    "serve": _Command(
        "serve:serve",
        "gateway",
        "Serve an OpenAI-compatible API that routes each request and keeps the SLAs' floors.",
    ),
    "learn": _Command(
        "learn:learn",
        "gateway",
        "Learn for several servers that share one log.",
    ),
    "check": _Command(
        "check:check",
        "gateway",
        "Validate a configuration file and check every provider.",
    ),
    "keys": _Command(
        "keys:app",
        "gateway",
        "Create, list and revoke the API keys of the server's clients.",
    ),
    "connect": _Command(
        "connect:connect",
        "connect",
        "Print the settings that point a client at the server, or write them into its file.",
    ),
    "store": _Command(
        "store:app",
        "gateway",
        "Upgrade, clean up, export, verify and repair the server's event log.",
    ),
    "explain": _Command(
        "explain:explain",
        "cli",
        "Say why a model answered a request, why the others did not, and what came of it.",
    ),
    "top": _Command(
        "top:top",
        "cli",
        "Show live in the terminal what a gateway promises, spends and decides.",
    ),
    "mcp": _Command(
        "mcp:mcp",
        "mcp",
        "Let assistants ask a running gateway for its status, over the Model Context Protocol.",
    ),
    "replay": _Command(
        "replay:replay",
        "bench",
        "Replay policies over a routing table as if it were live traffic, and compare them.",
    ),
    "bench": _Command(
        "bench:bench",
        "bench",
        "Run a suite of replays that a YAML file declares, and write a report with tables and "
        "plots.",
    ),
    "datasets": _Command(
        "datasets:app",
        "data",
        "List, describe, convert and fetch routing data: the quality and cost of each model on "
        "each prompt.",
    ),
    "hints": _Command(
        "hints:hints",
        "data",
        "Print the section 'hints' of floorline.yaml from an evaluation of the models.",
    ),
    "trial": _Command(
        "trial:trial",
        "gateway,data",
        "Collect labelled responses of live models to some prompts, within a cap on the cost.",
    ),
    "train": _Command(
        "train:app",
        "train",
        "Train the network of a policy that cannot serve without one.",
    ),
    "report": _Command(
        "report:app",
        "report",
        "Write reports: on SLAs from the log of their requests, and on bench runs.",
    ),
    "whatif": _Command(
        "whatif:whatif",
        "gateway",
        "Estimate satisfaction and cost of another policy on the logged requests.",
    ),
}
"""Every command, without importing it; a test compares each help with the command's own."""


class _Commands(typer.core.TyperGroup):
    """Imports a command when it is called, so that each needs only its own extra."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = {
            name: typer.core.TyperCommand(name, help=known.help) for name, known in COMMANDS.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name of the command that is called, the command and its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else load_command(name), rest


def load_command(name: str) -> Any:
    """Import a command.

    Raises
    ------
    MissingExtra
        If a module that the command needs is not installed.
    """
    known = COMMANDS[name]
    module, _, attribute = known.where.partition(":")
    with needs(known.extra, f"floorline {name}"):
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
    show_all_signs()
    try:
        result = app(args=arguments, prog_name="floorline", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return _fail("stopped", code=130)
    except BrokenPipeError:
        # The reader of a pipe, such as head, has seen enough.
        _close_output()
        return 1
    except ConfigError as error:
        for problem in error.problems:
            _fail(problem)
        return 2
    except FloorlineError as error:
        return _fail(str(error))
    except TyperException as error:
        return _usage(error)
    except OSError as error:
        return _fail(_refused_by_the_system(error))
    except MemoryError:
        return _fail("the memory is not large enough: give less data, or use --jobs 1")
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        return _fail(_fault(error))
    return result if isinstance(result, int) else 0


_FIXES = (
    (r"Input should be a valid integer.*", "give a whole number"),
    (r"Input should be a valid number.*", "give a number"),
    (r"Input should be greater than or equal to (\S+)", r"give \1 or more"),
    (r"Input should be less than or equal to (\S+)", r"give \1 or less"),
    (r"Input should be .*", "give another value"),
)
"""Words with which the parser of options refuses a value, and what to do."""
ISSUES = "https://github.com/floorline/floorline/issues"
TRACEBACK = "FLOORLINE_TRACEBACK"
"""Environment variable that shows where an error of Floorline itself is."""


def _refused_by_the_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    why = system_reason(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{where}{why}; free some space, or write to another disk"
    return f"{where}{why}; check the path and its permissions"


def _fault(error: Exception) -> str:
    """Say where a fault of Floorline itself is; its text would help no user."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "floorline" in Path(frame.filename).parts] or frames
    where = f"{Path(own[-1].filename).name}, line {own[-1].lineno}" if own else "unknown place"
    return (
        f"a fault of Floorline itself ({where}): run the command again with {TRACEBACK}=1 and "
        f"report what it prints at {ISSUES}"
    )


def _close_output() -> None:
    """Let the interpreter not write the rest of the output at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage(error: TyperException) -> int:
    text = error.format_message()
    if not text.strip():
        # A command without arguments has printed its help.
        return 2
    for words, fix in _FIXES:
        text = re.sub(words, fix, text)
    return _fail(f"{text.strip().rstrip('.')}; see 'floorline --help'")


def _fail(text: str, *, code: int = 2) -> int:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[red]error:[/red] {_plain(text)}")
    return code


def _plain(text: str) -> str:
    return escape(" ".join(text.split()))
