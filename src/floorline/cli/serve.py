"""The ``floorline serve`` command."""

from __future__ import annotations

import logging
import os
import signal
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from floorline._extras import needs
from floorline.cli.connect import DEFAULT_KEY_ENV
from floorline.errors import InvalidInput

if TYPE_CHECKING:
    from floorline.demo.demo_keys import DemoKeys

_console = Console(stderr=True, highlight=False, soft_wrap=True)


def serve(
    config: Annotated[
        Path | None,
        typer.Option(help="Configuration file; docs/configuration.md lists its fields."),
    ] = None,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo",
            help="Serve simulated models of a built-in fake provider, on this machine only.",
        ),
    ] = False,
    users: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="With --demo: let this number of simulated users send requests and feedback, "
            "about one each a minute, and let models fail now and then.",
        ),
    ] = None,
    keys: Annotated[
        bool,
        typer.Option(
            "--keys",
            help="With --demo: clients need API keys, which are printed; the users belong to two "
            "tenants.",
        ),
    ] = False,
    open_browser: Annotated[
        bool, typer.Option("--open", help="With --demo: open the dashboard in the browser.")
    ] = False,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on, in place of server.host.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port to listen on, in place of server.port; 0 for any free one."
        ),
    ] = None,
    unix_socket: Annotated[
        Path | None,
        typer.Option(
            help="File of a unix socket to listen on, in place of an address and of "
            "server.unix_socket."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            help="Serve by this number of processes at one address, with a learner beside them "
            "(docs/replicas.md). They share the log in store.url.",
        ),
    ] = None,
    listen: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve an OpenAI-compatible API that routes each request and keeps the SLAs' floors.

    SIGINT and SIGTERM stop the server after its open requests; SIGHUP reads the configuration
    file again.
    """
    if demo == (config is not None):
        raise InvalidInput(
            "serve", "--config and --demo" if demo else "neither", "give --config FILE or --demo"
        )
    if unix_socket is not None and (demo or host is not None or port is not None):
        other = "--demo" if demo else "--host" if host is not None else "--port"
        raise InvalidInput("serve", f"--unix-socket and {other}", "give one of the two")
    if workers is not None and (demo or unix_socket is not None):
        other = "--demo" if demo else "--unix-socket"
        raise InvalidInput("serve", f"--workers and {other}", "give one of the two")
    for option, given in (
        ("--users", users is not None),
        ("--keys", keys),
        ("--open", open_browser),
    ):
        if given and not demo:
            raise InvalidInput("serve", option, "give --demo with it, or leave it out")
    # One thread: products of 11 models and 1,024 features take less time than waking others.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with needs("gateway", "serving"):
        import uvloop

        from floorline.config import load
        from floorline.gateway.server import serve as run
        from floorline.gateway.shared_heap import share_heap
        from floorline.gateway.signals import note_hangups
    share_heap()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    if demo:
        from floorline.demo.gateway import check_users, serve_demo

        def ready(url: str, made: DemoKeys | None) -> None:
            _print_demo(url, users or 0, made)
            if open_browser:
                webbrowser.open(f"{url}/dashboard")

        check_users(users or 0)
        # Until the server handles it, SIGTERM must not leave the files of the demo either.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if users:
            _console.print(f"{users} simulated users: the log gets a day of requests first.")
        address = host or "127.0.0.1", 8080 if port is None else port
        uvloop.run(serve_demo(*address, ready, users=users or 0, with_keys=keys))
        return
    assert config is not None
    note_hangups()
    settings = load(config)
    for model in settings.models:
        if model.price not in (None, "free"):
            _console.print(f"price of {escape(model.price_line())}")
    settings = settings.at(host, port, unix_socket)
    if workers is not None:
        from floorline.gateway.replicas.workers import Workers

        Workers(settings, config, workers).run(_print_address)
        return
    if listen is not None:
        # A worker, whose address the process that started it prints.
        uvloop.run(run(settings.replicated(), config, listen=listen))
        return
    uvloop.run(run(settings, config, on_ready=_print_address))


def _print_address(url: str) -> None:
    _console.print(f"Floorline answers at [bold]{url}/v1[/bold]; readiness: {url}/readyz")


def _print_demo(url: str, users: int, keys: DemoKeys | None) -> None:
    simulated = " The users send requests and feedback from now on." if users else ""
    needed = "no key needed" if keys is None else "with the first of these keys"
    header = "" if keys is None else f' -H "Authorization: Bearer ${DEFAULT_KEY_ENV}"'
    export = "" if keys is None else f"  export {DEFAULT_KEY_ENV}={keys.administrator}\n"
    listed = (
        ""
        if keys is None
        else f"Key that sees everything:      [bold]{keys.administrator}[/bold]\n"
        f"Key that sees the tenant acme: [bold]{keys.viewer}[/bold]\n"
    )
    _console.print(
        f"Floorline answers at [bold]{url}/v1[/bold], {needed}. Models, prices, answers and "
        f"satisfaction are [bold]simulated[/bold].{simulated}\n"
        f"Dashboard: [bold]{url}/dashboard[/bold]\n{listed}"
        f"Try it:\n{export}"
        f"  curl -i {url}/v1/chat/completions{header} -H 'content-type: application/json' \\\n"
        '    -d \'{"model": "floorline/gold", '
        '"messages": [{"role": "user", "content": "Explain CRDTs"}]}\'\n'
        f"  curl {url}/v1/feedback{header} -H 'content-type: application/json' \\\n"
        '    -d \'{"id": "ID OF THE ANSWER", "satisfied": true}\'\n'
        f"  curl {url}/v1/slas/gold{header}\n"
        f"  floorline top --url {url}",
        markup=True,
    )
