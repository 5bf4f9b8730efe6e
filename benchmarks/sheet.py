"""A table that a benchmark prints, for a terminal or for a document."""

from typing import ClassVar

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from floorline._markdown import markdown_table

console = Console(width=170)


class Sheet:
    """Rows under headers; ``markdown`` says for all sheets in which form they are printed."""

    markdown: ClassVar[bool] = False

    def __init__(self, title, headers, rows=()):
        self.title, self.headers, self.rows = title, list(headers), [list(row) for row in rows]

    def add_row(self, *cells):
        """Add a row; missing cells at its end are empty."""
        self.rows.append([*cells, *[""] * (len(self.headers) - len(cells))])

    def text(self):
        """Return it as Markdown."""
        return f"{self.title}:\n\n{markdown_table(self.headers, self.rows)}"

    def show(self):
        """Print it."""
        if self.markdown:
            print(f"{self.text()}\n")
            return
        table = Table(title=self.title, title_justify="left", box=SIMPLE, pad_edge=False)
        for position, header in enumerate(self.headers):
            table.add_column(header, no_wrap=True, justify="right" if position else "left")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)
