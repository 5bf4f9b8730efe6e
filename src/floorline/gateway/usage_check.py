"""Check the token counts of providers, and report those that cannot be true."""

from __future__ import annotations

import logging

from floorline.gateway.chat_request import ChatBody
from floorline.gateway.observability.metrics import Metrics
from floorline.gateway.upstreams import Answer, Usage
from floorline.gateway.upstreams.usage import Bill, UsageBounds, bill_of, check_usage
from floorline.zoo import Model

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
    doubted : dict of str to int
        Number of bills of providers that were not believed, by model name.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.corrected: dict[str, int] = {}
        self.doubted: dict[str, int] = {}

    def check(self, name: str, model: Model | None, chat: ChatBody, answer: Answer) -> Usage:
        """Return the usage of an answer, estimated where the provider's count cannot be true.

        ``model`` is None if the model of that name was removed meanwhile.
        """
        given = answer.usage
        usage, corrected = check_usage(given, usage_bounds(chat, answer, model))
        if corrected:
            self._report(name, given, usage)
        return usage

    def bill(self, model: Model, usage: Usage, cost_unit: str) -> Bill:
        """Return the cost of a call, by the provider's own bill where it can be true."""
        bill = bill_of(model, usage, cost_unit)
        if bill.is_doubtful:
            self._doubt(model.name, usage, bill)
        return bill

    def warnings(self) -> list[str]:
        """Return a sentence for each model whose provider sent counts that cannot be true."""
        counts = [
            f"the provider of model {name!r} sent {count} token counts that cannot be true by the "
            "lengths of the texts: estimates replaced them; compare its bill with the log"
            for name, count in self.corrected.items()
        ]
        bills = [
            f"the provider of model {name!r} named {count} bills that are below a twentieth or "
            "above eight times the list price: list prices were charged; correct its prices"
            for name, count in self.doubted.items()
        ]
        return counts + bills

    def _doubt(self, model: str, usage: Usage, bill: Bill) -> None:
        known = self.doubted.get(model)
        if known is None and len(self.doubted) >= _MAX_NAMES:
            return
        self.doubted[model] = (known or 0) + 1
        if known is None:
            log.warning(
                "the provider of model %r billed %.6g USD for a call of %.6g USD at list prices, "
                "which is not believed: correct the model's prices",
                model,
                usage.bill or 0.0,
                bill.cost,
            )

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


def usage_bounds(chat: ChatBody, answer: Answer, model: Model | None) -> UsageBounds:
    """Return what is known of the lengths of a call's texts."""
    most = None if model is None else model.max_output_tokens
    limits = chat.limits
    limit = limits.output_tokens
    if most is not None and (limit is None or most < limit):
        limit = most
    return UsageBounds(
        chat.input_tokens,
        limits.input_tokens,
        chat.media,
        max(0, answer.output_characters - chat.echoed_characters),
        limits.answers,
        limit,
        chat.certain_tokens,
        limits.images,
        limits.has_audio,
    )
