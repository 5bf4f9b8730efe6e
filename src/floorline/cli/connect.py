"""The ``floorline connect`` command."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from floorline._extras import needs
from floorline.cli.client_files import merged, text_of
from floorline.cli.clients import CLIENTS, Client, Target
from floorline.cli.terminal import note
from floorline.core.bounds import MAX_NAME, is_name
from floorline.errors import InvalidInput, did_you_mean, listed

DEFAULT_URL = "http://127.0.0.1:8080"
"""Where ``floorline serve`` listens by default."""
DEFAULT_KEY_ENV = "FLOORLINE_API_KEY"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_API = re.compile(r"(/v1(/chat/completions|/messages|/responses)?)?/*$")


def connect(
    client: Annotated[str, typer.Argument(help=f"Client to connect: {listed(CLIENTS)}.")],
    url: Annotated[str, typer.Option(help="URL of the server, with or without /v1.")] = DEFAULT_URL,
    key_env: Annotated[
        str, typer.Option(help="Environment variable that holds the client's API key.")
    ] = DEFAULT_KEY_ENV,
    sla: Annotated[
        str, typer.Option(help="SLA that the client asks for; auto for the first one it may use.")
    ] = "auto",
    write: Annotated[
        bool,
        typer.Option(
            "--write",
            help="Change the client's configuration file, and keep the old one beside it.",
        ),
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Configuration file, if not the client's own."),
    ] = None,
) -> None:
    """Print the settings that point a client at the server, or write them into its file.

    Other settings of the file stay as they are. No file gets a key, only the name of the variable
    that holds it.
    """
    known = CLIENTS.get(client)
    if known is None:
        fix = did_you_mean(client, CLIENTS) + "name one of: " + listed(CLIENTS)
        raise InvalidInput("client", client, fix)
    target = Target(server_url(url), _key_env(key_env), _sla(sla))
    path = known.file(Path.home(), os.environ) if file is None else file
    with needs("connect", "floorline connect"):
        if write:
            _write(known, target, path)
        else:
            text = text_of(known.kind, known.settings(target))
            note(f"{known.title} takes this in {path}; --write puts it there")
            typer.echo(text, nl=False)
    note(
        f"set {target.key_env} to a key that 'floorline keys create' has printed, or to any text "
        f"if the server has auth: none; then {known.run}"
    )


def _write(client: Client, target: Target, path: Path) -> None:
    change = merged(path, client.kind, client.settings(target), client.fresh)
    if not change.needed:
        note(f"{change.path} says so already")
        return
    typer.echo(change.diff(), nl=False)
    kept = change.write()
    note(f"wrote {change.path}" + ("" if kept is None else f"; the old one is {kept.name}"))


def server_url(url: str) -> str:
    """Return the server's URL without ``/v1`` and what follows it.

    Raises
    ------
    InvalidInput
        If it is no URL of a server.

    Examples
    --------
    >>> server_url("http://localhost:8080/v1/"), server_url("https://llm.example.org/gateway")
    ('http://localhost:8080', 'https://llm.example.org/gateway')
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or re.search(r"[\s\"'\\?#@]", url):
        raise InvalidInput("--url", url, f"give the server's URL, such as {DEFAULT_URL}")
    return _API.sub("", url)


def _key_env(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        fix = f"give the name of an environment variable, such as {DEFAULT_KEY_ENV}"
        # It may be the key itself.
        raise InvalidInput("--key-env", "no name of a variable", fix)
    return name


def _sla(name: str) -> str:
    name = name.removeprefix("floorline/")
    if not name or not is_name(name) or re.search(r"[\s\"'\\]", name):
        fix = f"give the name of an SLA of the server, of at most {MAX_NAME} characters"
        raise InvalidInput("--sla", name, fix)
    return name
