"""The OpenAI Agents SDK through Floorline: a tool, a stream, one conversation, and feedback.

::

    pip install openai-agents
    export FLOORLINE_URL=http://127.0.0.1:8080 FLOORLINE_API_KEY=...
    python openai_agents_chat.py
"""

import asyncio
import os
import uuid

from openai import AsyncOpenAI

from agents import (
    Agent,
    ModelSettings,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)

URL = os.environ.get("FLOORLINE_URL", "http://127.0.0.1:8080")
floorline = AsyncOpenAI(base_url=f"{URL}/v1", api_key=os.environ.get("FLOORLINE_API_KEY", "none"))
# Traces have every prompt and answer, and would go to api.openai.com.
set_tracing_disabled(True)


@function_tool
def temperature(city: str) -> str:
    """Return the temperature in a city."""
    return f"{city}: 21 degrees"


async def show_decisions(result):
    """Print id and model of the decision behind each answer.

    The SDK shows no headers, so the gateway is asked by the id of the response.
    """
    for answer in result.raw_responses:
        found = await floorline.get(f"/decisions/{answer.response_id}", cast_to=object)
        print("decided:", found["id"], found["model"])


async def main():
    agent = Agent(
        name="Weather",
        # An SLA of floorline.yaml. The model calls POST /v1/responses, which Floorline translates
        # for providers that do not have it.
        model=OpenAIResponsesModel("floorline/gold", openai_client=floorline),
        tools=[temperature],
    )
    name = f"openai-agents-{uuid.uuid4()}"
    # The SDK keeps the messages of the conversation; Floorline keeps its model.
    session = SQLiteSession(name)
    headers = ModelSettings(extra_headers={"X-Floorline-Session": name})
    config = RunConfig(model_settings=headers)

    first = await Runner.run(agent, "How warm is it in Oslo?", session=session, run_config=config)
    await show_decisions(first)
    print("answer:", first.final_output)

    second = Runner.run_streamed(agent, "Do I need a coat?", session=session, run_config=config)
    print("stream:", end=" ")
    async for event in second.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            print(event.data.delta, end="", flush=True)
    print()
    await show_decisions(second)

    # The user has read the answer: was it good?
    about = {"id": second.raw_responses[-1].response_id, "satisfied": True}
    receipt = await floorline.post("/feedback", body=about, cast_to=object)
    print("feedback:", receipt["decision"], receipt["changed"])


asyncio.run(main())
