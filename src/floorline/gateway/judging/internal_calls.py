"""Calls of models that the gateway makes for itself, each within a budget of its own.

Such a call takes the path of a client's request that names a model: it is in the log, in metrics
and in traces, its largest cost is reserved first, and a start knows what was spent before.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from floorline.config import Settings
from floorline.config.judging import JudgingBudget
from floorline.errors import FloorlineError
from floorline.events import DISCONNECTED, JUDGE_KEY, REFUSED, SHADOW_KEY
from floorline.gateway.active_config import ActiveConfig
from floorline.gateway.auth import Caller
from floorline.gateway.call_recorder import CallRecorder, CallResult
from floorline.gateway.chat_request import ChatBody, read_chat
from floorline.gateway.dialects.answer_parts import RefusalDelta, TextDelta
from floorline.gateway.dialects.registry import dialect_named
from floorline.gateway.errors import ApiError
from floorline.gateway.judging.repeated_request import LIMITS, Target, to_model
from floorline.gateway.judging.rubric import MAX_REASONED_TOKENS, MAX_REPLY_TOKENS
from floorline.gateway.service import ChatService
from floorline.gateway.upstreams import UpstreamError
from floorline.router import Router
from floorline.stores.keys import ApiKey

log = logging.getLogger("floorline.gateway")


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


_FIELD = re.compile(r"[a-z_]{1,64}")
_ALWAYS = ("model", "messages", "stream")
"""Fields that every call has, and that no provider refuses."""


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
    config
        Says how models are called.
    router
        Has the models.
    """

    def __init__(
        self, chat: ChatService, recorder: CallRecorder, config: ActiveConfig, router: Router
    ) -> None:
        self._chat = chat
        self._recorder = recorder
        self._config = config
        self._router = router

    async def ask(
        self,
        key: str,
        model: str,
        messages: Sequence[Mapping[str, str]],
        fields: Mapping[str, Any],
    ) -> Reply:
        """Ask a model, and return its reply or why there is none.

        ``fields`` are further ones of the request. Without one of ``LIMITS`` among them, the reply
        has as many tokens as a reason and a score need.
        """
        target = self._target(model)
        if target is None:
            return Reply("", b"", failure="unavailable")
        asked = {"model": model, "messages": messages, **fields}
        if not any(name in fields for name in LIMITS):
            most = MAX_REASONED_TOKENS if target.reasons else MAX_REPLY_TOKENS
            asked[target.limit_field("openai")] = most
        data = json.dumps(asked, ensure_ascii=False).encode(errors="replace")
        return await self.send(key, read_chat(data, {}))

    async def repeat(self, key: str, model: str, chat: ChatBody) -> Reply:
        """Send a client's request to another model, with a bound of its answer; as ``send``."""
        target = self._target(model)
        if target is None:
            return Reply("", b"", failure="unavailable")
        return await self.send(key, to_model(chat, target))

    def _target(self, model: str) -> Target | None:
        """How a model is called; None if it was removed."""
        provider, zoo = self._config.calls.get(model), self._router.zoo
        if provider is None or model not in zoo:
            return None
        most = zoo.models[zoo.index(model)].max_output_tokens
        return Target(model, provider.model, provider.dialect, most)

    async def send(self, key: str, chat: ChatBody) -> Reply:
        """Send a request that names a model, and return the reply or why there is none.

        ``"budget"`` is the failure of a call that the key's budget cannot pay, ``"unavailable"``
        that of one without an answer, ``"refused"`` that of one whose content the provider
        refuses, ``"too long"`` that of one that is too long for the model, and ``"rejected"`` that
        of one that it refuses for another reason, such as a field that the model does not take.
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
            why = _failure_of(failure)
            if why == "rejected":
                # The provider's words can repeat the prompt; the names of fields are the gateway's.
                named = [name for name in chat.fields if _names(failure.quote, name)]
                fields = f"; it names {', '.join(named)}" if named else ""
                log.warning("a call for %s was rejected: %s%s", key, failure, fields)
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
            return Reply(decision.id, b"", failure="rejected")
        parts = dialect_named(chat.dialect).read_answer(body)
        text = "".join(part.text for part in parts if isinstance(part, TextDelta))
        refused = "".join(part.text for part in parts if isinstance(part, RefusalDelta))
        return Reply(decision.id, body, text, refused)


def _names(text: str, field: str) -> bool:
    """Whether an error names a field of a request that may be what it refuses."""
    plain = _FIELD.fullmatch(field) is not None and field not in _ALWAYS
    return plain and re.search(rf"\b{field}\b", text) is not None


def _failure_of(failure: UpstreamError) -> str:
    """Why a call of the gateway's own has no answer, in a word."""
    if failure.answer is None:
        return "unavailable"
    reason = None if failure.meaning is None else failure.meaning.reason
    if reason == "content_filter":
        return "refused"
    too_long = ("context_length_exceeded", "request_too_large")
    return "too long" if reason in too_long else "rejected"
