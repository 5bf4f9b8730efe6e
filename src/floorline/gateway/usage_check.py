"""Check the token counts of providers, and report those that cannot be true."""

from __future__ import annotations

import logging

from floorline.events import Decision
from floorline.gateway.chat_request import ChatBody
from floorline.gateway.observability.metrics import Metrics
from floorline.gateway.upstreams import Answer, Usage
from floorline.gateway.upstreams.usage import UsageBounds, check_usage
from floorline.zoo import Zoo

log = logging.getLogger("floorline.gateway")

_MAX_NAMES = 100
"""Most models that are reported by name; the metric counts those of all."""


class UsageCheck:
    """Checks the usage of each answer, and counts the implausible ones by model.

    Parameters
    ----------
    metrics
        Counts the corrected usages.

    Attributes
    ----------
    corrected : dict of str to int
        Number of usages that were corrected, by model name.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.corrected: dict[str, int] = {}

    def check(self, decision: Decision, chat: ChatBody, answer: Answer, zoo: Zoo) -> Usage:
        """Return the usage of an answer, estimated where the provider's count cannot be true."""
        usage, corrected = check_usage(answer.usage, _bounds(decision, chat, answer, zoo))
        if corrected:
            self._report(decision.model, answer.usage, usage)
        return usage

    def warnings(self) -> list[str]:
        """Return a sentence for each model whose provider sent counts that cannot be true."""
        return [
            f"the provider of model {name!r} sent {count} token counts that cannot be true by the "
            "lengths of the texts: estimates replaced them; compare its bill with the log"
            for name, count in self.corrected.items()
        ]

    def _report(self, model: str, given: Usage | None, usage: Usage) -> None:
        self._metrics.usage_corrected(model)
        known = self.corrected.get(model)
        if known is None and len(self.corrected) >= _MAX_NAMES:
            return
        self.corrected[model] = (known or 0) + 1
        if known is None and given is not None:
            # Once for each model: a provider that counts wrongly does so in every answer.
            log.warning(
                "the provider of model %r counted %d prompt and %d output tokens, which cannot be "
                "true by the lengths of the texts: %d and %d are charged",
                model,
                given.prompt_tokens,
                given.completion_tokens,
                usage.prompt_tokens,
                usage.completion_tokens,
            )


def _bounds(decision: Decision, chat: ChatBody, answer: Answer, zoo: Zoo) -> UsageBounds:
    limits = chat.limits
    limit = limits.output_tokens
    if decision.model in zoo:
        most = zoo.models[zoo.index(decision.model)].max_output_tokens
        if most is not None and (limit is None or most < limit):
            limit = most
    return UsageBounds(
        prompt_tokens=chat.input_tokens,
        largest_prompt=limits.input_tokens,
        media=chat.media,
        output_characters=answer.output_characters,
        answers=limits.answers,
        output_tokens=limit,
    )
