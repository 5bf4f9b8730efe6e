"""The report on an SLA as a page that needs nothing but a browser, as JSON, and as PDF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from floorline._files import write_whole
from floorline.report.axes import SIZES, dates
from floorline.report.bar_plot import COLOURS, OTHER_COLOUR, BarPlot, Bars, bar_plots
from floorline.report.certificate_plot import BandPlot, BandPoint, band_plot
from floorline.report.pdf import pdf_of
from floorline.report.sla.figures import Bucket
from floorline.report.sla.report import PeriodReport, SlaReport
from floorline.report.sla.requests import RESULTS
from floorline.report.templates import minute, percent, percent1, render
from floorline.state.certificate import Certificate

NAME = "sla-report"
"""Name of the files, without their endings."""


class Chapter(NamedTuple):
    """One SLA on the page: its report, its drawings and the colours of its models."""

    made: SlaReport
    anchor: str
    satisfaction: list[BandPlot]
    requests: list[BarPlot]
    spend: list[BarPlot]
    colours: list[tuple[str, str]]


def write_period_report(report: PeriodReport, out: Path, *, pdf: bool = False) -> list[Path]:
    """Write ``sla-report.html`` and ``.json``, and ``.pdf`` if asked, into a folder.

    Raises
    ------
    FloorlineError
        If a PDF is asked for and what it needs is not installed. Then nothing is written.
    """
    page = period_page(report)
    document = pdf_of(page) if pdf else None
    out.mkdir(parents=True, exist_ok=True)
    body = msgspec.json.format(msgspec.json.encode(report), indent=2)
    contents = {".html": page.encode(), ".json": body + b"\n"}
    if document is not None:
        contents[".pdf"] = document
    for ending, content in contents.items():
        write_whole(out / f"{NAME}{ending}", content)
    return [out / f"{NAME}{ending}" for ending in contents]


def period_page(report: PeriodReport) -> str:
    """Write a report as one HTML document without scripts or outside references."""
    colours = model_colours(report.slas)
    chapters = [
        _chapter(made, f"sla-{number}", report, colours)
        for number, made in enumerate(report.slas, start=1)
    ]

    def money(cost: float | None) -> str:
        return amount(cost, report.cost_unit)

    return render(
        "sla.html.jinja",
        report=report,
        chapters=chapters,
        file=NAME,
        results=RESULTS,
        money=money,
        column=column,
        bucket_time=bucket_time,
        time_span=time_span,
        shares_in_words=shares_in_words,
        verdict_in_words=verdict_in_words,
    )


def amount(cost: float | None, unit: str) -> str:
    r"""Write a cost with its unit: cents of amounts above 1, else three significant digits.

    Examples
    --------
    >>> amount(1234.567, "USD"), amount(0.00123456, "USD"), amount(None, "USD")
    ('1,234.57\xa0USD', '0.00123\xa0USD', '–')
    """
    if cost is None:
        return "–"
    shown = f"{cost:,.2f}" if cost >= 1.0 or cost == 0.0 else f"{cost:.3g}"
    return f"{shown}\xa0{unit}"


def column(costs: Sequence[float]) -> list[str]:
    """Write the costs of a column with equal decimals: three significant digits of the largest.

    Examples
    --------
    >>> column([12.5, 0.25]), column([0.0125, 0.0])
    (['12.50', '0.25'], ['0.0125', '0.0000'])
    """
    largest = max(costs, default=0.0)
    decimals = 2
    if 0.0 < largest < 1.0:
        decimals = min(12, 2 - math.floor(math.log10(largest)))
    return [f"{cost:,.{decimals}f}" for cost in costs]


def model_colours(slas: Sequence[SlaReport]) -> dict[str, str]:
    """Give the models of most answers a colour, which is the same for every SLA."""
    answers: dict[str, int] = {}
    for row in (row for made in slas for row in made.models if row.answered):
        answers[row.model] = answers.get(row.model, 0) + row.answered
    ranked = sorted(answers, key=lambda model: (-answers[model], model))
    return dict(zip(ranked, COLOURS, strict=False))


def _chapter(made: SlaReport, anchor: str, report: PeriodReport, chosen: dict[str, str]) -> Chapter:
    served = {row.model for row in made.models if row.answered}
    colours = [(model, colour) for model, colour in chosen.items() if model in served]
    named = [model for model, _ in colours]
    if len(named) < len(served):
        colours.append(("others", OTHER_COLOUR))
    fills = [colour for _, colour in colours]
    bars = [
        Bars(bucket.since, bucket.until, _parts(bucket.served, named, len(fills)))
        for bucket in made.buckets
    ]
    spend = [Bars(bucket.since, bucket.until, [bucket.spend]) for bucket in made.buckets]
    return Chapter(
        made=made,
        anchor=anchor,
        satisfaction=_satisfaction(made, report),
        requests=bar_plots(bars, fills),
        spend=bar_plots(spend, COLOURS[:1]),
        colours=colours,
    )


def _parts(served: dict[str, int], named: Sequence[str], count: int) -> list[float]:
    """Return the answers of each named model, and those of all others if they have a colour."""
    parts = [float(served.get(name, 0)) for name in named]
    if len(parts) < count:
        parts.append(float(sum(served.values())) - sum(parts))
    return parts


def _satisfaction(made: SlaReport, report: PeriodReport) -> list[BandPlot]:
    if not made.series:
        return []
    points = [BandPoint(p.at, p.mean, p.lower, p.upper) for p in made.series]
    end = max(report.until, points[-1].at)
    return [
        band_plot(
            points, made.certificate.floor, dates, size, title="", begin=report.since, end=end
        )
        for size in SIZES
    ]


def verdict_in_words(made: Certificate) -> str:
    """Say what a verdict means, with its numbers."""
    floor, mean = percent(made.floor), percent1(made.satisfaction)
    lower, upper = percent1(made.lower), percent1(made.upper)
    sure = f"With {percent(made.confidence)} confidence the mean satisfaction of the answers is"
    if made.verdict == "kept":
        return f"{sure} at least {lower}. The promised {floor} is reached."
    if made.verdict == "broken":
        return f"{sure} at most {upper}. That is below the promised {floor}."
    if made.verdict == "unreachable" or made.satisfaction is None:
        return f"{made.reason[:1].upper()}{made.reason[1:]}."
    if made.verdict == "at risk":
        return (
            f"The mean of the labels, {mean}, is below the promised {floor}. {sure} between "
            f"{lower} and {upper}: whether the promise is broken is not certain yet."
        )
    if made.satisfaction < made.floor:
        return f"{made.reason[:1].upper()}{made.reason[1:]}."
    return (
        f"The mean of the labels, {mean}, reaches the promised {floor}. {sure} between {lower} and "
        f"{upper}: the labels are too few to be certain."
    )


def bucket_time(bucket: Bucket) -> str:
    r"""Write the beginning of a part of the period: its day, and the time if it is no midnight.

    Examples
    --------
    >>> bucket_time(Bucket(3600.0, 7200.0, 0, 0, 0, 0, None, 0.0, None, None, {}))
    '1\xa0Jan\xa001:00'
    """
    at = datetime.fromtimestamp(bucket.since, UTC)
    day = f"{at.day}\xa0{at:%b}"
    return day if bucket.since % 86400 == 0 else f"{day}\xa0{at:%H:%M}"


def time_span(since: float, until: float | None) -> str:
    r"""Write a time span to the minute, with the date once if it is of one day.

    Examples
    --------
    >>> time_span(0.0, 3600.0)
    '1\xa0January\xa01970 00:00 to 01:00\xa0UTC'
    >>> time_span(0.0, None)
    '1\xa0January\xa01970 00:00\xa0UTC to the end of the period'
    """
    if until is None:
        return f"{minute(since)} to the end of the period"
    if since // 86400 == until // 86400:
        first = minute(since).removesuffix("\xa0UTC")
        return f"{first} to {minute(until).partition(' ')[2]}"
    return f"{minute(since)} to {minute(until)}"


def shares_in_words(shares: dict[str, float]) -> str:
    r"""Write the models of a mix with their shares.

    Examples
    --------
    >>> shares_in_words({"large": 1.0}), shares_in_words({"small": 0.25, "large": 0.75})
    ('large', 'small 25.0\xa0%, large 75.0\xa0%')
    """
    if len(shares) == 1:
        return next(iter(shares))
    return ", ".join(f"{name} {percent1(share)}" for name, share in shares.items())
