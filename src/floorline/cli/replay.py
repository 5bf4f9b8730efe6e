"""The ``floorline replay`` command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from floorline.cli.data_options import Columns, Format, Gaps, Prices, load_table
from floorline.cli.options import Jobs
from floorline.cli.submission import check_whole, export, row_indices
from floorline.cli.terminal import console, is_ascii, note
from floorline.datasets import RoutingTable
from floorline.encoders import make_encoder
from floorline.errors import InvalidInput, check_number
from floorline.estimators.proteus_checkpoint import read_metadata
from floorline.policies import POLICIES, REFERENCE_POINTS
from floorline.replay.budgets import SPLITS, split_among
from floorline.replay.compare import check, check_options, compare
from floorline.replay.data import ReplayData, prepare
from floorline.replay.expectations import notes
from floorline.replay.parameters import parse_parameters
from floorline.replay.results import Result
from floorline.replay.spec import Spec
from floorline.replay.tables import LEGEND, rich_table, save
from floorline.report.plots import over_time

_SIMULATED = " The zoo, its prompts and its prices are simulated."


def replay(
    data: Annotated[
        str,
        typer.Option(
            help="Data set to replay: a name that 'floorline datasets list' shows, or the path of "
            "a CSV, TSV, JSON or Parquet file, also packed by gzip, or of a folder of them."
        ),
    ] = "simulated",
    columns: Columns = None,
    format: Format = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="Policy to test: " + ", ".join(POLICIES) + ", or module:Class of your own. "
            "Give it several times to test several. [default: primal_dual]"
        ),
    ] = None,
    floor: Annotated[
        list[float] | None,
        typer.Option(
            help="Floor on the share of satisfied requests, from 0 to 1. Give it several times to "
            "test several. [default: 0.8]"
        ),
    ] = None,
    feedback: Annotated[
        str,
        typer.Option(
            help="Which labels the policy receives: terms joined by '+' out of full, served, "
            "sparse:SHARE, delayed:REQUESTS, negative:RATE, noisy:SHARE."
        ),
    ] = "full",
    seeds: Annotated[
        int, typer.Option(min=1, help="Repeat every replay with this many seeds.")
    ] = 5,
    history: Annotated[
        float,
        typer.Option(
            help="Share of the rows that each policy gets as labelled history, 0 to 0.99."
        ),
    ] = 0.0,
    horizon: Annotated[
        int | None,
        typer.Option(help="Stop each stream after this many requests. [default: all rows]"),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            help="Parameter of the tested policies, as NAME=VALUE (VALUE in JSON). Repeatable."
        ),
    ] = None,
    encoder: Annotated[
        str, typer.Option(help="Encoder: hashed, hashed:sparse, lsa:PATH or minilm:PATH.")
    ] = "hashed",
    budget: Annotated[
        float | None,
        typer.Option(
            help="Budget of each stream, in the cost unit of the data. A call that does not fit is "
            "refused, and its request counts as not satisfied."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Divide the budget among the models: " + ", ".join(SPLITS) + ". [default: one "
            "budget for all models together]"
        ),
    ] = None,
    gaps: Gaps = "mask",
    prices: Prices = None,
    references: Annotated[
        bool, typer.Option(help="Replay the reference points too and list them in the table.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(help="Folder for results.parquet, results.json and the plot.")
    ] = None,
    submission: Annotated[
        Path | None,
        typer.Option(
            help="JSON file for the decisions of seed 0 as a submission to RouterArena, whose "
            "score is printed; for one policy and one floor on RouterArena's cached results."
        ),
    ] = None,
    jobs: Jobs = 2,
) -> None:
    """Replay policies over a routing table as if it were live traffic, and compare them.

    Every table lists the reference points: random, cheapest, best fixed, static mix, CARROT,
    RouteLLM and the hindsight oracle. Costs include the cost of exploration.
    """
    if budget is not None:
        check_number("--budget", budget, low=0.0, fix="give an amount of 0 or more")
    elif split is not None:
        raise InvalidInput("--split", split, "also give the budget that is divided: --budget")
    tested, floors = policy or ["primal_dual"], floor or [0.8]
    # Before the data are read, which can take minutes.
    check_options(tested, floors, feedback)
    parameters = parse_parameters(param or [])
    if submission is not None:
        parts = {"history": history, "horizon": horizon, "budget": budget}
        check_whole(submission, tested, floors, **parts)
    table = load_table(data, format=format, columns=columns, gaps=gaps, prices=prices)
    indices = [] if submission is None else row_indices(data, table)
    if (
        "checkpoint" in parameters
        and read_metadata(parameters["checkpoint"]).data["name"] == table.name
    ):
        note(
            "the checkpoint was trained on rows of this table, so this replay does not test it on "
            "new rows; 'floorline bench --suite proteus' replays held-out rows only"
        )
    names = [*tested, *(p for p in REFERENCE_POINTS if references and p not in tested)]
    prepared = prepare(table, make_encoder(encoder))
    results = compare_policies(
        prepared,
        names,
        floors,
        seeds=seeds,
        jobs=jobs,
        out=out,
        feedback=feedback,
        history=history,
        horizon=horizon,
        budget=budget,
        split=split,
        parameters=dict.fromkeys(tested, parameters),
    )
    about = {"command": "replay", "encoder": encoder}
    show(results, table, out, about=about)
    if submission is not None:
        export(prepared, table, indices, results[0].spec, submission)


def compare_policies(
    data: ReplayData,
    policies: Sequence[str],
    floors: Sequence[float],
    *,
    seeds: int,
    jobs: int,
    out: Path | None,
    parameters: dict[str, dict[str, Any]] | None = None,
    budget: float | None = None,
    split: str | None = None,
    **common: Any,
) -> list[Result]:
    """Replay every policy at every floor with every seed, under a progress bar.

    What the data do not allow is said first.
    """
    specs = [
        _spec(
            data,
            Spec(policy, floor, seed=seed, parameters=(parameters or {}).get(policy, {}), **common),
            budget,
            split,
        )
        for floor in floors
        for policy in policies
        for seed in range(seeds)
    ]
    check(data, specs)
    for text in notes(data, specs):
        note(text)
    if out is not None:
        # A folder that cannot be written stops the command before minutes of replays.
        out.mkdir(parents=True, exist_ok=True)
    return compare(data, specs, jobs=jobs, progress=True)


def _lost(results: Sequence[Result]) -> str:
    """Return the policies that served a part of the requests, with the share that they did not."""
    shares: dict[str, list[float]] = {}
    for result in results:
        shares.setdefault(result.shown, []).append(1.0 - result.scores.served)
    lost = {name: sum(values) / len(values) for name, values in shares.items()}
    return ", ".join(f"{name} {share:.0%}" for name, share in lost.items() if share >= 0.005)


def _unreachable(results: Sequence[Result]) -> list[str]:
    """Return one line for each floor that certificates call unreachable."""
    found: dict[float, Counter[str]] = {}
    seeds = 1 + max(result.spec.seed for result in results)
    for result in results:
        if result.verdict == "unreachable":
            found.setdefault(result.spec.floor, Counter())[result.shown] += 1
    return [
        f"Floor {floor:g}: by the labels of some policies no model reaches it, or no mix within "
        "the budget (verdict unreachable): "
        + ", ".join(f"{name} in {count} of {seeds} seeds" for name, count in shown.items())
        for floor, shown in found.items()
    ]


def _spec(data: ReplayData, spec: Spec, budget: float | None, split: str | None) -> Spec:
    """Return a specification with the budget of its stream."""
    if budget is None:
        return spec
    if split is None:
        return msgspec.structs.replace(spec, total_budget=budget)
    return msgspec.structs.replace(spec, budgets=split_among(data, spec, split, budget))


def show(
    results: Sequence[Result], table: RoutingTable, out: Path | None, *, about: dict[str, Any]
) -> None:
    """Print the table of results, and write it and the plot into ``out`` if that is given."""
    spec = results[0].spec
    seeds = 1 + max(result.spec.seed for result in results)
    kind = "simulated data" if table.simulated else table.name
    requests = int(results[0].curves.request[-1])
    repeated = "1 seed" if seeds == 1 else f"{seeds} seeds"
    title = f"{kind}: {requests:,} requests, feedback {spec.feedback}, {repeated}"
    means = (table.mean_quality, table.mean_cost)
    grid = rich_table(
        results,
        means,
        title=title,
        cost_unit=table.cost_unit,
        wide=console.width >= 100,
        ascii_only=is_ascii(console),
    )
    console.print(grid)
    lost = _lost(results)
    if lost:
        console.print(f"Requests that no budget was left for: {lost}.", markup=False)
    for line in _unreachable(results):
        console.print(line, markup=False, soft_wrap=True)
    console.print(LEGEND + (_SIMULATED if table.simulated else ""), style="dim", markup=False)
    if out is None:
        return
    about = {**about, "data": table.name, "digest": table.digest, "simulated": table.simulated}
    written = save(results, out, about=about)
    plot = over_time(results, out / "over_time.png", title=title, cost_unit=table.cost_unit)
    for path in [plot, *written]:
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)
