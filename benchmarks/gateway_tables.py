"""Tables of ``gateway.py``: medians over rounds, differences and ratios within a round."""

import numpy as np

from floorline._markdown import markdown_table

KINDS = ((False, "Answers in one piece"), (True, "Streams of 20 chunks"))


def markdown(result):
    """Return all tables of a run as Markdown."""
    visits = [v for v in result["visits"] if "cells" in v]
    names = list(dict.fromkeys(v["contender"] for v in visits))
    labels = {v["contender"]: v["label"] for v in visits}
    parts = [_speed(visits, names, labels, stream, title) for stream, title in KINDS]
    if "floorline" in names:
        parts.append(_ratios(visits, names, labels))
    parts += [_process(visits, names, labels), _failures(result["visits"])]
    machine, settings = result["machine"], result["settings"]
    about = (
        f"{settings['rounds']} rounds of {settings['seconds']:g} s per cell; {machine['cores']} "
        f"cores, Python {machine['python']}, load average before the run "
        f"{machine['load_before']:.1f}."
    )
    return "\n\n".join([*parts, about]) + "\n"


def _speed(visits, names, labels, stream, title):
    unit = "streams/s" if stream else "requests/s"
    head = ["gateway", "c", unit, "p50 ms", "added p50", "added p95", "added p99"]
    head += ["TTFB p50", "added TTFB p50"] if stream else []
    rows = []
    for c in _concurrencies(visits):
        for name in names:
            one = _cells(visits, name, c, stream)
            base = _cells(visits, "direct", c, stream)
            keys = ["ms_p50", "ms_p95", "ms_p99"] + (["ttfb_p50"] if stream else [])
            added = {k: _added(one, base, k) if name != "direct" else "" for k in keys}
            row = [labels[name], c, f"{_median(one, 'per_second'):,.0f}", _ms(one, "ms_p50")]
            row += [added[k] for k in keys[:3]]
            row += [_ms(one, "ttfb_p50"), added["ttfb_p50"]] if stream else []
            rows.append(row)
    return f"### {title}\n\n{markdown_table(head, rows)}"


def _ratios(visits, names, labels):
    peers = [name for name in names if name not in ("direct", "floorline")]
    head = ["Floorline's throughput over", "c", "in one piece", "streams"]
    rows = []
    for name in peers:
        for c in _concurrencies(visits):
            row = [labels[name], c]
            for stream in (False, True):
                floorline, peer = (_cells(visits, n, c, stream) for n in ("floorline", name))
                both = floorline.keys() & peer.keys()
                ratios = [floorline[r]["per_second"] / peer[r]["per_second"] for r in both]
                row.append(f"{np.median(ratios):.1f}×" if ratios else "")
            rows.append(row)
    return f"### Ratios\n\n{markdown_table(head, rows)}"


def _process(visits, names, labels):
    head = ["gateway", "start-up s", "peak RSS MiB", "CPU µs a request, c = 32", "… a stream"]
    rows = []
    for name in names:
        own = [v for v in visits if v["contender"] == name]
        last = max(_concurrencies(visits))
        row = [labels[name]]
        for key, form in (("start_s", "{:.2f}"), ("memory_mib", "{:.0f}")):
            values = [v[key] for v in own if key in v]
            row.append(form.format(np.median(values)) if values else "")
        row += [f"{_median(_cells(visits, name, last, s), 'cpu_us'):,.0f}" for s in (False, True)]
        rows.append(row)
    return f"### The process\n\n{markdown_table(head, rows)}"


def _failures(visits):
    lines = []
    for visit in visits:
        where = f"round {visit['round'] + 1}, {visit['label']}"
        if "error" in visit:
            lines.append(f"- {where}: {visit['error'].splitlines()[0]}")
        if visit.get("left_open"):
            lines.append(f"- {where}: left {visit['left_open']} connections open")
        for cell in visit.get("cells", ()):
            if cell["failed"]:
                kind = "stream" if cell["stream"] else "request"
                text = f"{cell['failed']} of its answers were wrong at c = {cell['concurrency']}"
                lines.append(f"- {where}, {kind}: {text}: {cell['errors'][0]!r}")
    answers = sum(c["requests"] for v in visits for c in v.get("cells", ()))
    checked = f"{answers:,} answers were read in full and checked."
    if not lines:
        return f"{checked} None was wrong, and no connection stayed open."
    return "\n".join([f"{checked} Failures:", "", *lines])


def _concurrencies(visits):
    return sorted({c["concurrency"] for v in visits for c in v["cells"]})


def _cells(visits, name, concurrency, stream):
    """Return the cells by round."""
    return {
        visit["round"]: cell
        for visit in visits
        for cell in visit["cells"]
        if visit["contender"] == name
        and (cell["concurrency"], cell["stream"]) == (concurrency, stream)
    }


def _median(cells, key):
    return float(np.median([cell[key] for cell in cells.values()]))


def _ms(cells, key):
    return f"{_median(cells, key):.2f}"


def _added(cells, base, key):
    both = cells.keys() & base.keys()
    return f"{np.median([cells[r][key] - base[r][key] for r in both]):.2f}" if both else ""
