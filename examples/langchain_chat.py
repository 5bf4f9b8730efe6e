"""LangChain through Floorline: a tool, a stream, one conversation, and feedback.

::

    pip install langchain-openai
    export FLOORLINE_URL=http://127.0.0.1:8080 FLOORLINE_API_KEY=...
    python langchain_chat.py
"""

import os
import uuid

# LangSmith would get every prompt and answer where its key is in the environment.
os.environ["LANGSMITH_TRACING"] = "false"

from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

URL = os.environ.get("FLOORLINE_URL", "http://127.0.0.1:8080")


@tool
def temperature(city: str) -> str:
    """Return the temperature in a city."""
    return f"{city}: 21 degrees"


def decision(answer):
    """Return id and model of the decision behind an answer, which its headers name."""
    headers = answer.response_metadata["headers"]
    return headers["x-floorline-decision"], headers["x-floorline-model"]


model = ChatOpenAI(
    model="floorline/gold",  # an SLA of floorline.yaml
    base_url=f"{URL}/v1",
    api_key=os.environ.get("FLOORLINE_API_KEY", "none"),
    # All turns of a conversation are one session, and a session keeps its model.
    default_headers={"X-Floorline-Session": f"langchain-{uuid.uuid4()}"},
    include_response_headers=True,
)
with_tools = model.bind_tools([temperature])

messages = [HumanMessage("How warm is it in Oslo?")]
answer = with_tools.invoke(messages)
print("decided:", *decision(answer))
messages.append(answer)
messages += [temperature.invoke(call) for call in answer.tool_calls]
answer = with_tools.invoke(messages)
print("decided:", *decision(answer))
print("answer:", answer.text)

messages += [answer, HumanMessage("Do I need a coat?")]
whole = AIMessageChunk("")
print("stream:", end=" ")
for chunk in with_tools.stream(messages):
    print(chunk.text, end="", flush=True)
    whole += chunk
print("\ndecided:", *decision(whole))

# The user has read the answer: was it good? The client of OpenAI knows address and key.
receipt = model.root_client.post(
    "/feedback", body={"decision": decision(whole)[0], "satisfied": True}, cast_to=object
)
print("feedback:", receipt["decision"], receipt["changed"])
