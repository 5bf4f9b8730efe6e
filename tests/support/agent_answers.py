"""What a model is asked by an agent, and how many tokens it reports, in three dialects."""

import json
from typing import NamedTuple

from tests.support import dialect_answers
from tests.support.dialect_answers import THINKING


class AgentAnswer(NamedTuple):
    """What the model says to an agent.

    Attributes
    ----------
    id : str
        Id of the answer.
    text : str
        Its text.
    tool : str
        Name of the tool that it calls after the text; "" for none.
    arguments : dict
        Arguments of the call.
    prompt, cached, output : int
        Tokens that it reports: of the whole prompt, of it from the cache, and of the answer.
    """

    id: str
    text: str
    tool: str
    arguments: dict
    prompt: int
    cached: int
    output: int = 40

    def said(self):
        """The answer as ``dialect_answers`` takes it: its blocks and why it ends."""
        blocks = [("text", self.text)]
        if self.tool:
            blocks.insert(0, THINKING)
            whole = json.dumps(self.arguments, ensure_ascii=False)
            middle = len(whole) // 2
            blocks.append(("tool", self.tool, whole[:middle], whole[middle:]))
        return blocks, "tool" if self.tool else "stop"


class Chat(dialect_answers.Chat):
    """OpenAI's chat completions."""

    @staticmethod
    def thoughts(body):
        """What proves the model's reasoning in earlier turns; chat completions have none."""
        return []

    @staticmethod
    def tools(body):
        """Names of the arguments of each tool that is offered, by the tool's name."""
        offered = [one["function"] for one in body.get("tools", ())]
        return {one["name"]: set(one["parameters"]["properties"]) for one in offered}

    @staticmethod
    def results(body):
        """Texts of the tools' results so far."""
        return [_text(one["content"]) for one in body["messages"] if one["role"] == "tool"]

    @staticmethod
    def counts(answer):
        """Usage that the provider reports."""
        return {
            "prompt_tokens": answer.prompt,
            "completion_tokens": answer.output,
            "total_tokens": answer.prompt + answer.output,
            "prompt_tokens_details": {"cached_tokens": answer.cached},
        }


class Messages(dialect_answers.Messages):
    """Anthropic's messages."""

    @staticmethod
    def tools(body):
        offered = body.get("tools", ())
        return {one["name"]: set(one["input_schema"]["properties"]) for one in offered}

    @staticmethod
    def _parts(body, kind):
        return [
            part
            for message in body["messages"]
            if not isinstance(message["content"], str)
            for part in message["content"]
            if part["type"] == kind
        ]

    @classmethod
    def thoughts(cls, body):
        return [part["signature"] for part in cls._parts(body, "thinking")]

    @classmethod
    def results(cls, body):
        return [_text(part.get("content", "")) for part in cls._parts(body, "tool_result")]

    @staticmethod
    def counts(answer):
        # What was not read from the cache is written to it.
        return {
            "input_tokens": 0,
            "cache_read_input_tokens": answer.cached,
            "cache_creation_input_tokens": answer.prompt - answer.cached,
            "output_tokens": answer.output,
        }


class Responses(dialect_answers.Responses):
    """OpenAI's responses."""

    @staticmethod
    def tools(body):
        offered = [one for one in body.get("tools", ()) if one["type"] == "function"]
        return {one["name"]: set(one["parameters"]["properties"]) for one in offered}

    @classmethod
    def _item(cls, block, number):
        item = super()._item(block, number)
        return item | ({"encrypted_content": "sig"} if block[0] == "thinking" else {})

    @staticmethod
    def _items(body, kind):
        given = body["input"]
        items = [] if isinstance(given, str) else given
        return [item for item in items if item.get("type") == kind]

    @classmethod
    def thoughts(cls, body):
        return [item.get("encrypted_content") for item in cls._items(body, "reasoning")]

    @classmethod
    def results(cls, body):
        return [_text(item["output"]) for item in cls._items(body, "function_call_output")]

    @staticmethod
    def counts(answer):
        return {
            "input_tokens": answer.prompt,
            "input_tokens_details": {"cached_tokens": answer.cached},
            "output_tokens": answer.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": answer.prompt + answer.output,
        }


BY_PATH = {one.path: one for one in (Chat, Messages, Responses)}


def written_for(dialect, answer):
    """The dialect with the tokens and the ids of one answer."""
    about = {"usage": dialect.counts(answer), "call_id": f"call_{answer.id}"}
    return type(dialect.__name__, (dialect,), about)


def _text(content):
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)
