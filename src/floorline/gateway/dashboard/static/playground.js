// Playground: send prompts through the gateway, show the answers as they arrive, and rate them.

import { write } from "./format.js";

const base = `${document.body.dataset.root}/dashboard`;
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

/** Send JSON to a path of the playground, with the token of the login. */
function post(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  if (document.body.dataset.csrf) headers["X-Floorline-Csrf"] = document.body.dataset.csrf;
  return fetch(`${base}/playground/${path}`, { method: "POST", headers, body: JSON.stringify(body), signal });
}

/** Text of an error, whatever answered. */
async function errorOf(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `the gateway answers with status ${answer.status}: load this page again`;
  }
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
  form.elements.prompt.focus();
}

function requestBody() {
  return { model: form.elements.model.value, messages, stream: true, floorline: { session } };
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
    `first content after ${write((first ?? 1000 * seconds) / 1000, "seconds")}, end after ${write(seconds, "seconds")}`;
  status.textContent = `${part(item, "model").textContent} has answered.`;
  if (decision) explain(item, decision);
  return text;
}

/** Link to the decision of an answer, and let it be rated. */
function explain(item, decision) {
  const link = part(item, "link");
  link.hidden = false;
  link.querySelector("a").href = `${base}/decisions/${encodeURIComponent(decision)}`;
  if (!mayRate) return;
  const rate = part(item, "rate");
  rate.hidden = false;
  for (const button of rate.querySelectorAll("[data-satisfied]")) {
    button.addEventListener("click", () => sendFeedback(rate, decision, button));
  }
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
});
