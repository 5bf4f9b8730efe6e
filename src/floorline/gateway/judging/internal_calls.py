"""Calls of models that the gateway makes for itself, each within a budget of its own.

Such a call takes the path of a client's request that names a model: it is in the log, in metrics
and in traces, its largest cost is reserved first, and a start knows what was spent before.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from floorline.config import Settings
from floorline.config.judging import JudgingBudget
from floorline.errors import FloorlineError
from floorline.events import DISCONNECTED, REFUSED
from floorline.gateway.auth import Caller
from floorline.gateway.call_recorder import CallRecorder, CallResult
from floorline.gateway.chat_request import ChatBody, read_chat
from floorline.gateway.dialects.answer_parts import RefusalDelta, TextDelta
from floorline.gateway.dialects.registry import dialect_named
from floorline.gateway.errors import ApiError
from floorline.gateway.service import ChatService
from floorline.gateway.upstreams import UpstreamError
from floorline.stores.keys import ApiKey

JUDGE_KEY = "judge:"
"""Begins the ids of the keys that judges' calls are charged to."""
SHADOW_KEY = "shadow"
"""Id of the key that shadow calls are charged to."""


def internal_keys(settings: Settings) -> list[ApiKey]:
    """Return the keys that judges' and shadow calls are charged to, with their budgets."""
    keys = [_internal_key(JUDGE_KEY + judge.name, judge.budget) for judge in settings.judges]
    if settings.shadow is not None:
        keys.append(_internal_key(SHADOW_KEY, settings.shadow.budget))
    return keys


def _internal_key(id: str, budget: JudgingBudget) -> ApiKey:
    """Return a key that no client can use, with a budget."""
    return ApiKey(
        id=id,
        digest=b"",
        name=id,
        scopes=("chat",),
        budget=float(budget.total),
        period=budget.period,
        created=0.0,
    )


class Reply(NamedTuple):
    """Reply of a model: its body, the id of the decision, and why there is no body.

    ``text`` is what it says, and ``refusal`` where the provider tells a refusal apart.
    """

    decision: str
    body: bytes
    text: str = ""
    refusal: str = ""
    failure: str = ""


class InternalCalls:
    """Calls models on the gateway's own account.

    Parameters
    ----------
    chat
        Decides and calls.
    recorder
        Records what calls took.
    """

    def __init__(self, chat: ChatService, recorder: CallRecorder) -> None:
        self._chat = chat
        self._recorder = recorder

    async def ask(
        self,
        key: str,
        model: str,
        messages: Sequence[Mapping[str, str]],
        max_tokens: int,
    ) -> Reply:
        """Ask a model, and return its reply or why there is none."""
        fields: dict[str, Any] = {
            "model": model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": 0,
        }
        data = json.dumps(fields, ensure_ascii=False).encode(errors="replace")
        return await self.send(key, read_chat(data, {}))

    async def send(self, key: str, chat: ChatBody) -> Reply:
        """Send a request that names a model, and return the reply or why there is none.

        ``"budget"`` is the failure of a call that the key's budget cannot pay, ``"unavailable"``
        that of one without an answer, and ``"refused"`` that of one that the provider refuses.
        """
        try:
            decision = self._chat.decide(chat, Caller(key=key), store_prompt=False)
        except ApiError as refusal:
            over = refusal.code == "insufficient_quota"
            return Reply("", b"", failure="budget" if over else "unavailable")
        except FloorlineError:
            return Reply("", b"", failure="unavailable")
        try:
            answer, span = await self._chat.call(decision, chat, {})
        except UpstreamError as failure:
            why = "unavailable" if failure.answer is None else "refused"
            return Reply(decision.id, b"", failure=why)
        result: CallResult = "ok" if answer.status < 400 else "client_error"
        why, body = "" if answer.status < 400 else f"{REFUSED}{answer.status}", b""
        try:
            body = await answer.body()
        except UpstreamError as failed:
            result, why = "upstream_error", str(failed)
        except asyncio.CancelledError:
            result, why = "disconnected", DISCONNECTED
            raise
        finally:
            try:
                await answer.aclose()
            finally:
                measured = self._recorder.measure(decision, chat, answer)
                self._recorder.answered(decision, answer, measured, span, result, why, body)
        if result == "upstream_error":
            return Reply(decision.id, b"", failure="unavailable")
        if result == "client_error":
            return Reply(decision.id, b"", failure="refused")
        parts = dialect_named(chat.dialect).read_answer(body)
        text = "".join(part.text for part in parts if isinstance(part, TextDelta))
        refused = "".join(part.text for part in parts if isinstance(part, RefusalDelta))
        return Reply(decision.id, body, text, refused)
