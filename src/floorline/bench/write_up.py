"""Writing of a report: tables, plots, results and the configuration to run it again."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata
from itertools import groupby
from pathlib import Path

import msgspec

from floorline._version import __version__
from floorline.bench import budget_tables, protocol
from floorline.bench.run import ENCODER, ReportSection
from floorline.bench.suite import Budgets, Suite
from floorline.replay.engines import RESULT_PACKAGES
from floorline.replay.tables import COLUMNS, MARKS, markdown_results, save
from floorline.report.plots import front, over_time, response

_BUDGET_LEGEND = (
    "/ LP on estimates: satisfaction in percent of that of the linear program over the estimates "
    "of the whole stream; / optimum: in percent of that of the linear program over its labels. "
    "Both know the stream in advance and are replayed under the same hard budgets. The columns on "
    "the right are / LP on estimates for each split. All numbers are means over seeds, those on "
    "the left also over splits."
)

_PROTOCOL_LEGEND = (
    "Nine floors τ on rows that are not in training, from the mean of the cheapest model to that "
    "of the best model. floors kept: share of floors with accuracy ≥ τ. r and ρ: correlation of τ "
    "with accuracy or mean μ. cost range: cost at the highest τ relative to that at the lowest. to "
    "oracle: accuracy of the best model of every request minus the highest accuracy. / mix: cost "
    "relative to the static mix for τ. / equal mix: relative to the static mix of the same "
    "satisfaction. saved: relative to the best model."
)


def write_up(suite: Suite, sections: Sequence[ReportSection], folder: Path) -> Path:
    """Write ``report.md`` with its plots, the results and ``suite.json``.

    Returns
    -------
    Path of ``report.md``
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"# {suite.title}", ""]
    for section in sections:
        if section.evaluation is not None:
            lines += _protocols(section, section.evaluation, folder)
        elif isinstance(section.part, Budgets):
            lines += _budgets(section, folder)
        else:
            lines += _floors(section, folder)
    results = [result for section in sections for result in section.results]
    about = {
        "suite": msgspec.to_builtins(suite),
        "encoder": ENCODER,
        "data": {section.data: section.digest for section in sections},
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in RESULT_PACKAGES},
    }
    if results:
        save(results, folder, about=about)
    configuration = msgspec.json.encode({"floorline": __version__, **about})
    (folder / "suite.json").write_bytes(msgspec.json.format(configuration, indent=1))
    report = folder / "report.md"
    report.write_text("\n".join(lines), encoding="utf-8")
    return report


def _floors(section: ReportSection, folder: Path) -> list[str]:
    lines: list[str] = []
    unit = section.cost_unit
    for (feedback, *_), block in groupby(section.settled, key=lambda pair: pair[0]):
        results = [result for _, result in block]
        title = f"{_title(section)}, feedback {feedback}"
        stem = _stem(folder, section, str(feedback))
        plots = [
            over_time(results, Path(f"{stem}-over-time.png"), title=title, cost_unit=unit),
            front(results, Path(f"{stem}-front.png"), title=title, cost_unit=unit),
            response(results, Path(f"{stem}-response.png"), title=title),
        ]
        lines += [
            f"## {title}",
            "",
            *(f"- **{column}**: {text}" for column, text in COLUMNS.items()),
            "",
            MARKS.replace("*", "\\*"),
            "",
            markdown_results(results, section.means, cost_unit=unit),
        ]
        lines += [*_links(plots, folder), ""]
    return lines


def _budgets(section: ReportSection, folder: Path) -> list[str]:
    title = f"{_title(section)}, budgets per model"
    found = budget_tables.scores_by_setting(section.settled)
    stem = _stem(folder, section, "budgets")
    plots = [
        budget_tables.by_volume(found, Path(f"{stem}-volumes.png"), title),
        budget_tables.budget_use(section.results, Path(f"{stem}-use.png"), title),
    ]
    lines = [f"## {title}", "", _BUDGET_LEGEND, ""]
    return [*lines, *budget_tables.markdown(found, section.cost_unit), *_links(plots, folder), ""]


def _protocols(section: ReportSection, evaluation: protocol.Evaluation, folder: Path) -> list[str]:
    title = f"{_title(section)}, PROTEUS's protocol"
    plot = protocol.response(evaluation, Path(f"{_stem(folder, section, 'response')}.png"), title)
    levels = msgspec.json.encode(evaluation.protocols)
    (folder / f"{_stem(folder, section, 'protocol').name}.json").write_bytes(
        msgspec.json.format(levels, indent=1)
    )
    lines = [f"## {title}", "", _PROTOCOL_LEGEND, ""]
    return [*lines, *protocol.markdown(evaluation, section.cost_unit), *_links([plot], folder), ""]


def _title(section: ReportSection) -> str:
    kind = " (simulated)" if section.simulated and section.data != "simulated" else ""
    return f"{section.part.name}: {section.data}{kind}"


def _stem(folder: Path, section: ReportSection, kind: str) -> Path:
    """Return the path of a plot without its ending."""
    words = f"{section.part.name}-{section.data}-{kind}"
    return folder / "plots" / "".join(c if c.isalnum() or c in "-_." else "-" for c in words)


def _links(plots: Sequence[Path], folder: Path) -> list[str]:
    return [f"![{plot.stem}]({plot.relative_to(folder)})" for plot in plots]
