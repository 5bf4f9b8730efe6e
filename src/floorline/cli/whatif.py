"""The ``floorline whatif`` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from floorline.cli.terminal import console, note
from floorline.errors import listed

if TYPE_CHECKING:
    from floorline.guarantees.overlap import Overlap
    from floorline.whatif.counterfactual import WhatIf

_FULL_MATCH = 0.9
"""Share of requests on which both policies chose the same model; below it a warning is printed,
because a policy that learns would have received other labels by serving itself."""

_LEAST_PART_SHOWN = 0.001
"""Least share of unsupported choices of a model that is printed."""

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
    max_unsupported: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Give no estimate if a larger share of the policy's choices has no support in the "
            "log.",
        ),
    ] = 0.05,
    seed: Annotated[int, typer.Option(help="Seed of the policy's random choices.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Estimate satisfaction and cost of another policy on the logged requests.

    Prints bounds only and ends with exit code 2 if the log does not support estimates: the policy
    chooses what the logging policy (almost) never chose, or too few labels match its choices.
    """
    from floorline.replay.parameters import parse_parameters
    from floorline.stores.log_source import reading_log
    from floorline.whatif.counterfactual import Counterfactual, NoSupport
    from floorline.whatif.log_summary import LogSummary
    from floorline.whatif.other_policy import other_policy

    with reading_log(log) as events:
        summary = LogSummary(event for _, event in events.numbered)
    summary.check(sla)
    zoo, slas = summary.zoo(), summary.slas()
    if config is not None:
        from floorline.config import load

        settings = load(config)
        zoo, slas = settings.as_zoo(), settings.as_slas()
    summary.check_models(zoo)
    if zoo.unpriced:
        note(
            f"{listed(zoo.unpriced)} cost nothing in the log: if their prices were missing, "
            "estimates of costs leave out what they really cost"
        )
    other = Counterfactual(
        other_policy(policy, parse_parameters(param or []), slas, history=summary.history),
        zoo,
        slas,
        summary.dim,
        sla=sla,
        floor=floor,
        seed=seed,
    )
    with reading_log(log) as events:
        for _, event in events.numbered:
            other.fold(event)
    try:
        result = other.result(
            confidence=confidence,
            min_effective_labels=min_effective_labels,
            max_unsupported=max_unsupported,
        )
    except NoSupport as error:
        if error.result is not None:
            _print(error.result, as_json=as_json)
        raise
    _print(result, as_json=as_json)


def _print(result: WhatIf, *, as_json: bool) -> None:
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(result), indent=2))
    else:
        _show(result)


def _show(result: WhatIf) -> None:
    from rich.table import Table

    from floorline.guarantees.off_policy import METHOD

    _say(
        f"{result.policy} on {result.requests:,} logged requests, floor {result.floor:g}: it chose "
        f"the served model for {result.matched:.0%} of them. {result.labels:,} labels, effective "
        f"number {result.effective_labels:,.0f}."
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
    if result.refused:
        low, high = result.satisfaction_bounds
        least, most = result.cost_bounds
        table.add_row(
            "bounds, no estimate",
            f"{low:.3f} to {high:.3f}",
            f"{1000 * least:.4g} to {1000 * most:.4g}",
        )
    console.print(table, markup=False)
    _say(_overlap_text(result.satisfaction_overlap, "labelled requests"))
    _say(_overlap_text(result.cost_overlap, "requests with a cost"))
    _say(f"Intervals at {100 * result.confidence:.6g}%: {METHOD}.")
    for warning in result.warnings:
        _say(f"Warning: {warning}.")
    if result.matched < _FULL_MATCH:
        _say(
            "The policy received feedback on those requests only. If it learns, it would have "
            "received more by serving itself."
        )
    for reason, count in result.left_out.items():
        _say(f"Left out {count:,} decisions: {reason}.")


def _say(text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _overlap_text(overlap: Overlap, what: str) -> str:
    parts = ", ".join(
        f"{model} {part:.1%}"
        for model, part in sorted(overlap.unsupported_by_model.items(), key=lambda item: -item[1])
        if part >= _LEAST_PART_SHOWN
    )
    return (
        f"Overlap on {overlap.requests:,} {what}: mean weight {overlap.mean_weight:.3g} (expected "
        f"{overlap.expected_weight:.3g} with standard error {overlap.weight_error:.2g}), largest "
        f"{overlap.largest_weight:.3g}; the largest 1% have {overlap.top_share:.0%} of the sum. "
        f"Choices without support (weight above {overlap.max_weight:.3g}): "
        f"{overlap.unsupported:.1%}{f' ({parts})' if parts else ''}."
    )
