"""Cost accuracy: 1,000 answers of a provider with every shape of usage, booked against its bill.

Run ``python benchmarks/cost_accuracy.py [COUNT] [SEED]``; it takes ten seconds. ``--shapes``
prints the table of shapes in ``docs/prices.md`` instead, ``--package`` compares costs by the
prices that ``price: auto`` finds with those that the package computes, for all its models.

A scripted provider on loopback answers whole and streamed, with and without ``[DONE]``, with odd
values in fields that do not matter; its clients read to the end or leave after it. The bill
follows from the true counts in rational arithmetic: cached, written, reasoning, heard and spoken
tokens, images and service tiers have prices of their own, and some providers name their own bill.
"books" is what the event log holds, "unequal" counts answers that differ by half a cent or more.
"flat" is what one input and one output price would book, as before.
"""

import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.billing import book, cases
from tests.support.package_prices import compare
from tests.support.usage_shapes import shape_table


def main():
    if "--shapes" in sys.argv:
        print(shape_table())
        return
    if "--package" in sys.argv:
        compared = list(compare())
        equal = sum(one.equal for one in compared)
        models = len({(one.provider, one.model) for one in compared})
        ratios = [one.ours / one.theirs for one in compared if one.theirs]
        print(
            f"{equal:,} of {len(compared):,} costs of {models:,} models are equal; the others are "
            f"{min(ratios):.3f} to {max(ratios):.3f} times the package's"
        )
        return
    count, seed = (int(one) for one in [*sys.argv[1:], "1000", "7"][:2])
    with tempfile.TemporaryDirectory() as folder:
        booked = book(cases(count, seed), Path(folder))
    table = Table(box=SIMPLE)
    columns = ("answers", "unequal", "estimated", "books", "bill", "largest difference")
    for column in ("", *columns, "flat", "flat unequal"):
        table.add_column(column, justify="left" if not column else "right")
    _add(table, "all", booked)
    groups = defaultdict(list)
    for one in booked:
        case = one.case
        groups[f"usage: {case.shape}"].append(one)
        groups[f"sent: {f'streamed, {case.ending}' if case.stream else 'whole'}"].append(one)
        groups[f"client: {case.client}"].append(one)
        groups[f"odd: {case.odd or 'nothing'}"].append(one)
    for name in sorted(groups):
        _add(table, name, groups[name])
    Console(width=120).print(table)
    sys.exit(any(not one.equal for one in booked))


def _add(table, name, booked):
    table.add_row(
        name,
        f"{len(booked):,}",
        f"{sum(not one.equal for one in booked):,}",
        f"{sum(one.estimated for one in booked):,}",
        f"{sum(one.cost or 0.0 for one in booked):,.2f}",
        f"{float(sum(one.case.bill for one in booked)):,.2f}",
        f"{max(one.difference for one in booked):.2g}",
        f"{float(sum(one.case.counts.flat_bill() for one in booked)):,.2f}",
        f"{sum(abs(one.case.counts.flat_bill() - one.case.bill) >= 0.005 for one in booked):,}",
    )


if __name__ == "__main__":
    main()
