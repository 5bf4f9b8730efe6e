## A certificate as one page without scripts or outside references. Every ${...} is escaped.
<%!
from floorline.report.certificate_page import percent, time
%>\
<%def name="verdict(made)">\
<div class="verdict ${made.verdict.replace(' ', '-')}">
<strong>${made.verdict.capitalize()}</strong>: ${made.reason}.<br>
% if made.satisfaction is not None:
Mean ${percent(made.satisfaction)};
% endif
bounds ${percent(made.lower)} to ${percent(made.upper)};
${f"{made.labels:,}"} labels of ${f"{made.requests:,}"} responses.
</div>
</%def>\
<%def name="bullets(texts)">\
<ul>
% for text in texts:
<li>${text}</li>
% endfor
</ul>
</%def>\
<%def name="groups(what, rows, served)">\
<table>
<tr><th>${what}</th>\
% if served:
<th class="number">served</th>\
% endif
<th class="number">labels</th><th class="number">mean satisfaction</th></tr>
% for group in rows:
<tr><td>${group.name}</td>\
% if served:
<td class="number">${f"{group.served:,}"}</td>\
% endif
<td class="number">${f"{group.labels:,}"}</td>\
<td class="number">${"-" if group.mean is None else percent(group.mean)}</td></tr>
% endfor
</table>
</%def>\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Certificate of SLA ${made.sla}</title>
<style>
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff; margin: 2.5rem auto;
  max-width: 780px; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; border-bottom: 1px solid #d5dbe3; }
.verdict { border-left: .5rem solid; padding: .6rem 1rem; margin: 1.2rem 0; background: #f5f7fa; }
.verdict strong { font-size: 1.3rem; }
.kept { border-color: #1a7f4b; } .broken, .unreachable { border-color: #b3261e; }
.at-risk { border-color: #c77700; } .unknown { border-color: #6b7686; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #e7ebf0;
  vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
code { font: .85em ui-monospace, monospace; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: #4a5565; }
.grid { stroke: #e7ebf0; } .band { fill: #1f4e9e; opacity: .18; }
.mean { fill: none; stroke: #1f4e9e; stroke-width: 2; }
.floor { stroke: #1c2430; stroke-dasharray: 6 4; stroke-width: 1.4; }
.signature { margin-top: 2.5rem; border-top: 2px solid #1c2430; padding-top: .6rem; }
li { margin: .3rem 0; }
</style>
</head>
<body>
<h1>Certificate of SLA ${made.sla}</h1>
<p>Mean satisfaction of its responses is to be at least <b>${percent(made.floor)}</b>.</p>
% for note in report.notes:
<p>${note}</p>
% endfor
${verdict(made)}\
% if plot:
<svg viewBox="0 0 ${plot.width} ${plot.height}" role="img" xmlns="http://www.w3.org/2000/svg">
<title>Mean satisfaction with its bounds over ${report.counted}</title>
% for tick in plot.rows:
<line class="grid" x1="${plot.left}" x2="${plot.right}" y1="${tick.at}" y2="${tick.at}"/>
<text x="${plot.left - 8}" y="${tick.at}" dy="4" text-anchor="end">${tick.label}</text>
% endfor
% for tick in plot.columns:
<text x="${tick.at}" y="${plot.bottom}" dy="18" text-anchor="${tick.anchor}">${tick.label}</text>
% endfor
<polygon class="band" points="${plot.band}"/>
<polyline class="mean" points="${plot.mean}"/>
<line class="floor" x1="${plot.left}" x2="${plot.right}" y1="${plot.floor}" y2="${plot.floor}"/>
<text x="${plot.middle}" y="${plot.height - 6}" text-anchor="middle">${report.counted}</text>
</svg>
% endif
<p>Mean (line), its bounds at ${percent(made.confidence)} confidence (band) and the floor (dashed)
over ${report.counted}.</p>
<table>
<tr><th>Method</th><td>${made.method}</td></tr>
<tr><th>Confidence</th><td>${percent(made.confidence)}</td></tr>
</table>
% for promise in made.latency:
<h2>Promise of latency: ${promise.promise}</h2>
<div class="verdict ${promise.verdict.replace(" ", "-")}"><strong>${promise.verdict}</strong>
<p>${promise.reason}.</p>
<p>${"No time is known" if promise.within is None else percent(promise.within) + " of the requests were within the limit"};
the mean share is ${percent(promise.lower)} to ${percent(promise.upper)} at ${percent(promise.confidence)}
confidence. ${f"{promise.requests:,}"} requests with a known time, ${f"{promise.unknown:,}"} without.</p></div>
<table>
<tr><th>model</th><th class="number">calls</th><th class="number">within the limit</th>\
<th class="number">upper bound</th></tr>
% for row in promise.models:
<tr><td>${row.model}</td><td class="number">${f"{row.calls:,}"}</td>\
<td class="number">${"-" if row.within is None else percent(row.within)}</td>\
<td class="number">${percent(row.upper)}</td></tr>
% endfor
</table>
${bullets(promise.assumptions)}\
% endfor
% if report.window is not None:
<h2>Latest ${f"{report.window.window:,}"} labels</h2>
${verdict(report.window)}\
% endif
% if made.reachability is not None:
<h2>What the models reach</h2>
<p>${made.reachability.finding.capitalize()}: ${made.reachability.reason}. The bounds of the models
hold at ${percent(made.reachability.confidence)} confidence or more.</p>
<table>
<tr><th>model</th><th class="number">labels</th><th class="number">mean satisfaction</th>\
<th class="number">upper bound</th></tr>
% for bound in made.reachability.models:
<tr><td>${bound.model}</td><td class="number">${f"{bound.labels:,}"}</td>\
<td class="number">${"-" if bound.mean is None else percent(bound.mean)}</td>\
<td class="number">${percent(bound.upper)}</td></tr>
% endfor
</table>
${bullets(made.reachability.assumptions)}\
% endif
<h2>What this assumes</h2>
${bullets(made.assumptions)}\
<h2>Signs in the data against it</h2>
% if report.checks:
${bullets(report.checks)}\
% else:
<p>None found.</p>
% endif
<h2>Labels by source</h2>
${groups("source", report.sources, False)}\
<p>${f"{report.corrected:,}"} corrections; a corrected label counts once, as last given.</p>
<h2>Labels by tenant or key</h2>
<table>
<tr><th>tenant or key</th><th class="number">requests</th><th class="number">share</th>\
<th class="number">labels</th><th class="number">mean satisfaction</th>\
<th class="number">weight</th><th class="number">share</th></tr>
% for row in report.senders:
<tr><td>${row.name or "none"}</td><td class="number">${f"{row.requests:,}"}</td>\
<td class="number">${percent(row.request_share)}</td>\
<td class="number">${f"{row.labels:,}"}</td>\
<td class="number">${"-" if row.mean is None else percent(row.mean)}</td>\
<td class="number">${f"{row.weight:,.1f}"}</td>\
<td class="number">${percent(row.weight_share)}</td></tr>
% endfor
</table>
<h2>Responses by model</h2>
${groups("model", report.models, True)}\
<h2>Data</h2>
<table>
<tr><th>Log</th><td><code>${data.log}</code></td></tr>
<tr><th>Positions</th><td>\
% if data.last_position is None:
none\
% else:
${f"{data.first_position:,}"} to ${f"{data.last_position:,}"} (${f"{data.events:,}"} events)\
% endif
</td></tr>
<tr><th>Time</th><td>\
% if data.first_at is None or data.last_at is None:
no event has a time\
% else:
${time(data.first_at)} to ${time(data.last_at)}\
% endif
</td></tr>
<tr><th>SHA-256</th><td><code>${data.sha256}</code></td></tr>
</table>
<div class="signature">\
% if report.signed_by:
Signed by <b>${report.signed_by}</b>\
% else:
Not signed\
% endif
, ${time(report.signed_at)}. Made by Floorline ${report.floorline}.</div>
</body>
</html>
