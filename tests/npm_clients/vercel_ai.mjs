// Calls the gateway as a program with Vercel's npm package `ai` does; prints what it saw as JSON.
// Arguments: the base URL, the provider package, the task (a name in "tasks"), the model and the
// prompt. The package of OpenAI's calls /v1/responses by default ("responses"), or chat ("openai").
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";

const [baseURL, family, task, name, prompt] = process.argv.slice(2);
const families = {
  openai: () => createOpenAI({ baseURL, apiKey: "unused" }).chat(name),
  responses: () => createOpenAI({ baseURL, apiKey: "unused" })(name),
  compatible: () =>
    createOpenAICompatible({
      name: "floorline",
      baseURL,
      apiKey: "unused",
      includeUsage: true,
      supportsStructuredOutputs: true,
    })(name),
};
const model = families[family]();
const common = { model, prompt, maxRetries: 0 };
const city = jsonSchema({
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
});

function weatherTool(asked) {
  return tool({
    description: "Weather of a city",
    inputSchema: city,
    execute: async (input) => {
      asked.push(input);
      return { weather: "rain" };
    },
  });
}

const tasks = {
  async text() {
    const result = await generateText(common);
    return { text: result.text, finish: result.finishReason, usage: result.usage };
  },
  async stream() {
    const failures = [];
    const result = streamText({ ...common, onError: ({ error }) => failures.push(error) });
    let text = "";
    for await (const part of result.textStream) text += part;
    if (failures.length) throw failures[0];
    return { text, finish: await result.finishReason, usage: await result.usage };
  },
  async tools() {
    const asked = [];
    const tools = { weather: weatherTool(asked) };
    const result = await generateText({ ...common, tools, stopWhen: stepCountIs(2) });
    return { text: result.text, asked, steps: result.steps.length };
  },
  async streamedTools() {
    const asked = [];
    const tools = { weather: weatherTool(asked) };
    const result = streamText({ ...common, tools, stopWhen: stepCountIs(2) });
    let text = "";
    let thinking = "";
    for await (const part of result.fullStream) {
      if (part.type === "error") throw part.error;
      if (part.type === "text-delta") text += part.text;
      if (part.type === "reasoning-delta") thinking += part.text;
    }
    return { text, thinking, asked, steps: (await result.steps).length };
  },
  // The second request refers to what the first one answered.
  async turns() {
    const question = { role: "user", content: prompt };
    const first = await generateText({ model, maxRetries: 0, messages: [question] });
    const messages = [question, ...first.response.messages, { role: "user", content: "And then?" }];
    const second = await generateText({ model, maxRetries: 0, messages });
    return { text: second.text, thinking: first.reasoningText ?? "" };
  },
  async object() {
    const result = await generateText({ ...common, output: Output.object({ schema: city }) });
    return { object: result.output };
  },
};

try {
  console.log(JSON.stringify(await tasks[task]()));
} catch (error) {
  if (!APICallError.isInstance(error)) {
    // An event of a stream: the package passes its fields on.
    if (!error?.message) throw error;
    console.log(JSON.stringify({ error: error.name ?? error.type ?? "error", ...error }));
    process.exit();
  }
  console.log(
    JSON.stringify({
      error: error.name,
      status: error.statusCode,
      message: error.message,
      decision: error.responseHeaders?.["x-floorline-decision"] ?? null,
    }),
  );
}
