"""The ``floorline whatif`` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from floorline.whatif.counterfactual import WhatIf

_FULL_MATCH = 0.9
"""Share of requests on which both policies chose the same model; below it a warning is printed,
because a policy that learns would have received other labels by serving itself."""

_NAMES = {
    "IPS": "inverse propensity (IPS)",
    "SNIPS": "self-normalised (SNIPS)",
    "DR": "doubly robust (DR)",
}


def whatif(
    log: Annotated[
        str,
        typer.Option(
            help="Log: URL or file of a store, or a .jsonl file that 'store export --features' "
            "wrote."
        ),
    ],
    policy: Annotated[
        str, typer.Option(help="Policy to evaluate: a name, or module:Class of your own.")
    ],
    param: Annotated[
        list[str] | None,
        typer.Option(help="Parameter of the policy, as NAME=VALUE (VALUE in JSON). Repeatable."),
    ] = None,
    sla: Annotated[
        str | None, typer.Option(help="Use the requests of this SLA only. [default: all]")
    ] = None,
    floor: Annotated[
        float | None,
        typer.Option(help="Floor for every request, from 0 to 1. [default: the logged floors]"),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Configuration with models and prices. [default: the models of the log, each at "
            "the mean cost of its calls]"
        ),
    ] = None,
    confidence: Annotated[
        float, typer.Option(help="Confidence level of each interval, between 0 and 1.")
    ] = 0.95,
    min_effective_labels: Annotated[
        float,
        typer.Option(min=2, help="Give no estimate below this effective number of labels."),
    ] = 50.0,
    seed: Annotated[int, typer.Option(help="Seed of the policy's random choices.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Estimate satisfaction and cost of another policy on the logged requests.

    Ends with exit code 2 and no estimate if the log does not identify one: the policy chooses
    models that the logging policy served with probability 0, or too few labels match its choices.
    """
    from floorline.policies import make_policy
    from floorline.replay.parameters import parse_parameters
    from floorline.stores.log_source import reading_log
    from floorline.whatif.counterfactual import Counterfactual
    from floorline.whatif.log_summary import LogSummary

    with reading_log(log) as events:
        summary = LogSummary(event for _, event in events)
    zoo, slas = summary.zoo(), summary.slas()
    if config is not None:
        from floorline.config import load

        settings = load(config)
        zoo, slas = settings.as_zoo(), settings.as_slas()
    summary.check(zoo)
    other = Counterfactual(
        make_policy(policy, **parse_parameters(param or [])),
        zoo,
        slas,
        summary.dim,
        sla=sla,
        floor=floor,
        seed=seed,
    )
    with reading_log(log) as events:
        for _, event in events:
            other.fold(event)
    result = other.result(confidence=confidence, min_effective_labels=min_effective_labels)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(result), indent=2))
        return
    _show(result)


def _show(result: WhatIf) -> None:
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    console.print(
        f"{result.policy} on {result.requests:,} logged requests, floor {result.floor:g}: it chose "
        f"the served model for {result.matched:.0%} of them. {result.labels:,} labels, effective "
        f"number {result.effective_labels:,.0f}.",
        markup=False,
    )
    table = Table("estimate", "satisfaction", f"cost per 1,000 requests ({result.cost_unit})")
    satisfaction, cost = result.logged
    table.add_row("logged policy", f"{satisfaction:.3f}", f"{1000 * cost:.4g}")
    for quality, paid in zip(result.satisfaction, result.cost, strict=True):
        table.add_row(
            _NAMES[quality.kind],
            f"{quality.value:.3f} ({quality.lower:.3f} to {quality.upper:.3f})",
            f"{1000 * paid.value:.4g} ({1000 * paid.lower:.4g} to {1000 * paid.upper:.4g})",
        )
    console.print(table)
    first, second = result.satisfaction[0], result.satisfaction[1]
    console.print(
        f"Intervals at {result.confidence:.0%}: satisfaction by IPS {first.interval}; all others "
        f"{second.interval}."
    )
    if result.matched < _FULL_MATCH:
        console.print(
            "The policy received feedback on those requests only. If it learns, it would have "
            "received more by serving itself."
        )
    for reason, count in result.left_out.items():
        console.print(f"Left out {count:,} decisions: {reason}.")
