"""LlamaIndex through Floorline: a tool, a stream, one conversation, and feedback.

::

    pip install llama-index-core llama-index-llms-openai-like openai
    export FLOORLINE_URL=http://127.0.0.1:8080 FLOORLINE_API_KEY=...
    python llamaindex_chat.py
"""

import os
import uuid

import openai
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

URL = os.environ.get("FLOORLINE_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("FLOORLINE_API_KEY", "none")


def temperature(city: str) -> str:
    """Return the temperature in a city."""
    return f"{city}: 21 degrees"


model = OpenAILike(
    model="floorline/gold",  # an SLA of floorline.yaml
    api_base=f"{URL}/v1",
    api_key=KEY,
    is_chat_model=True,
    is_function_calling_model=True,
    # All turns of a conversation are one session, and a session keeps its model.
    default_headers={"X-Floorline-Session": f"llamaindex-{uuid.uuid4()}"},
)
tools = [FunctionTool.from_defaults(temperature)]
floorline = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY)


def decision(answer):
    """Return id and model of the decision behind an answer.

    LlamaIndex shows no headers, so the gateway is asked by the id of the completion.
    """
    found = floorline.get(f"/decisions/{answer.raw.id}", cast_to=object)
    return found["id"], found["model"]


messages = [ChatMessage("How warm is it in Oslo?", role="user")]
answer = model.chat_with_tools(tools, chat_history=messages)
print("decided:", *decision(answer))
messages.append(answer.message)
for call in model.get_tool_calls_from_response(answer):
    said = tools[0].call(**call.tool_kwargs).content
    about = {"tool_call_id": call.tool_id}
    messages.append(ChatMessage(said, role="tool", additional_kwargs=about))
answer = model.chat_with_tools(tools, chat_history=messages)
print("decided:", *decision(answer))
print("answer:", answer.message.content)

messages += [answer.message, ChatMessage("Do I need a coat?", role="user")]
print("stream:", end=" ")
for part in model.stream_chat(messages):
    print(part.delta, end="", flush=True)
print("\ndecided:", *decision(part))

# The user has read the answer: was it good?
receipt = floorline.post("/feedback", body={"id": part.raw.id, "satisfied": True}, cast_to=object)
print("feedback:", receipt["decision"], receipt["changed"])
