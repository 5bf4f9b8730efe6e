"""Collect every model's response to some prompts, within a cap on the cost."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from floorline.datasets.trial_table import Question, TrialRow, TrialTable, shown_response
from floorline.errors import InvalidInput
from floorline.gateway.paid_calls import PaidCalls

_GRADER = (
    "You grade responses of language models. Reply with one number from 0 (wrong or useless) to 1 "
    "(right and helpful), and with nothing else."
)
_GRADE_FIELDS = {"max_tokens": 64}
"""A grade has two tokens; some models write a few words before it."""
_GRADED = 4_000
"""Characters of a response that a judge reads, so that the cost of a grade is bounded."""
_LARGEST = "\x01" * _GRADED
"""A response that takes most bytes in JSON."""

Score = Callable[[str, str], str]
"""Returns the score of a response, as a text, by the right answer; "" for none."""


class Trial:
    """Calls of models with the prompts of a table.

    What the calls of a row can cost at most is added to the row, in the file, before they are sent,
    and replaced by their cost after them. So the cap holds whatever happens between.

    Parameters
    ----------
    table
        The rows; saved after each change.
    calls
        Providers of the models, and of the judge.
    models
        Names of the models.
    fields
        Fields of every request besides ``model`` and ``messages``, such as ``max_tokens``.
    system
        System prompt; "" for none.
    max_cost
        Most that all calls of the table may cost.
    score
        Scores responses.
    judge
        Name of the model that grades responses without a score; "" for none.

    Attributes
    ----------
    needed
        What the row at which the cap stopped the trial can cost; None if all rows were called.
    """

    def __init__(
        self,
        table: TrialTable,
        calls: PaidCalls,
        models: Sequence[str],
        *,
        fields: Mapping[str, Any],
        system: str,
        max_cost: float,
        score: Score,
        judge: str = "",
    ) -> None:
        self.table = table
        self.calls = calls
        self.models = list(models)
        self.fields = dict(fields)
        self.system = system
        self.max_cost = max_cost
        self.score = score
        self.judge = judge
        self.needed: float | None = None

    async def run(self, progress: Callable[[int], object]) -> None:
        """Call all models with all prompts that they have not answered.

        It ends before the first row whose calls may exceed the cap.
        """
        await self.calls.start()
        try:
            for done, row in enumerate(self.table.rows, 1):
                waiting = {n: self._most(row, n) for n in self.models if self._wanted(row, n)}
                if not self._reserve(row, math.fsum(sum(pair) for pair in waiting.values())):
                    return
                await self._complete_all(row, waiting)
                progress(done)
        finally:
            await self.calls.close()

    def _wanted(self, row: TrialRow, name: str) -> bool:
        """Whether a response or its grade is missing and can be had."""
        given = name in row.costs
        return self._ungraded(row, name) if given else self._unasked(row, name)

    def _unasked(self, row: TrialRow, name: str) -> bool:
        return name not in row.costs and name not in self.calls.left_out

    def _ungraded(self, row: TrialRow, name: str) -> bool:
        """Whether the judge is to grade the response that a model has given or will give."""
        wanted = bool(self.judge) and self.judge not in self.calls.left_out
        return wanted and not row.scores.get(name)

    def _most(self, row: TrialRow, name: str) -> tuple[float, float]:
        """Most that the response and its grade can cost, 0 for what is not wanted."""
        asked, response = 0.0, row.responses.get(name, "")
        if self._unasked(row, name):
            asked, response = self.calls.most(name, self._question(row, name)), _LARGEST
        graded = 0.0
        if self._ungraded(row, name):
            graded = self.calls.most(self.judge, self._grade(row.question, response))
        return asked, graded

    def _reserve(self, row: TrialRow, most: float) -> bool:
        """Add to a row what its calls can cost, unless that may exceed the cap."""
        if self.table.spent + most > self.max_cost and most:
            self.needed = most
            return False
        row.spent += most
        self.table.save()
        return True

    async def _complete_all(
        self, row: TrialRow, waiting: Mapping[str, tuple[float, float]]
    ) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for name, (asked, graded) in waiting.items():
                    group.create_task(self._complete(row, name, asked, graded))
        except* OSError as errors:
            # The file cannot be written.
            raise errors.exceptions[0] from None

    async def _complete(self, row: TrialRow, name: str, asked: float, graded: float) -> None:
        """Put a model's response, its cost and its score into the row."""
        if name not in row.costs:
            paid = await self.calls.call(name, self._question(row, name))
            if paid.text is None:
                self._settle(row, asked + graded, paid.cost)
                return
            row.responses[name] = shown_response(paid.text)
            row.scores[name] = self.score(paid.text, row.question.answer)
            row.costs[name] = paid.cost
            self._settle(row, asked, paid.cost)
        if not self._ungraded(row, name):
            self._settle(row, graded, 0.0)
            return
        paid = await self.calls.call(self.judge, self._grade(row.question, row.responses[name]))
        row.scores[name] = "" if paid.text is None else grade_in(paid.text)
        self._settle(row, graded, paid.cost)

    def _settle(self, row: TrialRow, reserved: float, cost: float) -> None:
        row.spent = max(0.0, row.spent - reserved) + cost
        self.table.save()

    def _question(self, row: TrialRow, name: str) -> bytes:
        messages = [{"role": "user", "content": row.question.prompt}]
        if self.system:
            messages.insert(0, {"role": "system", "content": self.system})
        return self.calls.request(name, messages, self.fields)

    def _grade(self, question: Question, response: str) -> bytes:
        parts = [f"Request:\n{question.prompt}"]
        if question.answer:
            parts.append(f"Right answer:\n{question.answer}")
        parts.append(f"Response:\n{response[:_GRADED]}")
        messages = [
            {"role": "system", "content": _GRADER},
            {"role": "user", "content": "\n\n".join(parts)},
        ]
        return self.calls.request(self.judge, messages, _GRADE_FIELDS)


def grade_in(text: str) -> str:
    """Return the first number of a judge's answer if it is from 0 to 1, else "".

    Examples
    --------
    >>> grade_in("Grade: 0.8."), grade_in("8 of 10"), grade_in("good")
    ('0.8', '', '')
    """
    found = re.search(r"(?<![\w.-])\d+(\.\d+)?", text)
    return found[0] if found and float(found[0]) <= 1.0 else ""


def check_fields(fields: Mapping[str, Any]) -> None:
    """Check the fields of requests that a user gives.

    Raises
    ------
    InvalidInput
        If one of them is the trial's own.
    """
    for name in ("model", "messages", "stream", "n"):
        if name in fields:
            raise InvalidInput("--fields", name, f"remove {name}: the trial sets it itself")
