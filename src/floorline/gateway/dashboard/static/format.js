// Numbers as formatting.py writes them, so that a live number looks like the one it replaces.

const NONE = "–";
const NBSP = "\u00a0";
const costUnit = document.body.dataset.costUnit || "USD";

function fixed(value, digits) {
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function count(value) {
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 1e3) return fixed(value, 0);
  const written = fixed(value, 2 - Math.floor(Math.log10(size)));
  return written.includes(".") ? written.replace(/0+$/, "").replace(/\.$/, "") : written;
}

function share(value) {
  return `${Number((100 * value).toFixed(1))}${NBSP}%`;
}

function money(value) {
  const size = Math.abs(value);
  const digits = size === 0 || size >= 0.01 ? 2 : 2 - Math.floor(Math.log10(size));
  const text = fixed(size, digits);
  const sign = value < 0 ? "-" : "";
  return costUnit === "USD" ? `${sign}$${text}` : `${sign}${text}${NBSP}${costUnit}`;
}

function seconds(value) {
  if (value === 0) return `0${NBSP}s`;
  if (value < 1) return `${Math.round(1000 * value)}${NBSP}ms`;
  if (value < 60) return `${value.toFixed(2)}${NBSP}s`;
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (value >= size) return `${(value / size).toFixed(1).replace(/\.0$/, "")}${NBSP}${unit}`;
  }
  return NONE;
}

const UNITS = { count, share, money, seconds };

/** Write a value with its unit: "share", "money", "seconds" or "count". */
export function write(value, unit) {
  if (typeof value !== "number" || !Number.isFinite(value)) return NONE;
  return (UNITS[unit] || count)(value);
}

/** Write a Unix time in UTC. */
export function writeTime(at) {
  return typeof at === "number" ? new Date(1000 * at).toISOString().slice(0, 19).replace("T", " ") : NONE;
}
