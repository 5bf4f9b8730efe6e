"""The ``floorline explain`` command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import msgspec
import typer

from floorline.cli.connect import DEFAULT_URL
from floorline.cli.explanation_view import draw
from floorline.cli.gateway_http import GatewayClient, Key
from floorline.cli.options import store_url
from floorline.cli.terminal import console
from floorline.errors import FloorlineError, InvalidInput, abbreviated, listed
from floorline.state.explanation import Explanation

if TYPE_CHECKING:
    from floorline.stores.reading import LogReader


def explain(
    id: Annotated[str, typer.Argument(help="Id of a decision, or of a completion.")],
    url: Annotated[
        str | None, typer.Option(help=f"URL of the running gateway. [default: {DEFAULT_URL}]")
    ] = None,
    key: Key = None,
    store: Annotated[
        str | None,
        typer.Option(help="Read the event log of this store instead of asking a gateway."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Read the store that this configuration file names.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the explanation as JSON.")] = False,
) -> None:
    """Say why a model answered a request, why the others did not, and what came of it.

    It asks a running gateway, which explains the decisions of the key, or all of them to a key of
    the scope admin. With --store or --config it reads the event log itself; the server may run.
    """
    if store is None and config is None:
        found = _asked(GatewayClient(url or DEFAULT_URL, key), id)
    elif url is not None:
        raise InvalidInput("--url", url, "give either --url, or --store or --config")
    else:
        found = _read(store_url(store, config or Path()), id)
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
    else:
        console.print(draw(found))


def _asked(client: GatewayClient, id: str) -> Explanation:
    """Ask a gateway."""
    answer = client.get(f"/v1/decisions/{quote(id, safe='')}")
    try:
        return msgspec.convert(answer, Explanation)
    except msgspec.ValidationError as error:
        raise FloorlineError(
            f"the gateway at {client.url} explains decisions in another form ({error}): use the "
            "floorline of the gateway's version"
        ) from None


def _read(url: str, id: str) -> Explanation:
    """Read a store."""
    from floorline.stores.open_store import open_read_only

    with open_read_only(url) as engine:
        from floorline.state.explaining import explain as explain_decision
        from floorline.state.explaining import made_by
        from floorline.stores.decision_history import cost_unit_of, decision_history
        from floorline.stores.reading import LogReader

        reader = LogReader(engine)
        named = _meant(reader, id)
        history = decision_history(reader, named)
        made = made_by(history, named)
        return explain_decision(made, history, cost_unit=cost_unit_of(reader))


def _meant(reader: LogReader, id: str) -> str:
    """Id of the decision that an id of it or of its completion means."""
    from floorline.stores.browsing import LogBrowser, Wanted

    if reader.decision(id) is not None:
        return id
    found = LogBrowser(reader).named(id, Wanted())
    if len(found) == 1:
        return found[0].id
    if found:
        latest = [made.id for made in found]
        raise InvalidInput("ID", id, f"it means several decisions: give one of {listed(latest)}")
    raise InvalidInput(
        "ID", abbreviated(id), "give the id of a decision in this log, or of its completion"
    )
