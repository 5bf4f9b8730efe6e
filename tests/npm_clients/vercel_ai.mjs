// Calls the gateway as a program with Vercel's npm package `ai` does; prints what it saw as JSON.
// Arguments: the base URL, the provider package, the function (text, stream, tools, object), the
// model and the prompt.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";

const [baseURL, family, task, name, prompt] = process.argv.slice(2);
const model =
  family === "openai"
    ? createOpenAI({ baseURL, apiKey: "unused" }).chat(name)
    : createOpenAICompatible({
        name: "floorline",
        baseURL,
        apiKey: "unused",
        includeUsage: true,
        supportsStructuredOutputs: true,
      })(name);
const common = { model, prompt, maxRetries: 0 };
const city = jsonSchema({
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
});

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
    const weather = tool({
      description: "Weather of a city",
      inputSchema: city,
      execute: async (input) => {
        asked.push(input);
        return { weather: "rain" };
      },
    });
    const result = await generateText({ ...common, tools: { weather }, stopWhen: stepCountIs(2) });
    return { text: result.text, asked, steps: result.steps.length };
  },
  async object() {
    const result = await generateText({ ...common, output: Output.object({ schema: city }) });
    return { object: result.output };
  },
};

try {
  console.log(JSON.stringify(await tasks[task]()));
} catch (error) {
  if (!APICallError.isInstance(error)) throw error;
  console.log(
    JSON.stringify({
      error: error.name,
      status: error.statusCode,
      message: error.message,
      decision: error.responseHeaders?.["x-floorline-decision"] ?? null,
    }),
  );
}
