// Calls the gateway as a program with the npm package `openai` does; prints what it saw as JSON.
// Arguments: the base URL and the request's fields as JSON.
import OpenAI from "openai";

const [baseURL, request] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0 });
const { leave_after: leaveAfter, ...fields } = JSON.parse(request);

function told(error) {
  return {
    error: error.constructor.name,
    status: error.status,
    code: error.code,
    param: error.param,
    message: error.message,
    decision: error.headers?.get("x-floorline-decision") ?? null,
  };
}

async function stream() {
  const { data, response } = await client.chat.completions.create(fields).withResponse();
  const seen = { text: "", finish: null, usage: null, chunks: 0, id: null };
  seen.decision = response.headers.get("x-floorline-decision");
  for await (const chunk of data) {
    seen.chunks += 1;
    seen.id ??= chunk.id ?? null;
    seen.usage = chunk.usage ?? seen.usage;
    const choice = chunk.choices?.[0];
    seen.text += choice?.delta?.content ?? "";
    seen.finish = choice?.finish_reason ?? seen.finish;
    if (seen.chunks === leaveAfter) break; // The package aborts the request.
  }
  return seen;
}

async function whole() {
  const { data, response } = await client.chat.completions.create(fields).withResponse();
  const [choice] = data.choices;
  return {
    text: choice.message.content,
    calls: choice.message.tool_calls ?? null,
    finish: choice.finish_reason,
    usage: data.usage ?? null,
    id: data.id,
    decision: response.headers.get("x-floorline-decision"),
  };
}

try {
  console.log(JSON.stringify(await (fields.stream ? stream() : whole())));
} catch (error) {
  if (!(error instanceof OpenAI.OpenAIError)) throw error;
  console.log(JSON.stringify(told(error)));
}
