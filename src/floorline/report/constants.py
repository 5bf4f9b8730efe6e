"""The constants of a configuration as a table, for the documentation.

``python -m floorline.report.constants`` prints those of the flagship.
"""

from __future__ import annotations

from floorline._markdown import markdown_table
from floorline.core.config import Config, constants
from floorline.policies.primal_dual.config import PrimalDualConfig


def constants_table(config: type[Config]) -> str:
    """Markdown table of every constant: default, unit, range, meaning and source."""
    defaults = config()
    rows = [
        (
            f"`{name}`",
            f"{getattr(defaults, name):g}",
            constant.unit,
            _range(constant.low, constant.high),
            constant.meaning,
            constant.source,
        )
        for name, constant in constants(config).items()
    ]
    headers = ("constant", "default", "unit", "range", "meaning", "source")
    return markdown_table(headers, rows, left=(0, 2, 3, 4, 5))


def _range(low: float, high: float) -> str:
    return f"{low:g} or more" if high == float("inf") else f"{low:g} to {high:g}"


if __name__ == "__main__":
    print(constants_table(PrimalDualConfig))
