"""Answers of a model to an agent, in the three dialects that agents speak.

An answer is a text, and maybe a call of one tool. Each dialect gives the events of its stream and
the same answer as a whole.
"""

import json
from typing import NamedTuple


class Tokens(NamedTuple):
    """Tokens of one call: all of the prompt's, those read from the cache, and the answer's."""

    prompt: int
    cached: int
    answer: int


class AgentAnswer(NamedTuple):
    """What the model says.

    Attributes
    ----------
    id : str
        Id of the answer.
    model : str
        Name of the model.
    text : str
        Its text.
    tool : str
        Name of the tool that it calls after the text; "" for none.
    arguments : dict
        Arguments of the call.
    tokens : Tokens
        What it reports of the call's tokens.
    """

    id: str
    model: str
    text: str
    tool: str
    arguments: dict
    tokens: Tokens

    @property
    def call(self):
        return f"call_{self.id}"

    def halves(self):
        """The arguments as JSON, in two pieces."""
        whole = json.dumps(self.arguments, ensure_ascii=False)
        return whole[: len(whole) // 2], whole[len(whole) // 2 :]


class Chat:
    """OpenAI's chat completions."""

    path = "/v1/chat/completions"

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
    def usage(tokens):
        return {
            "prompt_tokens": tokens.prompt,
            "completion_tokens": tokens.answer,
            "total_tokens": tokens.prompt + tokens.answer,
            "prompt_tokens_details": {"cached_tokens": tokens.cached},
        }

    @classmethod
    def events(cls, answer):
        """Events of the stream, the first of which says the text."""
        base = {"id": answer.id, "object": "chat.completion.chunk", "model": answer.model}
        base["created"] = 1_700_000_000

        def chunk(delta, finish=None):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return _event(base | {"choices": [choice]})

        yield chunk({"role": "assistant", "content": answer.text})
        if answer.tool:
            first, second = answer.halves()
            call = {"index": 0, "id": answer.call, "type": "function"}
            call["function"] = {"name": answer.tool, "arguments": ""}
            yield chunk({"tool_calls": [call]})
            for piece in (first, second):
                yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        yield chunk({}, "tool_calls" if answer.tool else "stop")
        yield _event(base | {"choices": [], "usage": cls.usage(answer.tokens)})
        yield b"data: [DONE]\n\n"

    @classmethod
    def whole(cls, answer):
        message = {"role": "assistant", "content": answer.text}
        if answer.tool:
            call = {"id": answer.call, "type": "function"}
            call["function"] = {"name": answer.tool, "arguments": "".join(answer.halves())}
            message["tool_calls"] = [call]
        finish = "tool_calls" if answer.tool else "stop"
        return {
            "id": answer.id,
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": answer.model,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": cls.usage(answer.tokens),
        }


class Messages:
    """Anthropic's messages."""

    path = "/v1/messages"

    @staticmethod
    def tools(body):
        offered = body.get("tools", ())
        return {one["name"]: set(one["input_schema"]["properties"]) for one in offered}

    @staticmethod
    def results(body):
        parts = [
            part
            for message in body["messages"]
            if not isinstance(message["content"], str)
            for part in message["content"]
        ]
        return [_text(part.get("content", "")) for part in parts if part["type"] == "tool_result"]

    @staticmethod
    def usage(tokens):
        # What was not read from the cache is written to it.
        return {
            "input_tokens": 0,
            "cache_read_input_tokens": tokens.cached,
            "cache_creation_input_tokens": tokens.prompt - tokens.cached,
            "output_tokens": tokens.answer,
        }

    @classmethod
    def events(cls, answer):
        usage = cls.usage(answer.tokens)
        message = cls._message(answer) | {"content": [], "stop_reason": None}
        message["usage"] = usage | {"output_tokens": 1}

        def block(index, begin, *deltas):
            yield _named("content_block_start", index=index, content_block=begin)
            for delta in deltas:
                yield _named("content_block_delta", index=index, delta=delta)
            yield _named("content_block_stop", index=index)

        yield _named("message_start", message=message)
        yield from block(
            0, {"type": "text", "text": ""}, {"type": "text_delta", "text": answer.text}
        )
        if answer.tool:
            begin = {"type": "tool_use", "id": answer.call, "name": answer.tool, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": h} for h in answer.halves()]
            yield from block(1, begin, *deltas)
        delta = {"stop_reason": cls._reason(answer), "stop_sequence": None}
        yield _named("message_delta", delta=delta, usage=usage)
        yield _named("message_stop")

    @staticmethod
    def _message(answer):
        about = {"id": answer.id, "type": "message", "role": "assistant", "model": answer.model}
        return about | {"stop_sequence": None}

    @staticmethod
    def _reason(answer):
        return "tool_use" if answer.tool else "end_turn"

    @classmethod
    def whole(cls, answer):
        content = [{"type": "text", "text": answer.text}]
        if answer.tool:
            call = {"type": "tool_use", "id": answer.call, "name": answer.tool}
            content.append(call | {"input": answer.arguments})
        reason = cls._reason(answer)
        about = {"content": content, "stop_reason": reason, "usage": cls.usage(answer.tokens)}
        return cls._message(answer) | about


class Responses:
    """OpenAI's responses."""

    path = "/v1/responses"

    @staticmethod
    def tools(body):
        offered = [one for one in body.get("tools", ()) if one["type"] == "function"]
        return {one["name"]: set(one["parameters"]["properties"]) for one in offered}

    @staticmethod
    def results(body):
        given = body["input"]
        items = [] if isinstance(given, str) else given
        outputs = [item for item in items if item.get("type") == "function_call_output"]
        return [_text(item["output"]) for item in outputs]

    @staticmethod
    def usage(tokens):
        return {
            "input_tokens": tokens.prompt,
            "input_tokens_details": {"cached_tokens": tokens.cached},
            "output_tokens": tokens.answer,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": tokens.prompt + tokens.answer,
        }

    @classmethod
    def whole(cls, answer, status="completed"):
        about = {"id": answer.id, "object": "response", "created_at": 1_700_000_000}
        about |= {"status": status, "model": answer.model, "error": None}
        about |= {"incomplete_details": None, "parallel_tool_calls": True, "tools": []}
        if status != "completed":
            return about | {"output": [], "usage": None}
        output = [cls._text_item(answer), *cls._call_items(answer)]
        return about | {"output": output, "usage": cls.usage(answer.tokens)}

    @staticmethod
    def _text_item(answer):
        part = {"type": "output_text", "text": answer.text, "annotations": []}
        item = {"type": "message", "id": f"msg_{answer.id}", "role": "assistant"}
        return item | {"status": "completed", "content": [part]}

    @staticmethod
    def _call_items(answer):
        if not answer.tool:
            return []
        item = {"type": "function_call", "id": f"fc_{answer.id}", "call_id": answer.call}
        item |= {"name": answer.tool, "arguments": "".join(answer.halves())}
        return [item | {"status": "completed"}]

    @classmethod
    def events(cls, answer):
        number = 0

        def event(kind, **fields):
            nonlocal number
            number += 1
            return _named(kind, **fields, sequence_number=number - 1)

        begun = cls.whole(answer, "in_progress")
        yield event("response.created", response=begun)
        yield event("response.in_progress", response=begun)
        item = cls._text_item(answer)
        (part,) = item["content"]
        empty = item | {"status": "in_progress", "content": []}
        yield event("response.output_item.added", output_index=0, item=empty)
        where = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        yield event("response.content_part.added", **where, part=part | {"text": ""})
        yield event("response.output_text.delta", **where, delta=answer.text)
        yield event("response.output_text.done", **where, text=answer.text)
        yield event("response.content_part.done", **where, part=part)
        yield event("response.output_item.done", output_index=0, item=item)
        for call in cls._call_items(answer):
            begun = call | {"status": "in_progress", "arguments": ""}
            yield event("response.output_item.added", output_index=1, item=begun)
            where = {"item_id": call["id"], "output_index": 1}
            for piece in answer.halves():
                yield event("response.function_call_arguments.delta", **where, delta=piece)
            done = "response.function_call_arguments.done"
            yield event(done, **where, arguments=call["arguments"])
            yield event("response.output_item.done", output_index=1, item=call)
        yield event("response.completed", response=cls.whole(answer))


DIALECTS = {one.path: one for one in (Chat, Messages, Responses)}


def _text(content):
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _event(value, name=""):
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def _named(kind, **fields):
    return _event({"type": kind, **fields}, kind)
