"""Answers of providers of three dialects, as whole bodies and as events of streams.

An answer is a list of blocks: ``("text", …)``, ``("thinking", …)`` and ``("tool", name, …)``, each
with its pieces.
"""

import json
from typing import ClassVar

PROMPT, CACHED, OUTPUT = 40, 8, 9
"""Tokens that every provider counts: of the whole prompt, of it from the cache, of the answer."""
THINKING = ("thinking", "Let me", " think.")
WORDS = ("text", "Grüße", " aus", " dem Modell 🦉")
CALL = ("tool", "get_weather", '{"ci', 'ty": "Os', 'lo"}')
OVERLOADED = "the provider has no capacity"


def joined(block):
    return "".join(block[2:] if block[0] == "tool" else block[1:])


def _event(value, name=""):
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


class Chat:
    """OpenAI's chat completions."""

    name = "openai"
    path = "/v1/chat/completions"
    call_id = "call_1"
    ends: ClassVar = {"stop": "stop", "length": "length", "tool": "tool_calls"}
    usage: ClassVar = {
        "prompt_tokens": PROMPT,
        "completion_tokens": OUTPUT,
        "total_tokens": PROMPT + OUTPUT,
        "prompt_tokens_details": {"cached_tokens": CACHED},
    }

    @classmethod
    def whole(cls, blocks, end, id="chatcmpl-1"):
        message = {"role": "assistant", "content": None}
        for block in blocks:
            if block[0] == "text":
                message["content"] = joined(block)
            elif block[0] == "thinking":
                message["reasoning_content"] = joined(block)
            else:
                function = {"name": block[1], "arguments": joined(block)}
                call = {"id": cls.call_id, "type": "function", "function": function}
                message.setdefault("tool_calls", []).append(call)
        choice = {"index": 0, "message": message, "finish_reason": cls.ends[end]}
        about = {"object": "chat.completion", "created": 1_700_000_000, "model": "their-model"}
        return {"id": id, **about, "choices": [choice], "usage": cls.usage}

    @classmethod
    def events(cls, blocks, end, id="chatcmpl-1"):
        base = {"id": id, "object": "chat.completion.chunk", "model": "their-model"}
        base["created"] = 1_700_000_000

        def chunk(delta, finish=None):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return _event({**base, "choices": [choice]})

        yield chunk({"role": "assistant", "content": ""})
        for block in blocks:
            if block[0] == "tool":
                function = {"name": block[1], "arguments": ""}
                call = {"index": 0, "id": cls.call_id, "type": "function"}
                call["function"] = function
                yield chunk({"tool_calls": [call]})
                for piece in block[2:]:
                    yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
                continue
            field = "content" if block[0] == "text" else "reasoning_content"
            for piece in block[1:]:
                yield chunk({field: piece})
        yield chunk({}, cls.ends[end])
        yield _event({**base, "choices": [], "usage": cls.usage})
        yield b"data: [DONE]\n\n"

    @staticmethod
    def error(kind, message):
        return {"error": {"message": message, "type": kind, "param": None, "code": None}}

    @classmethod
    def error_event(cls, kind, message):
        return _event(cls.error(kind, message))


class Messages:
    """Anthropic's messages."""

    name = "anthropic"
    path = "/v1/messages"
    call_id = "toolu_1"
    ends: ClassVar = {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use"}
    usage: ClassVar = {
        "input_tokens": PROMPT - CACHED,
        "cache_read_input_tokens": CACHED,
        "cache_creation_input_tokens": 0,
        "output_tokens": OUTPUT,
    }

    @classmethod
    def whole(cls, blocks, end, id="msg_1"):
        content = []
        for block in blocks:
            if block[0] == "text":
                content.append({"type": "text", "text": joined(block)})
            elif block[0] == "thinking":
                content.append({"type": "thinking", "thinking": joined(block), "signature": "sig"})
            else:
                call = {"type": "tool_use", "id": cls.call_id, "name": block[1]}
                content.append({**call, "input": json.loads(joined(block))})
        about = {"type": "message", "role": "assistant", "model": "their-model"}
        ended = {"stop_reason": cls.ends[end], "stop_sequence": None}
        return {"id": id, **about, "content": content, **ended, "usage": cls.usage}

    @classmethod
    def events(cls, blocks, end, id="msg_1"):
        def event(kind, **fields):
            return _event({"type": kind, **fields}, kind)

        begun = {**cls.whole([], end, id), "stop_reason": None}
        begun["usage"] = {**cls.usage, "output_tokens": 1}
        yield event("message_start", message=begun)
        yield event("ping")
        for index, block in enumerate(blocks):
            if block[0] == "text":
                started, pieces = {"type": "text", "text": ""}, block[1:]
                deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
            elif block[0] == "thinking":
                started = {"type": "thinking", "thinking": "", "signature": ""}
                deltas = [{"type": "thinking_delta", "thinking": piece} for piece in block[1:]]
                deltas.append({"type": "signature_delta", "signature": "sig"})
            else:
                started = {"type": "tool_use", "id": cls.call_id, "name": block[1], "input": {}}
                deltas = [{"type": "input_json_delta", "partial_json": one} for one in block[2:]]
            yield event("content_block_start", index=index, content_block=started)
            for delta in deltas:
                yield event("content_block_delta", index=index, delta=delta)
            yield event("content_block_stop", index=index)
        ended = {"stop_reason": cls.ends[end], "stop_sequence": None}
        yield event(
            "message_delta", delta=ended, usage={"output_tokens": cls.usage["output_tokens"]}
        )
        yield event("message_stop")

    @staticmethod
    def error(kind, message):
        about = {"type": kind, "message": message}
        return {"type": "error", "error": about, "request_id": "req_1"}

    @classmethod
    def error_event(cls, kind, message):
        return _event(cls.error(kind, message), "error")


class Responses:
    """OpenAI's responses."""

    name = "responses"
    path = "/v1/responses"
    call_id = "call_1"
    usage: ClassVar = {
        "input_tokens": PROMPT,
        "input_tokens_details": {"cached_tokens": CACHED},
        "output_tokens": OUTPUT,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": PROMPT + OUTPUT,
    }

    @classmethod
    def _item(cls, block, number):
        if block[0] == "text":
            part = {"type": "output_text", "text": joined(block), "annotations": []}
            item = {"id": f"msg_{number}", "type": "message", "role": "assistant"}
            return {**item, "status": "completed", "content": [part]}
        if block[0] == "thinking":
            summary = [{"type": "summary_text", "text": joined(block)}]
            return {"id": f"rs_{number}", "type": "reasoning", "summary": summary}
        call = {"id": f"fc_{number}", "type": "function_call", "call_id": cls.call_id}
        return {**call, "name": block[1], "arguments": joined(block), "status": "completed"}

    @classmethod
    def whole(cls, blocks, end, id="resp_1", status=None):
        output = [cls._item(block, number) for number, block in enumerate(blocks)]
        about = {"object": "response", "created_at": 1_700_000_000, "model": "their-model"}
        status = status or ("incomplete" if end == "length" else "completed")
        reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            "id": id,
            **about,
            "status": status,
            "error": None,
            "incomplete_details": reason,
            "instructions": None,
            "metadata": {},
            "output": [] if status == "in_progress" else output,
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": None if status == "in_progress" else cls.usage,
        }

    @classmethod
    def events(cls, blocks, end, id="resp_1"):
        number = -1

        def event(kind, **fields):
            nonlocal number
            number += 1
            return _event({"type": kind, **fields, "sequence_number": number}, kind)

        begun = cls.whole(blocks, end, id, "in_progress")
        yield event("response.created", response=begun)
        yield event("response.in_progress", response=begun)
        for index, block in enumerate(blocks):
            item = cls._item(block, index)
            where = {"item_id": item["id"], "output_index": index}
            if block[0] == "text":
                (part,) = item["content"]
                empty = {**item, "status": "in_progress", "content": []}
                yield event("response.output_item.added", output_index=index, item=empty)
                where["content_index"] = 0
                yield event("response.content_part.added", **where, part={**part, "text": ""})
                for piece in block[1:]:
                    yield event("response.output_text.delta", **where, delta=piece)
                yield event("response.output_text.done", **where, text=part["text"])
                yield event("response.content_part.done", **where, part=part)
            elif block[0] == "thinking":
                empty = {**item, "summary": []}
                yield event("response.output_item.added", output_index=index, item=empty)
                where["summary_index"] = 0
                part = {"type": "summary_text", "text": ""}
                yield event("response.reasoning_summary_part.added", **where, part=part)
                for piece in block[1:]:
                    yield event("response.reasoning_summary_text.delta", **where, delta=piece)
                text = joined(block)
                yield event("response.reasoning_summary_text.done", **where, text=text)
                part = {**part, "text": text}
                yield event("response.reasoning_summary_part.done", **where, part=part)
            else:
                empty = {**item, "status": "in_progress", "arguments": ""}
                yield event("response.output_item.added", output_index=index, item=empty)
                for piece in block[2:]:
                    yield event("response.function_call_arguments.delta", **where, delta=piece)
                done = "response.function_call_arguments.done"
                yield event(done, **where, name=block[1], arguments=joined(block))
            yield event("response.output_item.done", output_index=index, item=item)
        kind = "response.incomplete" if end == "length" else "response.completed"
        yield event(kind, response=cls.whole(blocks, end, id))

    error = staticmethod(Chat.error)

    @classmethod
    def error_event(cls, kind, message):
        failed = {**cls.whole([], "stop", status="failed"), "usage": None}
        failed["error"] = {"code": "server_error", "message": message}
        about = {"type": "response.failed", "sequence_number": 9, "response": failed}
        return _event(about, "response.failed")


DIALECTS = {one.name: one for one in (Chat, Messages, Responses)}
BY_PATH = {one.path: one for one in DIALECTS.values()}
