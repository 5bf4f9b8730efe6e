"""The ``floorline whatif`` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from floorline.whatif.counterfactual import WhatIf

_FULLY_TOLD = 0.9

_NAMES = {
    "IPS": "inverse propensity (IPS)",
    "SNIPS": "self-normalised (SNIPS)",
    "DR": "doubly robust (DR)",
}


def whatif(
    log: Annotated[
        str,
        typer.Option(
            help="Log: a store's URL or file, or a .jsonl file of 'store export --features'."
        ),
    ],
    policy: Annotated[str, typer.Option(help="Other policy: a name, or module:Class.")],
    param: Annotated[
        list[str] | None,
        typer.Option(help="Parameter of the policy, as NAME=VALUE (VALUE in JSON)."),
    ] = None,
    sla: Annotated[str | None, typer.Option(help="Estimate for this SLA's requests only.")] = None,
    floor: Annotated[
        float | None, typer.Option(help="Floor for every request instead of the logged one.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Configuration with models and prices. [default: the log's models, at the mean "
            "of what their calls cost]"
        ),
    ] = None,
    confidence: Annotated[float, typer.Option(help="Confidence of each interval.")] = 0.95,
    min_effective_labels: Annotated[
        float, typer.Option(min=2, help="Refuse below this effective number of labels.")
    ] = 50.0,
    seed: Annotated[int, typer.Option(help="Of the other policy's random choices.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate what another policy would have satisfied and cost on the logged requests.

    Refuses, with exit code 2, if the log cannot tell: where the policy may serve a model that the
    logging policy had no chance of serving, or where too few labels speak for it.
    """
    from floorline.policies import make_policy
    from floorline.replay.parameters import parse_parameters
    from floorline.stores.log_source import reading_log
    from floorline.whatif.counterfactual import Counterfactual
    from floorline.whatif.log_summary import LogSummary

    with reading_log(log) as events:
        survey = LogSummary(event for _, event in events)
    zoo, slas = survey.zoo(), survey.slas()
    if config is not None:
        from floorline.config import load

        settings = load(config)
        zoo, slas = settings.zoo(), settings.promises()
    survey.check(zoo)
    other = Counterfactual(
        make_policy(policy, **parse_parameters(param or [])),
        zoo,
        slas,
        survey.dim,
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
        f"the model that served for {result.matched:.0%} of them. {result.labels:,} labels, worth "
        f"{result.effective_labels:,.0f} of its own.",
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
    if result.matched < _FULLY_TOLD:
        console.print(
            "The policy heard of no other requests than those: if it learns or steers on the way, "
            "it would have heard more by serving itself."
        )
    for reason, count in result.left_out.items():
        console.print(f"Left out {count:,} decisions: {reason}.")
