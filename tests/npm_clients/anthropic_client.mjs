// Calls the gateway as a program with the npm package `@anthropic-ai/sdk` does; prints what it saw as JSON.
// Arguments: the base URL, the key, what to do (whole, stream, tools or count) and the request's fields as JSON.
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";

const [baseURL, apiKey, task, request] = process.argv.slice(2);
const client = new Anthropic({ baseURL, apiKey, maxRetries: 0 });
const { leave_after: leaveAfter, ...fields } = JSON.parse(request);

function told(error) {
  return {
    error: error.constructor.name,
    status: error.status,
    type: error.type ?? error.error?.error?.type ?? null,
    message: error.message,
    decision: error.headers?.get("x-floorline-decision") ?? null,
  };
}

function shown(message) {
  return {
    blocks: message.content.map(({ type, text, thinking, name, input }) =>
      Object.fromEntries(
        Object.entries({ type, text, thinking, name, input }).filter(([, value]) => value != null),
      ),
    ),
    stop: message.stop_reason,
    usage: message.usage,
    id: message.id,
    model: message.model,
  };
}

async function whole() {
  const { data, response } = await client.messages.create(fields).withResponse();
  return { ...shown(data), decision: response.headers.get("x-floorline-decision") };
}

async function stream() {
  const events = [];
  let text = "";
  const running = client.messages.stream(fields);
  running.on("streamEvent", (event) => {
    events.push(event.type);
    if (events.length === leaveAfter) running.abort();
  });
  running.on("text", (delta) => (text += delta));
  const message = await running.finalMessage();
  return { ...shown(message), events, streamed: text };
}

async function tools() {
  const asked = [];
  const weather = betaTool({
    name: "get_weather",
    description: "The weather in a city.",
    inputSchema: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
    },
    run: async (input) => {
      asked.push(input);
      return "It rains.";
    },
  });
  const runner = client.beta.messages.toolRunner({ ...fields, tools: [weather] });
  const message = await runner;
  return { ...shown(message), asked };
}

const tasks = {
  whole,
  stream,
  tools,
  count: async () => client.messages.countTokens(fields),
};

try {
  console.log(JSON.stringify(await tasks[task]()));
} catch (error) {
  if (!(error instanceof Anthropic.AnthropicError)) throw error;
  console.log(JSON.stringify(told(error)));
}
