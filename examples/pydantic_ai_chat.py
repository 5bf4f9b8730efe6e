"""Pydantic AI through Floorline: a tool, a stream, one conversation, and feedback.

::

    pip install 'pydantic-ai-slim[openai]'
    export FLOORLINE_URL=http://127.0.0.1:8080 FLOORLINE_API_KEY=...
    python pydantic_ai_chat.py

Pydantic AI reports to Logfire only in programs that call ``logfire.instrument_pydantic_ai()``.
"""

import asyncio
import os
import uuid

from openai import AsyncOpenAI
from pydantic_ai import Agent, ModelResponse
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

URL = os.environ.get("FLOORLINE_URL", "http://127.0.0.1:8080")
floorline = AsyncOpenAI(base_url=f"{URL}/v1", api_key=os.environ.get("FLOORLINE_API_KEY", "none"))
agent = Agent(
    # An SLA of floorline.yaml.
    OpenAIChatModel("floorline/gold", provider=OpenAIProvider(openai_client=floorline))
)


@agent.tool_plain
def temperature(city: str) -> str:
    """Return the temperature in a city."""
    return f"{city}: 21 degrees"


async def show_decisions(messages):
    """Print id and model of the decision behind each answer.

    Pydantic AI shows no headers, so the gateway is asked by the id of the completion.
    """
    for message in messages:
        if isinstance(message, ModelResponse):
            path = f"/decisions/{message.provider_response_id}"
            found = await floorline.get(path, cast_to=object)
            print("decided:", found["id"], found["model"])


async def main():
    # All turns of a conversation are one session, and a session keeps its model.
    session = {"extra_headers": {"X-Floorline-Session": f"pydantic-ai-{uuid.uuid4()}"}}

    first = await agent.run("How warm is it in Oslo?", model_settings=session)
    await show_decisions(first.new_messages())
    print("answer:", first.output)

    async with agent.run_stream(
        "Do I need a coat?", message_history=first.all_messages(), model_settings=session
    ) as second:
        print("stream:", end=" ")
        async for text in second.stream_text(delta=True):
            print(text, end="", flush=True)
        print()
    await show_decisions(second.new_messages())

    # The user has read the answer: was it good?
    about = {"id": second.response.provider_response_id, "satisfied": True}
    receipt = await floorline.post("/feedback", body=about, cast_to=object)
    print("feedback:", receipt["decision"], receipt["changed"])


asyncio.run(main())
