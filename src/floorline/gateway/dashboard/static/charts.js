// Charts: each <figure class="chart"> names its data, {columns: [...], rows: [[...], ...]}, and how
// to draw it. macros.html.jinja writes the figures.

import { write, writeTime } from "./format.js";

const MOST_SERIES = 8;
const MOST_TABLE_ROWS = 500;
// Labels of the time axis by the distance of its ticks in seconds: the usual one, then what is
// written below it where a year, a month, a day, an hour, a minute or a second begins.
const DAY = "\n{D} {MMM}";
const TIME_LABELS = [
  [31_536_000, "{YYYY}", null, null, null, null, null, null, 1],
  [2_419_200, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86_400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", DAY, null, DAY, null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", DAY, null, DAY, null, null, null, 1],
];

/** Load uPlot once; it is a classic script, which defines the global uPlot. */
const library = new Promise((resolve, reject) => {
  const script = document.createElement("script");
  script.src = new URL("./vendor/uplot/uPlot.iife.min.js", import.meta.url);
  script.onload = () => resolve(window.uPlot);
  script.onerror = () => reject(new Error("the charting library could not be loaded"));
  document.head.append(script);
});

/** A colour of floorline.css as the canvas needs it. */
function colour(name, alpha = 1) {
  const probe = document.createElement("span");
  probe.style.color = `color-mix(in srgb, var(--${name}) ${100 * alpha}%, transparent)`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.holder = figure.querySelector("[data-plot]");
    this.plot = null;
    this.table = null;
    this.etag = null;
    const table = figure.querySelector("[data-plot-table]");
    table?.addEventListener("toggle", () => this.showTable());
    new ResizeObserver(() => this.resize()).observe(this.holder);
  }

  get spec() {
    const data = this.figure.dataset;
    const list = (text) => (text ? text.split(",") : []);
    return { ...data, y: list(data.y), leaveOut: list(data.leaveOut), labels: JSON.parse(data.labels || "{}") };
  }

  async load() {
    if (!this.table) this.note("Loading…");
    try {
      const [answer] = await Promise.all([
        fetch(this.figure.dataset.source, { headers: { Accept: "application/json" } }),
        library,
      ]);
      if (!answer.ok) throw new Error(await reason(answer));
      this.table = rowsOf(await answer.json(), JSON.parse(this.figure.dataset.only || "{}"));
      this.draw();
    } catch (error) {
      // A chart that is drawn already stays, and the next event tries again.
      if (!this.plot) this.note(`The data of this chart could not be loaded: ${error.message}. Reload the page to try again.`);
      this.figure.dataset.state = "error";
    }
  }

  note(text) {
    this.plot?.destroy();
    this.plot = null;
    const note = document.createElement("p");
    note.className = "plot-note";
    note.textContent = text;
    this.holder.replaceChildren(note);
  }

  draw() {
    const spec = this.spec;
    const { times, series } = arrange(this.table, spec);
    // Counts and costs that are all 0 say that nothing happened.
    const counted = spec.unit === "count" || spec.unit === "money";
    const known = series.some((one) => one.values.some((value) => value !== null && !(counted && value === 0)));
    if (!times.length || !known) {
      this.note("No data in this span of time yet.");
      this.figure.dataset.state = "empty";
      this.showTable();
      return;
    }
    const stacked = spec.kind === "area";
    const drawn = stacked ? stack(series) : series.map((one) => one.values);
    const data = [times, ...drawn];
    this.plot?.destroy();
    this.holder.replaceChildren();
    this.plot = new window.uPlot(this.options(spec, series, stacked), data, this.holder);
    this.plot.root.querySelector("canvas").setAttribute("aria-hidden", "true");
    // For tests and for curious people at the console: what is drawn.
    this.figure.drawn = { times, series };
    this.figure.dataset.state = "drawn";
    this.showTable();
  }

  options(spec, series, stacked) {
    const axis = { stroke: colour("muted"), font: "12px system-ui, sans-serif" };
    const lines = { stroke: colour("line"), width: 1 };
    const unit = spec.unit;
    const bounded = unit === "share" && spec.kind !== "band";
    const place = (name) => series.findIndex((one) => one.name === name) + 1;
    const bands = [];
    if (spec.lower && spec.upper && place(spec.lower) && place(spec.upper)) {
      bands.push({ series: [place(spec.upper), place(spec.lower)], fill: colour("series-1", 0.18) });
    }
    return {
      width: this.width(),
      height: Number(spec.height) || 220,
      tzDate: (at) => window.uPlot.tzDate(new Date(1000 * at), "Etc/UTC"),
      legend: { live: true },
      cursor: { drag: { x: true, y: false }, points: { size: 7 } },
      bands,
      scales: {
        x: { time: true },
        y: { range: (plot, low, high) => range(low, high, unit, stacked, bounded, spec, plot.data) },
      },
      axes: [
        { ...axis, grid: { show: false }, ticks: lines, values: TIME_LABELS },
        {
          ...axis, grid: lines, ticks: { show: false }, size: (plot, values) => axisSize(values),
          values: (plot, values) => values.map((value) => write(value, unit)),
        },
      ],
      series: [
        { label: "UTC", value: (plot, value) => (value == null ? "" : writeTime(value)) },
        ...series.map((one, number) => this.line(one, number, spec, stacked)),
      ],
    };
  }

  line(one, number, spec, stacked) {
    const edge = one.name === spec.lower || one.name === spec.upper;
    const floor = one.name === spec.floor;
    const hue = floor ? "bad" : edge ? "series-1" : `series-${(one.hue % MOST_SERIES) + 1}`;
    const line = {
      label: spec.labels[one.name] || `${one.name.replaceAll("_", " ")}${edge ? " bound" : ""}`,
      stroke: colour(hue, edge ? 0.45 : 1),
      width: edge ? 1 : 2,
      // Without the pointer on the chart the legend has names only.
      value: (plot, value, series, index) => (index == null ? "" : write(one.values[index], spec.unit)),
      points: { show: one.values.length < 3 },
    };
    if (floor) line.dash = [6, 4];
    if (stacked) {
      line.fill = colour(hue, 0.75);
      line.width = 1;
    }
    if (spec.kind === "bars") {
      line.paths = window.uPlot.paths.bars({ size: [0.8, 60] });
      line.fill = colour(hue, 0.7);
      line.points = { show: false };
    }
    return line;
  }

  width() {
    return Math.max(160, Math.floor(this.holder.clientWidth));
  }

  resize() {
    if (this.plot && Math.abs(this.plot.width - this.width()) > 1) {
      this.plot.setSize({ width: this.width(), height: this.plot.height });
    }
  }

  showTable() {
    const details = this.figure.querySelector("[data-plot-table]");
    if (!details?.open || !this.table) return;
    details.querySelector(".scroll").replaceChildren(asTable(this.table, this.spec));
  }
}

/** A table with those rows that have the given values in the given columns. */
function rowsOf(table, only) {
  const wanted = Object.entries(only).map(([name, value]) => [table.columns.indexOf(name), value]);
  return { ...table, rows: table.rows.filter((row) => wanted.every(([place, value]) => row[place] === value)) };
}

async function reason(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `the gateway answered ${answer.status}`;
  }
}

/** Turn rows into a list of times and a list of series, each with one value or null per time. */
function arrange(table, spec) {
  const at = (name) => table.columns.indexOf(name);
  const time = at(spec.x);
  if (spec.group) {
    const group = at(spec.group);
    const value = at(spec.y[0]);
    const times = [...new Set(table.rows.map((row) => row[time]))].sort((a, b) => a - b);
    const places = new Map(times.map((moment, place) => [moment, place]));
    const found = new Map();
    for (const row of table.rows) {
      const name = String(row[group]);
      if (!found.has(name)) found.set(name, times.map(() => null));
      found.get(name)[places.get(row[time])] = row[value] ?? null;
    }
    const names = [...found.keys()].sort();
    return { times, series: names.map((name, hue) => ({ name, hue, values: found.get(name) })) };
  }
  const shown = spec.y.length ? spec.y
    : table.columns.filter((name) => name !== spec.x && !spec.leaveOut.includes(name));
  const names = [...new Set([spec.upper, spec.lower, ...shown, spec.floor])]
    .filter((name) => name && at(name) >= 0);
  // A model keeps its colour however much traffic it has: columns that the page does not name are
  // ordered by that.
  const last = (name) => Number(name.startsWith("("));
  const hues = spec.y.length ? shown
    : [...shown].sort((a, b) => last(a) - last(b) || (a < b ? -1 : 1));
  const series = names.map((name) => ({
    name,
    hue: Math.max(0, hues.indexOf(name)),
    values: table.rows.map((row) => row[at(name)] ?? null),
  }));
  return { times: table.rows.map((row) => row[time]), series };
}

/** Heights of stacked series: the first one on top, so that each covers those before it. */
function stack(series) {
  const heights = series.map((one) => one.values.map((value) => value ?? 0));
  for (let number = series.length - 2; number >= 0; number--) {
    heights[number] = heights[number].map((value, place) => value + heights[number + 1][place]);
  }
  return heights;
}

function range(low, high, unit, stacked, bounded, spec, data) {
  if (low == null) return [0, 1];
  if (spec.kind === "band" && data.length > 2) {
    // The first bounds, of few labels, are as wide as the axis and would flatten all others.
    low = Math.max(low, Math.min(quantile(data[2], 0.15), ...data.slice(3).map((one) => quantile(one, 0.05))));
  }
  if (unit === "share" && bounded) return [0, stacked ? 1 : Math.min(1, Math.max(0.01, 1.1 * high))];
  if (unit === "share") {
    const pad = Math.max(0.02, 0.08 * (high - low));
    return [Math.max(0, low - pad), Math.min(1, high + pad)];
  }
  return [0, high > 0 ? 1.1 * high : 1];
}

function quantile(values, share) {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(share * (sorted.length - 1))] : 1;
}

function axisSize(values) {
  const longest = Math.max(0, ...(values || []).map((value) => value.length));
  return Math.min(96, 16 + 7 * longest);
}

/** The newest rows as a table, for people who cannot see the chart. */
function asTable(table, spec) {
  const element = document.createElement("table");
  const head = element.createTHead().insertRow();
  for (const name of table.columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name.replaceAll("_", " ");
    head.append(cell);
  }
  const body = element.createTBody();
  for (const row of table.rows.slice(-MOST_TABLE_ROWS).reverse()) {
    const line = body.insertRow();
    row.forEach((value, column) => {
      const cell = line.insertCell();
      const isTime = table.columns[column] === spec.x;
      const number = typeof value === "number";
      if (number && !isTime) cell.className = "num";
      cell.textContent = isTime ? writeTime(value) : number ? String(Number(value.toPrecision(6))) : value ?? "–";
    });
  }
  return element;
}

const charts = new Map();

/** Draw the figures that are new, and load the data of the others again. */
export function refreshCharts() {
  for (const figure of charts.keys()) if (!figure.isConnected) charts.delete(figure);
  for (const figure of document.querySelectorAll("figure.chart")) {
    if (!charts.has(figure)) charts.set(figure, new Chart(figure));
    charts.get(figure).load();
  }
}

function redraw() {
  for (const chart of charts.values()) if (chart.plot) chart.draw();
}

document.addEventListener("floorline:theme", redraw);
document.addEventListener("floorline:refresh", refreshCharts);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
refreshCharts();
