"""Tables in Markdown, for reports, documentation and benchmarks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def markdown_row(cells: Iterable[object]) -> str:
    """Return one line of a table.

    Examples
    --------
    >>> markdown_row(["small", 0.5])
    '| small | 0.5 |'
    """
    return f"| {' | '.join(map(str, cells))} |"


def markdown_table(
    header: Sequence[str],
    rows: Iterable[Iterable[object]] = (),
    *,
    left: Collection[int] = (0,),
) -> str:
    """Return the lines of a table.

    Parameters
    ----------
    header
        Names of the columns.
    rows
        Cells of every line; none returns the head alone, for rows that are printed as they come.
    left
        Positions of the columns that are aligned on the left; the others are on the right.

    Examples
    --------
    >>> print(markdown_table(["model", "cost"], [["small", 0.5], ["large", 2]]))
    | model | cost |
    |---|---:|
    | small | 0.5 |
    | large | 2 |
    """
    rule = "|".join("---" if column in left else "---:" for column in range(len(header)))
    return "\n".join([markdown_row(header), f"|{rule}|", *map(markdown_row, rows)])
