"""The report folder: tables, plots, and everything needed to run it again."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata
from itertools import groupby
from pathlib import Path

import msgspec

from floorline.bench.run import ENCODER, Section
from floorline.bench.suite import Suite
from floorline.replay.compare import Result
from floorline.replay.tables import LEGEND, markdown_table, save
from floorline.report import front, over_time, response
from floorline.version import __version__

_RECORDED = ("joblib", "msgspec", "numpy", "polars", "scikit-learn", "scipy", "usearch")


def write_up(suite: Suite, sections: Sequence[Section], folder: Path) -> Path:
    """Write ``report.md``, its plots, the results and ``suite.json``; return the report's path."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"# {suite.title}", "", LEGEND, ""]
    for section in sections:
        lines += _section(section, folder)
    results = [result for section in sections for result in section.results]
    about = {
        "suite": msgspec.to_builtins(suite),
        "encoder": ENCODER,
        "data": {section.data: section.digest for section in sections},
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in _RECORDED},
    }
    save(results, folder, about=about)
    configuration = msgspec.json.encode({"floorline": __version__, **about})
    (folder / "suite.json").write_bytes(msgspec.json.format(configuration, indent=1))
    report = folder / "report.md"
    report.write_text("\n".join(lines), encoding="utf-8")
    return report


def _section(section: Section, folder: Path) -> list[str]:
    kind = " (simulated)" if section.simulated and section.data != "simulated" else ""
    lines: list[str] = []
    for feedback, block in groupby(section.results, key=lambda result: result.spec.feedback):
        results = list(block)
        title = f"{section.part.name}: {section.data}{kind}, feedback {feedback}"
        lines += [f"## {title}", "", markdown_table(results, cost_unit=section.cost_unit)]
        lines += [
            f"![{plot.stem}]({plot.relative_to(folder)})"
            for plot in _plots(section, results, folder / "plots", title)
        ]
        lines.append("")
    return lines


def _plots(section: Section, results: list[Result], folder: Path, title: str) -> list[Path]:
    words = f"{section.part.name}-{section.data}-{results[0].spec.feedback}"
    stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in words)
    unit = section.cost_unit
    return [
        over_time(results, folder / f"{stem}-over-time.png", title=title, cost_unit=unit),
        front(results, folder / f"{stem}-front.png", title=title, cost_unit=unit),
        response(results, folder / f"{stem}-response.png", title=title),
    ]
