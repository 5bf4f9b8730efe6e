"""The ``floorline demo`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from floorline._extras import needs
from floorline.cli.options import Jobs
from floorline.cli.terminal import console
from floorline.datasets import simulate
from floorline.encoders import make_encoder
from floorline.policies import REFERENCE_POINTS

DEMO_FLOORS = (0.70, 0.80, 0.88)
DEMO_REQUESTS = 3000

_TRAFFIC = "With --gateway"


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for the plot and the results.", show_default=True)
    ] = Path("demo-out"),
    seeds: Annotated[
        int, typer.Option(min=1, help="Repeat every replay with this many seeds.")
    ] = 5,
    jobs: Jobs = 2,
    gateway: Annotated[
        bool,
        typer.Option(
            "--gateway",
            help="Start a gateway and send it requests of simulated users over HTTP instead.",
            rich_help_panel=_TRAFFIC,
        ),
    ] = False,
    users: Annotated[
        int,
        typer.Option(
            min=1, help="Number of users. Each sends one request.", rich_help_panel=_TRAFFIC
        ),
    ] = 3000,
    floor: Annotated[
        float,
        typer.Option(help="Floor of the SLA, from 0 to 1.", rich_help_panel=_TRAFFIC),
    ] = 0.8,
    policy: Annotated[
        str, typer.Option(help="Policy of the gateway.", rich_help_panel=_TRAFFIC)
    ] = "primal_dual",
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of all random draws.", rich_help_panel=_TRAFFIC)
    ] = 0,
) -> None:
    """Compare routing to a floor with the reference points on a simulated zoo.

    Replays the flagship and MESS+ against the reference points at three floors and writes a plot of
    satisfaction and cost over time. It takes under a minute and needs no data, keys or network. The
    zoo, its prompts and its prices are simulated. With --gateway, simulated users send requests to
    a real gateway over HTTP, and a fifth of them send feedback.
    """
    if gateway:
        _traffic(users=users, floor=floor, policy=policy, seed=seed)
        return
    with needs("bench", "the demo"):
        from floorline.cli.replay import compare_policies, show
        from floorline.replay.data import prepare
    table = simulate(DEMO_REQUESTS, seed=0)
    results = compare_policies(
        prepare(table, make_encoder("hashed")),
        ["primal_dual", "mess_plus", *REFERENCE_POINTS],
        DEMO_FLOORS,
        seeds=seeds,
        jobs=jobs,
        out=out,
    )
    show(results, table, out, about={"command": "demo"})


def _traffic(**given: Any) -> None:
    with needs("gateway", "the demo of the gateway"):
        from floorline.demo.traffic import Traffic
        from floorline.demo.traffic_report import demonstrate
    demonstrate(Traffic(**given), console)
