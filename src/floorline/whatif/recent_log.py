"""A what-if question about the latest part of a store's log, in a process of its own.

Folding a log by another policy keeps the interpreter busy for seconds. In the gateway's process it
would delay requests, also in a thread. So ``python -m floorline.whatif.recent_log`` reads a
question in JSON from its input, at a low priority, and writes the answer in JSON. It ends when its
input ends, so that it does not outlive the gateway.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from floorline.errors import FloorlineError, InvalidInput, listed
from floorline.events import Decision, Event, Feedback, Judgement, Outcome, Recall
from floorline.stores.open_store import open_read_only
from floorline.whatif.counterfactual import Counterfactual, NoSupport, WhatIf
from floorline.whatif.log_summary import LogSummary
from floorline.whatif.other_policy import other_policy

_NICE = 10
"""How much lower the priority of the process is than the gateway's."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What to estimate, and on which part of the log.

    Attributes
    ----------
    policy
        Name of a policy, or "" to let ``model`` serve every request.
    model
        Name of the model that serves every request.
    means
        Mean quality in [0, 1] of each model by name, for the policy ``static_mix``.
    sla, floor
        As for ``Counterfactual``.
    tenant
        The only tenant whose requests are used; None for all.
    since
        Earliest Unix time of the events in seconds.
    max_events
        Most events that are read, the latest ones.
    """

    policy: str = ""
    model: str = ""
    means: dict[str, float] = {}
    sla: str | None = None
    floor: float | None = None
    tenant: str | None = None
    since: float = 0.0
    max_events: int = 60_000


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The estimate, or why there is none.

    Attributes
    ----------
    result
        The estimates, or bounds without estimates; None if there are not even bounds.
    problem
        Why there are no estimates; "" if there are.
    events
        Number of events that were read.
    first, last
        Unix times of the first and the last of them in seconds; None without any.
    """

    result: WhatIf | None = None
    problem: str = ""
    events: int = 0
    first: float | None = None
    last: float | None = None


def answer(url: str, question: Question) -> Answer:
    """Answer a question about the log of a store.

    Parameters
    ----------
    url
        URL of the store, which a gateway may be writing.
    question
        The question.
    """
    from floorline.stores.reading import LogReader

    with open_read_only(url) as engine:
        reader = LogReader(engine)
        end = reader.end()
        start = max(reader.first(), reader.position_at(question.since), end - question.max_events)

        def events() -> Iterator[Event]:
            part = islice(reader.numbered(start), max(0, end - start))
            return _of_tenant((event for _, event in part), question.tenant)

        seen = _Span(events())
        summary = LogSummary(seen)
        result, problem = None, ""
        try:
            result = _estimate(question, summary, events())
        except NoSupport as error:
            result, problem = error.result, str(error)
        except FloorlineError as error:
            problem = str(error)
        return Answer(
            result=result, problem=problem, events=seen.count, first=seen.first, last=seen.last
        )


def _estimate(question: Question, summary: LogSummary, events: Iterable[Event]) -> WhatIf:
    summary.check(question.sla)
    slas, zoo = summary.slas(), summary.zoo()
    parameters: dict[str, Any] = {}
    name = question.policy
    if not name:
        if question.model not in zoo.names:
            fix = "choose one that could serve at the beginning of this part of the log: "
            raise InvalidInput("model", question.model, fix + listed(zoo.names))
        # The model of the highest known mean serves every request.
        name = "best_fixed"
        parameters["mean_quality"] = [float(one == question.model) for one in zoo.names]
    elif name == "static_mix":
        parameters["mean_quality"] = [question.means.get(one, 0.5) for one in zoo.names]
    if parameters:
        parameters["mean_cost"] = zoo.typical_costs
    policy = other_policy(name, parameters, slas, history=summary.history)
    other = Counterfactual(policy, zoo, slas, summary.dim, sla=question.sla, floor=question.floor)
    for event in events:
        other.fold(event)
    return other.result()


def _of_tenant(events: Iterable[Event], tenant: str | None) -> Iterator[Event]:
    """Yield the events of one tenant's requests, and changes; all events for None."""
    known: set[str] = set()
    for event in events:
        if tenant is not None:
            if isinstance(event, Recall):
                continue
            if isinstance(event, Decision):
                if event.tenant != tenant:
                    continue
                known.add(event.id)
            elif isinstance(event, Outcome | Feedback | Judgement) and event.decision not in known:
                continue
        yield event


class _Span:
    """Counts the events that pass, and notes the times of the first and the last one."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._events = events
        self.count = 0
        self.first: float | None = None
        self.last: float | None = None

    def __iter__(self) -> Iterator[Event]:
        for event in self._events:
            self.count += 1
            self.first = event.at if self.first is None else self.first
            self.last = event.at
            yield event


def _end_with_input() -> None:
    """End the process when its input ends, because the gateway that asked is gone then."""
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """Answer the question of the first line of the input; the store's URL is the second line."""
    if hasattr(os, "nice"):
        os.nice(_NICE)
    question = msgspec.json.decode(sys.stdin.buffer.readline(), type=Question)
    url = sys.stdin.buffer.readline().decode().strip()
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        found = answer(url, question)
    except FloorlineError as error:
        found = Answer(problem=str(error))
    sys.stdout.buffer.write(msgspec.json.encode(found))
    sys.stdout.buffer.flush()
    # Without waiting for the thread that reads the input.
    os._exit(0)


if __name__ == "__main__":
    main()
