"""The ``floorline trial`` command."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from floorline import config as configuration
from floorline.cli.terminal import console, data_notes, note
from floorline.config import Settings
from floorline.config.models import PRICE_FIX
from floorline.core.bounds import MAX_COST
from floorline.datasets.answer_match import MATCHES, matches
from floorline.datasets.trial_table import TrialTable, only_writer, read_questions
from floorline.errors import InvalidInput, check_number, check_one_of, did_you_mean, listed
from floorline.gateway.paid_calls import PaidCalls
from floorline.gateway.trial import Trial, check_fields
from floorline.gateway.upstream_config import upstream_settings
from floorline.gateway.upstreams import UpstreamSettings


def trial(
    prompts: Annotated[
        Path,
        typer.Option(
            help="Prompts like your users': a CSV, TSV, JSON or Parquet file with a column "
            "'prompt', and a column 'answer' if the right answers are known."
        ),
    ],
    max_cost: Annotated[
        float,
        typer.Option(
            help="Most that all calls may cost, in the configuration's cost unit, those of earlier "
            "runs in the same table included. What a call can cost at most is reserved before it."
        ),
    ],
    n: Annotated[int, typer.Option("--n", min=1, help="Number of prompts, drawn at random.")] = 50,
    config: Annotated[Path, typer.Option(help="Configuration file with the models.")] = Path(
        "floorline.yaml"
    ),
    out: Annotated[Path, typer.Option(help="Table to write; an existing one is continued.")] = Path(
        "trial.csv"
    ),
    model: Annotated[
        list[str] | None,
        typer.Option(help="Model to call. Give it several times for several. [default: all]"),
    ] = None,
    match: Annotated[
        str,
        typer.Option(
            help="When a response is right: 'exact', it is the answer; 'contains', it has the "
            "answer as whole words. Case, space and punctuation at its ends do not count."
        ),
    ] = "exact",
    judge: Annotated[
        str | None,
        typer.Option(
            help="Model of the configuration that grades responses instead, by a right answer or "
            "without one; its calls count against --max-cost."
        ),
    ] = None,
    system: Annotated[str, typer.Option(help="System prompt of every call.")] = "",
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Most tokens of an answer, which bounds its cost.")
    ] = 1024,
    fields: Annotated[
        str,
        typer.Option(
            help="Further fields of every request, as a JSON object, such as "
            "'{\"temperature\": 0}'. Its max_completion_tokens replaces --max-tokens."
        ),
    ] = "{}",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw of prompts.")] = 0,
) -> None:
    """Collect labelled responses of live models to some prompts, within a cap on the cost.

    'floorline hints', 'floorline replay --data' and 'history:' in floorline.yaml read the table.
    Without right answers and a judge the scores are left empty for a person: 0 to 1, or yes and no.
    A stopped trial goes on when the same command is given again.
    """
    check_number("--max-cost", max_cost, low=0.0, high=MAX_COST, fix="give an amount of 0 or more")
    check_one_of("--match", match, MATCHES)
    body = _fields(fields, max_tokens)
    settings = configuration.load(config)
    calls = _calls(settings, "--model", model or [])
    judges = _calls(settings, "--judge", [judge]) if judge is not None else {}
    zoo = settings.as_zoo()
    for name in (calls | judges) if max_cost > 0.0 else ():
        if name in zoo.unpriced:
            fix = f"{PRICE_FIX}: a cap does not hold without prices"
            raise InvalidInput(f"the price of model {name!r}", None, fix)
    with data_notes():
        questions = read_questions(prompts, n, seed)
    if len(questions) < n:
        note(f"{prompts} has {len(questions):,} prompts: all of them are used")

    def score(response: str, answer: str) -> str:
        if not answer or judge is not None:
            return ""
        return str(int(matches(response, answer, match)))

    if out.suffix.lower() != ".csv":
        raise InvalidInput("--out", str(out), "give it a name that ends in .csv")
    with only_writer(out):
        table = TrialTable(out, questions, list(calls))
        table.save()
        running = Trial(
            table,
            PaidCalls(zoo, calls | judges),
            list(calls),
            fields=body,
            system=system,
            max_cost=max_cost,
            score=score,
            judge=judge or "",
        )
        try:
            _run(running, len(questions))
        except KeyboardInterrupt:
            note(f"stopped; {out} has what was answered, and the same command goes on from there")
            raise
    _report(running, settings.cost_unit)


def _fields(text: str, max_tokens: int) -> dict[str, Any]:
    fix = "give a JSON object, such as '{\"temperature\": 0}'"
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput("--fields", text, fix) from None
    if not isinstance(given, dict):
        raise InvalidInput("--fields", text, fix)
    check_fields(given)
    bounded = "max_completion_tokens" in given
    return given if bounded else {"max_tokens": max_tokens, **given}


def _calls(settings: Settings, option: str, names: Sequence[str]) -> dict[str, UpstreamSettings]:
    """How the chosen models are called, by name."""
    models = {one.name: one for one in settings.models}
    for name in names:
        if name not in models:
            fix = did_you_mean(name, models) + f"name one of the models: {listed(models)}"
            raise InvalidInput(option, name, fix)
    return {name: upstream_settings(models[name]) for name in names or models}


def _run(running: Trial, rows: int) -> None:
    screen = Console(stderr=True)
    columns = (
        TextColumn("asking"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=screen, transient=True, disable=not screen.is_terminal
    ) as progress:
        task = progress.add_task("trial", total=rows)
        asyncio.run(running.run(lambda done: progress.update(task, completed=done)))


def _report(running: Trial, unit: str) -> None:
    """Print what each model answered, what was left out and why, and what to do next."""
    table, rows = running.table, running.table.rows
    grid = Table("model", "answers", "scores", "mean score", f"mean cost ({unit})")
    for name in table.models:
        costs = [row.costs[name] for row in rows if name in row.costs]
        scores = [row.scores[name] for row in rows if row.scores.get(name)]
        mean = _mean(scores)
        cost = f"{sum(costs) / len(costs):.4g}" if costs else "-"
        grid.add_row(name, str(len(costs)), str(len(scores)), mean, cost)
    console.print(grid)
    console.print(f"spent at most {table.spent:.6g} {unit}", highlight=False)
    for name, reason in running.calls.failures.items():
        end = ", and is called no more" if name in running.calls.left_out else ""
        note(f"calls failed, the last one: {reason}{end}; the same command calls again")
    answered = sum(1 for row in rows if row.costs)
    if running.needed is not None:
        more = (
            f"the next prompt may cost {running.needed:.4g} {unit} for all models together, and "
            f"{max(0.0, running.max_cost - table.spent):.4g} {unit} is left"
        )
        fix = "raise --max-cost, lower --max-tokens, or choose fewer models with --model"
        if not answered:
            raise InvalidInput("--max-cost", running.max_cost, f"{more}: {fix}")
        note(f"stopped before the cap, after {answered} of {len(rows)} prompts: {more}; {fix}")
    elif not answered:
        raise InvalidInput("models", listed(table.models), "none answered: correct the above")
    if not any(row.scores.get(name) for row in rows for name in table.models):
        text = (
            f"fill in the empty columns {listed(table.models)} of {table.path}: 0 to 1, yes or no"
        )
        console.print(text, markup=False, soft_wrap=True)
    console.print(
        f"then: floorline hints {table.path}", markup=False, highlight=False, soft_wrap=True
    )


def _mean(scores: Sequence[str]) -> str:
    """Mean of scores; "-" if there is none, or one that is no number, such as a person's yes."""
    try:
        numbers = [float(score.replace(",", ".")) for score in scores]
        return f"{sum(numbers) / len(numbers):.3f}"
    except (ValueError, ZeroDivisionError):
        return "-"
