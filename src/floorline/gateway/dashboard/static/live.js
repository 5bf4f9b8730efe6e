// Live pages: numbers follow each event of the gateway; parts and charts are loaded again after it.

import { write } from "./format.js";

const REFRESH_MILLISECONDS = 15_000;
// A page is rendered again at most this often: the gateway serves requests beside it.
const RETRY_MILLISECONDS = 30_000;

const state = document.querySelector("[data-live-state]");
let refreshed = Date.now();
let waiting = null;
let first = true;

function show(name, text) {
  if (!state) return;
  state.hidden = false;
  state.dataset.state = name;
  state.querySelector("[data-live-text]").textContent = text;
}

/** Value at a path such as "slas.gold.labels"; names with dots work, because the longest key fits. */
function valueAt(found, path) {
  if (path === "" || found == null) return found;
  if (typeof found !== "object") return undefined;
  const words = path.split(".");
  for (let length = words.length; length > 0; length--) {
    const key = words.slice(0, length).join(".");
    if (Object.hasOwn(found, key)) return valueAt(found[key], words.slice(length).join("."));
  }
  return undefined;
}

function writeNumbers(summary) {
  for (const element of document.querySelectorAll("[data-tick]")) {
    const value = valueAt(summary, element.dataset.tick);
    if (value !== undefined) element.textContent = write(value, element.dataset.unit);
  }
}

/** Put the new content of a part into the page, with the charts and open details it has now. */
function replace(part, fresh) {
  if (part.contains(document.activeElement)) return;
  const kept = new Map([...part.querySelectorAll("figure.chart")].map((one) => [one.dataset.source, one]));
  for (const figure of fresh.querySelectorAll("figure.chart")) {
    const old = kept.get(figure.dataset.source);
    if (old) figure.replaceWith(old);
  }
  const open = new Set([...part.querySelectorAll("details[open] > summary")].map((one) => one.textContent));
  for (const summary of fresh.querySelectorAll("details > summary")) {
    if (open.has(summary.textContent)) summary.parentElement.open = true;
  }
  const scrolled = [...part.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
  part.replaceChildren(...fresh.childNodes);
  part.querySelectorAll(".scroll").forEach((one, place) => { one.scrollLeft = scrolled[place] || 0; });
}

async function refresh() {
  waiting = null;
  if (document.hidden) {
    document.addEventListener("visibilitychange", later, { once: true });
    return;
  }
  refreshed = Date.now();
  if (document.querySelector("[data-live]")) {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.redirected) return location.reload();
      if (!answer.ok) return show("off", "not up to date");
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const fresh = page.querySelector(`[data-live="${CSS.escape(part.dataset.live)}"]`);
        if (fresh) replace(part, fresh);
      }
    } catch {
      return show("off", "not up to date");
    }
  }
  document.dispatchEvent(new CustomEvent("floorline:refresh"));
  show("on", "live");
}

function later() {
  if (waiting !== null) return;
  waiting = setTimeout(refresh, Math.max(0, refreshed + REFRESH_MILLISECONDS - Date.now()));
}

/** The gateway refuses above its number of viewers, while it restarts, and when the login is over. */
async function refused() {
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) return location.reload();
  } catch {
    // It cannot be reached; the next try may.
  }
  setTimeout(connect, RETRY_MILLISECONDS);
}

function connect() {
  const events = new EventSource(document.body.dataset.events);
  events.addEventListener("open", () => show("on", "live"));
  events.addEventListener("error", () => {
    const ended = events.readyState === EventSource.CLOSED;
    show("off", ended ? "not live" : "reconnecting");
    if (ended) refused();
  });
  events.addEventListener("tick", (event) => {
    const summary = JSON.parse(event.data);
    writeNumbers(summary);
    document.dispatchEvent(new CustomEvent("floorline:tick", { detail: summary }));
    beat();
    // The first event tells what the page shows already.
    if (!first) later();
    first = false;
  });
  addEventListener("pagehide", () => events.close(), { once: true });
}

function beat() {
  const dot = state?.querySelector(".live-dot");
  dot?.classList.remove("beat");
  requestAnimationFrame(() => dot?.classList.add("beat"));
}

addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
connect();
