"""The items of an answer while they are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from floorline.gateway.dialects.answer_parts import ThinkingDelta
from floorline.gateway.dialects.custom_tools import custom_input
from floorline.gateway.dialects.responses.reasoning import pack_proof
from floorline.gateway.dialects.responses.tools import CallForm, FormKind, client_action

ItemStatus = Literal["completed", "incomplete"]
ContentKind = Literal["output_text", "refusal"]

_TEXT_FIELDS: dict[ContentKind, str] = {"output_text": "text", "refusal": "refusal"}
_LOGPROBS: dict[ContentKind, dict[str, Any]] = {"output_text": {"logprobs": []}, "refusal": {}}
"""Probabilities of tokens, which events of texts must have."""


class Emit(Protocol):
    """Writes an event with the next sequence number."""

    def __call__(self, kind: str, **fields: Any) -> None:
        """Write an event of this kind."""
        ...


class MessageItem:
    """A message with its texts and refusals.

    Attributes
    ----------
    written
        The item as it stands in the answer; empty before ``close``.
    """

    def __init__(self, index: int, id: str, emit: Emit) -> None:
        self._index = index
        self._id = id
        self._content: list[dict[str, Any]] = []
        self._kind: ContentKind | None = None
        self._texts: list[str] = []
        self.written: dict[str, Any] = {}
        emit("response.output_item.added", output_index=index, item=self._item("in_progress"))

    def add(self, kind: ContentKind, text: str, emit: Emit) -> None:
        """Add more of a text or of a refusal."""
        if kind != self._kind:
            self._close_part(emit)
            self._kind = kind
            self._at(emit, "response.content_part.added", part=_content(kind, ""))
        self._texts.append(text)
        self._at(emit, f"response.{kind}.delta", delta=text, **_LOGPROBS[kind])

    def close(self, status: ItemStatus, emit: Emit) -> None:
        """End the message, once."""
        if self.written:
            return
        self._close_part(emit)
        self.written = self._item(status)
        emit("response.output_item.done", output_index=self._index, item=self.written)

    def _close_part(self, emit: Emit) -> None:
        kind = self._kind
        if kind is None:
            return
        text = "".join(self._texts)
        self._texts.clear()
        part = _content(kind, text)
        self._at(emit, f"response.{kind}.done", **{_TEXT_FIELDS[kind]: text}, **_LOGPROBS[kind])
        self._at(emit, "response.content_part.done", part=part)
        self._content.append(part)
        self._kind = None

    def _at(self, emit: Emit, event: str, **fields: Any) -> None:
        place = {"item_id": self._id, "output_index": self._index}
        emit(event, **place, content_index=len(self._content), **fields)

    def _item(self, status: str) -> dict[str, Any]:
        return {
            "type": "message",
            "id": self._id,
            "status": status,
            "role": "assistant",
            "content": list(self._content),
        }


def _content(kind: ContentKind, text: str) -> dict[str, Any]:
    if kind == "refusal":
        return {"type": kind, "refusal": text}
    return {"type": kind, "text": text, "annotations": [], "logprobs": []}


class ReasoningItem:
    """Reasoning, as a summary: the form that clients show.

    Attributes
    ----------
    written
        As for ``MessageItem``.
    """

    def __init__(self, index: int, id: str, emit: Emit) -> None:
        self._index = index
        self._id = id
        self._texts: list[str] = []
        self._signature = ""
        self._encrypted = ""
        self.written: dict[str, Any] = {}
        item: dict[str, Any] = {"type": "reasoning", "id": id, "summary": []}
        emit("response.output_item.added", output_index=index, item=item)

    def takes(self, part: ThinkingDelta) -> bool:
        """Whether a part goes on with this reasoning: its proof ends it."""
        if part.text and (self._signature or self._encrypted):
            return False
        return not (part.encrypted and self._encrypted)

    def add(self, part: ThinkingDelta, emit: Emit) -> None:
        """Add more of the reasoning."""
        if part.text:
            if not self._texts:
                self._at(emit, "part.added", part={"type": "summary_text", "text": ""})
            self._texts.append(part.text)
            self._at(emit, "text.delta", delta=part.text)
        self._signature += part.signature
        self._encrypted += part.encrypted

    def close(self, status: ItemStatus, emit: Emit) -> None:
        """End the reasoning, once."""
        if self.written:
            return
        summary: list[dict[str, Any]] = []
        if self._texts:
            text = "".join(self._texts)
            part = {"type": "summary_text", "text": text}
            self._at(emit, "text.done", text=text)
            self._at(emit, "part.done", part=part)
            summary.append(part)
        self.written = {
            "type": "reasoning",
            "id": self._id,
            "summary": summary,
            # Also without a proof: the mark tells that the item is a translation's.
            "encrypted_content": pack_proof(self._signature, self._encrypted),
        }
        emit("response.output_item.done", output_index=self._index, item=self.written)

    def _at(self, emit: Emit, event: str, **fields: Any) -> None:
        place = {"item_id": self._id, "output_index": self._index, "summary_index": 0}
        emit(f"response.reasoning_summary_{event}", **place, **fields)


class CallItem:
    """The call of a function; those of other tools change how it is written.

    Parameters
    ----------
    index, id
        Place and id of the item.
    call
        Id that the tool's output refers to.
    form
        How the call is written.

    Attributes
    ----------
    written
        As for ``MessageItem``.
    """

    def __init__(self, index: int, id: str, call: str, form: CallForm) -> None:
        self._index = index
        self._id = id
        self._call = call
        self._form = form
        self._texts: list[str] = []
        self.written: dict[str, Any] = {}

    def begin(self, emit: Emit) -> None:
        """Write the begin of the call."""
        item = self._item("in_progress", "")
        emit("response.output_item.added", output_index=self._index, item=item)

    def add(self, arguments: str, emit: Emit) -> None:
        """Add more of the arguments."""
        if arguments:
            self._texts.append(arguments)
            self._delta(emit, arguments)

    def close(self, status: ItemStatus, emit: Emit) -> None:
        """End the call, once."""
        if self.written:
            return
        if status == "completed" and not self._texts:
            # Clients parse the arguments as JSON, and some providers write none for no arguments.
            self.add("{}", emit)
        text = "".join(self._texts)
        self._done(emit, text)
        self.written = self._item(status, text)
        emit("response.output_item.done", output_index=self._index, item=self.written)

    def _delta(self, emit: Emit, text: str) -> None:
        self._at(emit, "response.function_call_arguments.delta", delta=text)

    def _done(self, emit: Emit, text: str) -> None:
        done = "response.function_call_arguments.done"
        self._at(emit, done, name=self._form.name, arguments=text)

    def _item(self, status: str, text: str) -> dict[str, Any]:
        return self._named("function_call", status, arguments=text)

    def _named(self, kind: str, status: str, **fields: Any) -> dict[str, Any]:
        item = {
            "type": kind,
            "id": self._id,
            "status": status,
            "call_id": self._call,
            "name": self._form.name,
            **fields,
        }
        return {**item, "namespace": self._form.namespace} if self._form.namespace else item

    def _at(self, emit: Emit, event: str, **fields: Any) -> None:
        emit(event, item_id=self._id, output_index=self._index, **fields)


class _CustomCallItem(CallItem):
    """The call of a custom tool: its input is known when the JSON around it has ended."""

    def _delta(self, emit: Emit, text: str) -> None:
        pass

    def _done(self, emit: Emit, text: str) -> None:
        text = custom_input(text)
        if text:
            self._at(emit, "response.custom_tool_call_input.delta", delta=text)
        self._at(emit, "response.custom_tool_call_input.done", input=text)

    def _item(self, status: str, text: str) -> dict[str, Any]:
        return self._named("custom_tool_call", status, input=custom_input(text))


class _ClientCallItem(CallItem):
    """The call of a tool that the client runs by a form of OpenAI's; it is known at its end."""

    def _delta(self, emit: Emit, text: str) -> None:
        pass

    def _done(self, emit: Emit, text: str) -> None:
        pass

    def _item(self, status: str, text: str) -> dict[str, Any]:
        kind = self._form.kind
        field = "operation" if kind == "apply_patch" else "action"
        if field == "operation" and status == "incomplete":
            # A patch has no such status.
            status = "completed"
        return {
            "type": f"{kind}_call",
            "id": self._id,
            "status": status,
            "call_id": self._call,
            field: client_action(kind, text),
        }


_PREFIXES: dict[FormKind, str] = {
    "function": "fc",
    "custom": "ctc",
    "local_shell": "lsh",
    "shell": "sh",
    "apply_patch": "apc",
}
"""Begins of the ids of calls, as OpenAI writes them."""


def call_item(
    index: int, digest: str, call: str, name: str, forms: Mapping[str, CallForm]
) -> CallItem:
    """Return the item of a call in the form of its tool.

    Parameters
    ----------
    index
        Place of the item.
    digest
        End of the item's id.
    call
        Id of the call.
    name
        Name of the function that was called.
    forms
        Forms of tools that are no plain functions, by the names of their functions.
    """
    form = forms.get(name) or CallForm("function", name)
    kinds: dict[FormKind, type[CallItem]] = {"function": CallItem, "custom": _CustomCallItem}
    item = kinds.get(form.kind, _ClientCallItem)
    return item(index, f"{_PREFIXES[form.kind]}_{digest}", call, form)
