// Who would answer at each floor: a ribbon above which a slider chooses the floor of the next prompt.

import { write } from "./format.js";
import { errorOf, post } from "./playground_http.js";

const TYPING_MILLISECONDS = 500;
const SLIDING_MILLISECONDS = 150;
// Pause after a change before the gateway is asked.
const SERIES = 8;
// Number of colours of floorline.css.

const card = document.querySelector("[data-floors]");
const slider = card.querySelector("input[type=range]");
const shown = card.querySelector("[data-floor-shown]");
const result = card.querySelector("[data-result]");
const ribbon = card.querySelector("[data-ribbon]");
const ranges = card.querySelector("[data-ranges] tbody");
const candidates = card.querySelector("[data-candidates] tbody");
const reset = card.querySelector("[data-reset]");
const problem = card.querySelector("[data-floors-problem]");
const example = card.dataset.example;
const grid = card.dataset.grid.split(" ").map(Number);

let source = null;
let asked = null;
let timer = null;
let ribbonOf = "";

/** Let the card follow a form. `read` returns {model, floor, messages, session}; floor is the SLA's or null. */
export function follow(read) {
  source = read;
  slider.addEventListener("input", () => {
    showFloor();
    later(SLIDING_MILLISECONDS);
  });
  reset.addEventListener("click", () => targetChanged());
  targetChanged();
}

/** Another SLA or model was chosen: the slider goes to its floor. */
export function targetChanged() {
  const { floor } = source();
  card.hidden = floor === null;
  if (floor === null) return;
  slider.value = Math.round(100 * floor);
  showFloor();
  later(0);
}

/** The prompt or the conversation has changed. */
export function promptChanged() {
  later(TYPING_MILLISECONDS);
}

/** Floor of the next request if it is not the SLA's own; otherwise undefined. */
export function chosenFloor() {
  const { floor } = source();
  return floor === null || Number(slider.value) === Math.round(100 * floor) ? undefined : slider.value / 100;
}

function showFloor() {
  const own = chosenFloor() === undefined;
  const text = `${slider.value}\u00a0%`;
  shown.textContent = text;
  slider.setAttribute("aria-valuetext", own ? `${text}, the SLA's floor` : text);
  reset.hidden = own;
}

function later(milliseconds) {
  clearTimeout(timer);
  if (!card.hidden) timer = setTimeout(ask, milliseconds);
}

async function ask() {
  const { model, floor, messages, session } = source();
  const question = messages.length ? messages : [{ role: "user", content: example }];
  const key = JSON.stringify([model, question]);
  // The SLA's own floor is what the request asks for without one.
  const chosen = chosenFloor() ?? floor;
  const floors = key === ribbonOf ? [chosen] : [chosen, ...grid];
  asked?.abort();
  const running = (asked = new AbortController());
  try {
    const answer = await post("preview", { model, messages: question, floorline: { floors, session } }, running.signal);
    if (!answer.ok) return fail(await errorOf(answer));
    const { data } = await answer.json();
    problem.hidden = true;
    showChosen(data[0], messages);
    if (data.length > 1) {
      showRibbon(data.slice(1));
      ribbonOf = key;
    }
  } catch (error) {
    if (error.name !== "AbortError") fail("The gateway does not answer: move the floor to ask again.");
  }
}

function fail(text) {
  problem.hidden = false;
  problem.textContent = text;
  result.textContent = "";
}

function showChosen(found, messages) {
  const of = { user: "your prompt", assistant: "the next turn" }[messages.at(-1)?.role] ?? `the example “${example}”`;
  result.replaceChildren();
  if (!found.model) {
    result.textContent = `Nobody: the request would be declined. ${found.summary}`;
  } else {
    const name = document.createElement("strong");
    name.textContent = found.model;
    const quality = `expected quality ${write(found.expected_quality, "share")}`;
    const cost = `expected cost ${write(found.expected_cost, "money")}`;
    result.append(name, ` would answer ${of}: ${quality}, ${cost}${found.explored ? ", to explore" : ""}.`);
  }
  candidates.replaceChildren(...found.candidates.map((one) => {
    const cells = [[one.model], [write(one.quality, "share"), "num"], [write(one.cost, "money"), "num"]];
    const line = row(cells, one.served);
    const why = document.createElement("span");
    why.className = "note";
    why.textContent = one.explanation;
    line.firstChild.append(why);
    return line;
  }));
}

/** Draw the ranges of floors at which the same model would answer. */
function showRibbon(found) {
  const parts = [];
  for (const [place, one] of found.entries()) {
    const high = found[place + 1]?.floor ?? 1;
    const last = parts.at(-1);
    if (last && last.model === one.model) last.high = high;
    else parts.push({ ...one, low: one.floor, high });
  }
  const names = found[0].candidates.map((one) => one.model);
  ribbon.replaceChildren();
  ranges.replaceChildren();
  for (const part of parts) {
    const colour = part.model ? `var(--series-${1 + (names.indexOf(part.model) % SERIES)})` : "var(--line-strong)";
    const width = part.high - part.low;
    if (width > 0) {
      const piece = document.createElement("span");
      piece.style.flexGrow = String(width);
      piece.style.background = colour;
      ribbon.append(piece);
    }
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = colour;
    const line = row([
      [write(part.high, "share"), "nowrap"],
      [part.model || "declined", "nowrap"],
      [write(part.expected_quality, "share"), "num"],
      [write(part.expected_cost === null ? null : 1000 * part.expected_cost, "money"), "num"],
    ]);
    line.children[1].prepend(swatch);
    ranges.append(line);
  }
}

function row(cells, chosen = false) {
  const line = document.createElement("tr");
  if (chosen) line.className = "chosen";
  for (const [place, [text, kind]] of cells.entries()) {
    const cell = document.createElement(place === 0 ? "th" : "td");
    if (place === 0) cell.scope = "row";
    if (kind) cell.className = kind;
    cell.append(text);
    line.append(cell);
  }
  return line;
}
