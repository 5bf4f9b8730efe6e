// Playground: send prompts through the gateway, show the answers as they arrive, and rate them.

import { write } from "./format.js";
import { chosenFloor, follow, promptChanged, targetChanged } from "./playground_floors.js";
import { errorOf, pageUrl, post } from "./playground_http.js";

const page = document.querySelector("[data-playground]");
const form = page.querySelector("[data-prompt-form]");
const turns = page.querySelector("[data-turns]");
const sendButton = page.querySelector("[data-send]");
const stopButton = page.querySelector("[data-stop]");
const newButton = page.querySelector("[data-new]");
const status = page.querySelector("[data-status]");
const mayRate = page.dataset.mayRate === "yes";

let messages = [];
let session = newSession();
let running = null;

function newSession() {
  return `playground-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
}

/** Floor of the chosen SLA; null for a model. */
function floorOfTarget() {
  const floor = form.elements.model.selectedOptions[0]?.dataset.floor;
  return floor === undefined ? null : Number(floor);
}

/** What would be sent now, for the preview. */
function draft() {
  const prompt = form.elements.prompt.value.trim();
  const next = prompt ? [{ role: "user", content: prompt }] : [];
  return { model: form.elements.model.value, floor: floorOfTarget(), messages: [...messages, ...next], session };
}

function add(kind) {
  const item = document.querySelector(`template[data-${kind}]`).content.firstElementChild.cloneNode(true);
  turns.append(item);
  page.querySelector("[data-empty]").hidden = true;
  return item;
}

function part(item, name) {
  return item.querySelector(`[data-${name}]`);
}

/** Yield the JSON of each event of a stream. */
async function* eventsOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split(/\r?\n\r?\n/);
    rest = events.pop();
    for (const event of events) {
      const lines = event.split(/\r?\n/).filter((line) => line.startsWith("data:"));
      const data = lines.map((line) => line.slice(5).trimStart()).join("\n");
      if (data && data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

async function send() {
  const prompt = form.elements.prompt.value.trim();
  if (!prompt || running || sendButton.disabled) return;
  running = new AbortController();
  setRunning(true);
  messages.push({ role: "user", content: prompt });
  part(add("question"), "text").textContent = prompt;
  form.elements.prompt.value = "";
  const item = add("answer");
  item.setAttribute("aria-busy", "true");
  item.scrollIntoView({ block: "nearest" });
  const answered = await receive(item, requestBody(), running.signal);
  item.removeAttribute("aria-busy");
  if (answered === null) {
    // So that it can be corrected and sent again.
    messages.pop();
    if (!form.elements.prompt.value) form.elements.prompt.value = prompt;
  } else {
    messages.push({ role: "assistant", content: answered });
  }
  running = null;
  setRunning(false);
  promptChanged();
  form.elements.prompt.focus();
}

function requestBody() {
  const floorline = { session, floor: chosenFloor() };
  return { model: form.elements.model.value, messages, stream: true, floorline };
}

/** Show an answer while it arrives; its text, or null if there was an error. */
async function receive(item, body, signal) {
  const began = performance.now();
  let text = "";
  let first = null;
  let decision = null;
  const fail = (message) => {
    part(item, "error").hidden = false;
    part(item, "error").textContent = message;
    if (part(item, "model").textContent === "…") part(item, "model").textContent = "No answer";
    status.textContent = "The request failed.";
  };
  try {
    const answer = await post("send", body, signal);
    decision = answer.headers.get("X-Floorline-Decision");
    if (!answer.ok) {
      fail(await errorOf(answer));
      return null;
    }
    part(item, "model").textContent = answer.headers.get("X-Floorline-Model");
    for await (const event of eventsOf(answer)) {
      if (event.error) {
        fail(event.error.message || "the answer broke off");
        break;
      }
      const piece = event.choices?.[0]?.delta?.content || "";
      if (piece && first === null) first = performance.now() - began;
      text += piece;
      part(item, "text").textContent = text;
    }
  } catch (error) {
    fail(error.name === "AbortError" ? "You stopped the answer." : "The connection to the gateway broke: send it again.");
    return text || null;
  }
  const seconds = (performance.now() - began) / 1000;
  part(item, "facts").textContent =
    `First content after ${write((first ?? 1000 * seconds) / 1000, "seconds")}, end after ${write(seconds, "seconds")}`;
  status.textContent = `${part(item, "model").textContent} has answered.`;
  if (decision) explain(item, decision);
  return text;
}

/** Say why this model answered and what it cost, and let the answer be rated. */
async function explain(item, decision) {
  const link = part(item, "link");
  link.hidden = false;
  link.querySelector("a").href = pageUrl(`decisions/${encodeURIComponent(decision)}`);
  if (mayRate) {
    const rate = part(item, "rate");
    rate.hidden = false;
    for (const button of rate.querySelectorAll("[data-satisfied]")) {
      button.addEventListener("click", () => sendFeedback(rate, decision, button));
    }
  }
  const found = await explanationOf(decision);
  if (!found) return;
  const facts = part(item, "facts");
  if (found.expected_quality !== null) facts.textContent += `, expected quality ${write(found.expected_quality, "share")}`;
  if (found.cost !== null) facts.textContent += `, cost ${write(found.cost, "money")}`;
  part(item, "why").hidden = false;
  part(item, "why").textContent = found.summary;
}

/** Explanation of a decision, with its cost if that comes soon: it is recorded after the last byte. */
async function explanationOf(decision) {
  let found = null;
  for (let tries = 0; tries < 3 && (found === null || found.cost === null); tries++) {
    if (tries) await new Promise((resolve) => setTimeout(resolve, 300));
    try {
      const answer = await fetch(pageUrl(`playground/decisions/${encodeURIComponent(decision)}`));
      if (!answer.ok) return found;
      found = await answer.json();
    } catch {
      return found;
    }
  }
  return found;
}

async function sendFeedback(rate, decision, button) {
  const receipt = part(rate, "receipt");
  const satisfied = button.dataset.satisfied === "yes";
  try {
    const answer = await post("feedback", { decision, satisfied, source: page.dataset.source });
    if (!answer.ok) {
      receipt.textContent = await errorOf(answer);
      return;
    }
    for (const other of rate.querySelectorAll("[data-satisfied]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    const { changed } = await answer.json();
    receipt.textContent = changed ? "Saved: the router learns from it." : "Saved before.";
  } catch {
    receipt.textContent = "The gateway does not answer: try again.";
  }
}

function setRunning(is) {
  sendButton.disabled = is;
  stopButton.hidden = !is;
  newButton.hidden = is || messages.length === 0;
}

form.elements.model.addEventListener("change", targetChanged);
form.elements.prompt.addEventListener("input", promptChanged);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
form.elements.prompt.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    form.requestSubmit();
  }
});
stopButton.addEventListener("click", () => running?.abort());
newButton.addEventListener("click", () => {
  messages = [];
  session = newSession();
  turns.replaceChildren();
  page.querySelector("[data-empty]").hidden = false;
  newButton.hidden = true;
  form.elements.prompt.focus();
  promptChanged();
});
follow(draft);
