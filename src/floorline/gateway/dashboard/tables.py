"""Tables of data that pages and charts show, and that anyone can load as JSON or CSV.

Each page's module adds its own:

    @data_table("budgets")
    def budgets(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table: ...

Then ``/dashboard/data/budgets.json`` and ``.csv`` give it. A plain function runs in a thread,
because it may read the store; a coroutine runs in the loop that answers requests. With
``fresh_for=5.0`` viewers who may see the same get the same answer for 5 seconds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from floorline.gateway.dashboard.dashboard import Dashboard
    from floorline.gateway.dashboard.filters import Filters
    from floorline.gateway.dashboard.viewer import Viewer


class Table(NamedTuple):
    """Rows of data with named columns.

    Attributes
    ----------
    columns
        Names of the columns. Times are in Unix seconds, costs in the zoo's cost unit.
    rows
        A value per column: a text, a number, a bool, or None where there is none.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


TableFunction = Callable[["Dashboard", "Viewer", "Filters"], Table | Awaitable[Table]]
"""Makes a table of what a viewer may see, limited by filters."""


class TableSource(NamedTuple):
    """How a table is made.

    Attributes
    ----------
    function
        Makes it.
    fresh_for
        Seconds for which it is given to all viewers with equal rights; 0 to make it for each one.
    """

    function: TableFunction
    fresh_for: float = 0.0


TABLES: dict[str, TableSource] = {}
"""All tables by name."""


def data_table(name: str, *, fresh_for: float = 0.0) -> Callable[[TableFunction], TableFunction]:
    """Serve the table that a function makes under a name.

    Parameters
    ----------
    name
        Name in the URL.
    fresh_for
        Seconds for which the table is given to all viewers with equal rights, where its content
        depends on nothing else of the viewer.
    """

    def add(function: TableFunction) -> TableFunction:
        if name in TABLES:
            raise ValueError(f"there are two tables {name!r}: give each its own name")
        TABLES[name] = TableSource(function, fresh_for)
        return function

    return add


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters by which spreadsheets take a text for a formula."""


def csv_of(table: Table) -> str:
    r"""Write a table as CSV (RFC 4180), empty where there is no value.

    Clients choose some texts, such as names of conversations. A spreadsheet would execute one that
    looks like a formula, so that an apostrophe is put before it, which spreadsheets do not show.

    Examples
    --------
    >>> csv_of(Table(["name", "cost"], [["a, b", 0.5], ["=1+1", None]]))
    'name,cost\r\n"a, b",0.5\r\n\'=1+1,\r\n'
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([_cell(value) for value in row])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
