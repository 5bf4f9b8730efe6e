// Calls the gateway's /v1/responses, /v1/embeddings and /v1/completions as a program with the npm
// package `openai` does; prints what it saw as JSON. Arguments: the base URL, the task, the model.
import OpenAI from "openai";

const [baseURL, task, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0 });
const input = "Why is the sky blue?";
const weather = {
  type: "function",
  name: "weather",
  description: "Weather of a city",
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
  strict: true,
};

function seen(response) {
  return {
    text: response.output_text,
    kinds: response.output.map((item) => item.type),
    status: response.status,
    usage: response.usage,
  };
}

const tasks = {
  async text() {
    return seen(await client.responses.create({ model, input }));
  },
  async stream() {
    const stream = client.responses.stream({ model, input });
    let text = "";
    stream.on("response.output_text.delta", (event) => (text += event.delta));
    return { ...seen(await stream.finalResponse()), text };
  },
  async tools() {
    const first = await client.responses.create({ model, input, tools: [weather] });
    const call = first.output.find((item) => item.type === "function_call");
    const output = { type: "function_call_output", call_id: call.call_id, output: "rain" };
    const second = await client.responses
      .stream({
        model,
        input: [{ role: "user", content: input }, ...first.output, output],
        tools: [weather],
      })
      .finalResponse();
    return { ...seen(second), asked: JSON.parse(call.arguments) };
  },
  async object() {
    const format = { type: "json_schema", name: "city", schema: weather.parameters, strict: true };
    const response = await client.responses.parse({ model, input, text: { format } });
    return { object: response.output_parsed };
  },
  async embeddings() {
    const { data, usage } = await client.embeddings.create({ model, input });
    return { embedding: data[0].embedding, usage };
  },
  async completions() {
    let text = "";
    const stream = await client.completions.create({ model, prompt: input, stream: true });
    for await (const chunk of stream) text += chunk.choices[0]?.text ?? "";
    return { text };
  },
};

try {
  console.log(JSON.stringify(await tasks[task]()));
} catch (error) {
  if (!(error instanceof OpenAI.OpenAIError)) throw error;
  console.log(
    JSON.stringify({
      error: error.constructor.name,
      status: error.status,
      code: error.code,
      param: error.param,
      message: error.message,
    }),
  );
}
