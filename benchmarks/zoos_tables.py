"""The tables of ``bench_zoos.py``, made of the records in its cache."""

from collections import defaultdict

import numpy as np

from floorline._markdown import markdown_table
from written import write

MARKS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares of the stream at which cost and surplus so far are recorded."""
CLASSES = {
    "≥ 400": (400.0, np.inf),
    "150 to 400": (150.0, 400.0),
    "< 150": (0.0, 150.0),
    "all": (0.0, np.inf),
}
"""Classes of tables, by requests per model: at least the first number and less than the second."""
LONG = 1500
"""Requests from which on the last third of a stream begins after request 1,000."""
MANY = 4
"""Least number of models of the zoos in which dismissals are counted."""
BEFORE = "before"
NAMES = {
    ("now", "ours"): "**ours**",
    ("now", "ours, told"): "ours, told the means",
    ("now", "ours, hints"): "ours, hints right to ± .05",
    ("now", "ours, hints, ten rows"): "ours, hints and ten rows",
    (BEFORE, "ours"): "before",
    (BEFORE, "ours, told"): "before, told the means",
    ("", "mess_plus"): "mess_plus",
    ("", "mess_plus, code"): "mess_plus, code",
    ("", "sla_router"): "sla_router",
    ("", "static_mix"): "static mix",
    ("", "best_fixed"): "best fixed",
    ("", "random"): "random",
    ("", "oracle"): "oracle",
}
"""Rows of the tables: label and policy of the records, and what the row is called."""
WATCHED = ("before", "before, told the means", "**ours**", "ours, told the means")
"""Rows of the tables by floor, over time and of dismissals."""


class Records:
    """Records by (row name, φ) and (table, floor): lists over seeds; clear floors only."""

    def __init__(self, tables, floors, clear, records, label):
        self.tables = tables
        self.clear = {
            name: [floor for floor in levels if top(tables[name]) - floor >= clear]
            for name, levels in floors.items()
        }
        names = {"now": label, BEFORE: BEFORE, "": ""}
        shown = {(names[kind], policy): name for (kind, policy), name in NAMES.items()}
        self.found = defaultdict(lambda: defaultdict(list))
        for record in records:
            row = shown.get((record["label"], record["policy"]))
            table, floor = record["table"], record["floor"]
            if row is not None and floor in self.clear.get(table, ()):
                self.found[row, record["share"]][table, floor].append(record)
        for row in ("static mix", "best fixed", "random", "oracle"):
            for share in {share for _, share in self.found}:
                self.found[row, share] = self.found[row, 1.0]

    def shares(self):
        """Values of φ with records, the largest first."""
        return sorted({share for (_, share), cells in self.found.items() if cells}, reverse=True)

    def rows(self, share, names=None):
        """Row names with records at φ, and their cells."""
        for name in NAMES.values() if names is None else names:
            if self.found[name, share]:
                yield name, self.found[name, share]

    def of_class(self, bounds):
        """Names of the tables with so many requests per model."""
        low, high = bounds
        return [name for name, data in self.tables.items() if low <= per_model(data) < high]


def top(data):
    """Mean of the best model."""
    return float(data.quality.mean(axis=0).max())


def per_model(data):
    """Requests per model."""
    return data.rows / len(data.zoo)


def by_size(tables):
    """Names of tables, those with most requests per model first."""
    return sorted(tables, key=lambda name: -per_model(tables[name]))


def of_tables(cells, names):
    """The records of each cell of these tables."""
    return [records for (table, _), records in cells.items() if table in names]


def averaged(cells, field):
    """Mean over cells of their means over seeds: a cell with fewer seeds counts the same."""
    return float(np.mean([np.mean([record[field] for record in records]) for records in cells]))


def shown(cells, median=False):
    """Floors met and cost over the mix."""
    if not cells:
        return ""
    text = f"{averaged(cells, 'met'):.0%} at {averaged(cells, 'cost'):.2f}"
    if median:
        text += f" ({np.median([np.median([r['cost'] for r in cell]) for cell in cells]):.2f})"
    return text


def seeds(cells):
    """Number of seeds of the cells: the least and the most."""
    counts = sorted({len(records) for records in cells.values()})
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def table_of_tables(found, floors):
    """What the tables are."""
    headers = ["table", "requests", "models", "per model", "floors", "best mean", "dearest"]
    rows = []
    for name in by_size(found.tables):
        data = found.tables[name]
        cost = data.cost.mean(axis=0)
        levels = [f"{f:g}" if f in found.clear[name] else f"({f:g})" for f in floors[name]]
        spread = f"{cost.max() / cost.min():.0f} ×"
        size = (f"{data.rows:,}", str(len(data.zoo)), f"{per_model(data):.0f}")
        rows.append([name, *size, ", ".join(levels), f"{top(data):.3f}", spread])
    return "Tables", headers, rows


def by_class(found, share):
    """Every policy by class of tables."""
    counts = {label: len(found.of_class(bounds)) for label, bounds in CLASSES.items()}
    headers = ["policy", *(f"{label} ({count})" for label, count in counts.items())]
    rows = []
    for name, cells in found.rows(share):
        of = [of_tables(cells, found.of_class(bounds)) for bounds in CLASSES.values()]
        times = [record["us"] for records in cells.values() for record in records]
        covered = len({table for table, _ in cells})
        last = (str(covered), seeds(cells), f"{np.median(times):.0f}")
        rows.append([name, *(shown(part, median=True) for part in of), *last])
    title = f"φ = {share:g}, by requests per model: floors met at mean cost / mix (median)"
    return title, [*headers, "tables", "seeds", "decide µs"], rows


def by_table(found, share):
    """Every policy on every table."""
    policies = list(found.rows(share))
    headers = ["table", "per model", *(name for name, _ in policies)]
    rows = []
    for name in by_size(found.tables):
        if found.clear[name]:
            of = [shown(of_tables(cells, [name])) for _, cells in policies]
            rows.append([name, f"{per_model(found.tables[name]):.0f}", *of])
    return f"φ = {share:g}, by table: floors met at cost / mix", headers, rows


def by_floor(found, share):
    """Every clear floor: before, now and told the means."""
    policies = list(found.rows(share, WATCHED))
    rows = [
        [
            name,
            f"{floor:g}",
            *(
                shown([cells[name, floor]] if (name, floor) in cells else [])
                for _, cells in policies
            ),
        ]
        for name in by_size(found.tables)
        for floor in found.clear[name]
    ]
    title = f"φ = {share:g}, every clear floor: share of seeds that met it at cost / mix"
    return title, ["table", "floor", *(name for name, _ in policies)], rows


def course(found, share):
    """Cost / mix and satisfaction less floor so far, at parts of the stream."""
    rows = []
    for name in by_size(found.tables):
        for policy, cells in found.rows(share, WATCHED):
            records = [
                np.mean([r["course"] for r in cell], axis=0) for cell in of_tables(cells, [name])
            ]
            if records:
                means = np.mean(records, axis=0)
                rows.append([name, policy, *(f"{c:.2f}, {s:+.3f}" for c, s in means)])
    title = f"φ = {share:g}, time course: cost / mix, satisfaction − floor of the stream so far"
    return title, ["table", "policy", *(f"{mark:.0%} of it" for mark in MARKS)], rows


def dismissals(found, share):
    """Runs in which a model of the best mix hardly served in the last third, and their cost."""
    policies = list(found.rows(share, WATCHED))
    many = [name for name in by_size(found.tables) if len(found.tables[name].zoo) >= MANY]
    lines = [(name, [name]) for name in many]
    long = [name for name in many if found.tables[name].rows >= LONG]
    lines.append((f"all of {LONG:,} requests or more", long))
    lines.append(("all shorter ones", [name for name in many if name not in long]))
    rows = []
    for label, tables in lines:
        covered = {table for _, cells in policies for table, _ in cells}
        row = [label, str(len(covered.intersection(tables)))]
        for _, cells in policies:
            runs = [record for cell in of_tables(cells, tables) for record in cell]
            gone = [record["cost"] for record in runs if record["dismissed"]]
            rest = [record["cost"] for record in runs if not record["dismissed"]]
            cost = ", ".join(f"{np.mean(part):.2f}" if part else "–" for part in (gone, rest))
            row.append(f"{len(gone) / len(runs):.0%} ({cost})" if runs else "")
        rows.append(row)
    title = (
        f"φ = {share:g}, runs that dismissed a model with a share of 20 % or more in the best "
        "mix (cost / mix of these runs, of the others)"
    )
    return title, ["table", "tables", *(name for name, _ in policies)], rows


def pages(tables, floors, clear, records, label, page):
    """Print the tables, or write them into ``page``."""
    found = Records(tables, floors, clear, records, label)
    made = [table_of_tables(found, floors)]
    made += [by_class(found, share) for share in found.shares()]
    made += [by_table(found, share) for share in found.shares()]
    if 1.0 in found.shares():
        made += [by_floor(found, 1.0), course(found, 1.0), dismissals(found, 1.0)]
    # A row without any run has empty cells after its two first ones at most.
    texts = [
        f"{title}:\n\n{markdown_table(headers, [row for row in rows if any(row[2:])])}"
        for title, headers, rows in made
    ]
    runs = any("**ours**" in row for row, share in found.found if found.found[row, share])
    head = f"Rows of ours: {label}." if runs else f"There are no runs of ours ({label}) yet."
    text = "\n\n".join([head, *texts])
    if page is None:
        print(text)
    else:
        write(page, "bench_zoos.py", text)
