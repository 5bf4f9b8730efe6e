## A bench run as one page without scripts or outside references. Every ${...} but the body is escaped.
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff; margin: 2.5rem auto;
  max-width: 1080px; padding: 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .4rem; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .5rem; border-bottom: 1px solid #d5dbe3; }
p, li { max-width: 75ch; }
nav ol { padding-left: 1.4rem; } a { color: #1f4e9e; }
.wide { overflow-x: auto; margin: 1rem 0; }
.wide:focus-visible { outline: 2px solid #1f4e9e; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #e7ebf0; text-align: left;
  white-space: nowrap; }
thead th { border-bottom: 2px solid #b6c0cc; vertical-align: bottom; }
tbody tr:hover { background: #f5f7fa; }
td:first-child, th:first-child { position: sticky; left: 0; background: #fff; padding-left: 0; }
img { max-width: 100%; height: auto; display: block; margin: 1rem 0; }
code, pre { font: .85em ui-monospace, monospace; overflow-wrap: anywhere; }
pre { background: #f5f7fa; padding: .8rem; overflow-x: auto; white-space: pre-wrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; } dd { margin: 0; }
@media (max-width: 30rem) { body { margin: 1rem auto; } dl { display: block; }
  dt { font-weight: 600; } dd { margin: 0 0 .4rem; } }
@media print { body { max-width: none; margin: 0; font-size: 9.5pt; } .wide { overflow: visible; }
  nav { display: none; } a { color: inherit; } th, td { white-space: normal; padding: .15rem .3rem; }
  table { font-size: 7pt; } tr, img { break-inside: avoid; } h2 { break-after: avoid; }
  td:first-child, th:first-child { position: static; } details > * { display: block; } }
</style>
</head>
<body>
<h1>${title}</h1>
% if len(headings) > 1:
<nav aria-label="Parts"><ol>
% for heading in headings:
<li><a href="#${heading.anchor}">${heading.title}</a></li>
% endfor
</ol></nav>
% endif
${body | n}
<h2>To run it again</h2>
<dl>
% if about.floorline:
<dt>Floorline</dt><dd>${about.floorline}</dd>
% endif
% if about.python:
<dt>Python</dt><dd>${about.python}</dd>
% endif
% if about.packages:
<dt>Packages</dt><dd>${", ".join(f"{name} {version}" for name, version in about.packages.items())}</dd>
% endif
% if about.encoder:
<dt>Encoder</dt><dd>${about.encoder}</dd>
% endif
% for name, digest in about.data.items():
<dt>Data ${name}</dt><dd><code>${digest}</code></dd>
% endfor
</dl>
% if about.suite is not None:
<details><summary>The suite, as it was run</summary><pre>${suite}</pre></details>
% endif
</body>
</html>
