"""The table of a trial: prompts, every model's response and cost, and scores to fill in.

It is a CSV file in RouterBench's layout, so that whatever reads routing data reads it, and so that
scores can be filled in in a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from floorline._files import write_whole
from floorline.datasets.delimited import read_csv
from floorline.datasets.reading import read_frame, texts
from floorline.datasets.routerbench import COST, RESPONSE
from floorline.errors import DataError, InvalidInput

_ID, _PROMPT, _ANSWER, _SPENT = "sample_id", "prompt", "answer", "trial|spent"
_OWN = (_ID, _PROMPT, _ANSWER, _SPENT)
_MAX_RESPONSE = 32_000
"""Characters of a response in the table: a cell of a spreadsheet holds 32,767."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters of what spreadsheets compute."""


class Question(msgspec.Struct, frozen=True):
    """A prompt of the file of prompts, with its row number and its answer; "" for none."""

    row: int
    prompt: str
    answer: str


class TrialRow(msgspec.Struct):
    """A prompt and what is known of it.

    Attributes
    ----------
    question
        The prompt.
    spent
        Upper bound of what its calls cost so far, those that failed or still run included.
    scores, responses, costs
        By model name. A model with a cost has answered; a score is a text that may be empty.
    """

    question: Question
    spent: float = 0.0
    scores: dict[str, str] = {}
    responses: dict[str, str] = {}
    costs: dict[str, float] = {}


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Let no other process write a table in this block; both would spend up to the cap.

    The lock is that of SQLite on a file beside the table, as for stores: it is right on every
    operating system, and ends with its process.

    Raises
    ------
    InvalidInput
        If another process writes it.
    """
    lock = path.with_name(f"{path.name}.lock")
    # SQLite has its own words for a folder that does not exist.
    lock.touch()
    connection = sqlite3.connect(lock, timeout=0.0, isolation_level=None)
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            fix = "another trial writes this table: wait until it ends, or give another file"
            raise InvalidInput("--out", str(path), fix) from None
        yield
    finally:
        connection.close()


def read_questions(path: Path, count: int, seed: int) -> list[Question]:
    """Draw prompts from a CSV, TSV, JSON or Parquet file with a column ``prompt``.

    A column ``answer`` has the right answers. With the same seed, more prompts begin with the same
    ones.

    Raises
    ------
    DataError
        If the file is damaged or has no such column.
    """
    frame = read_frame(path)
    prompts = texts(path, frame, _PROMPT)
    answers = [""] * len(prompts)
    if _ANSWER in frame.columns:
        given = frame[_ANSWER]
        if given.dtype.is_nested():
            raise DataError(path, "holds lists where texts belong", column=_ANSWER)
        answers = given.cast(pl.String).fill_null("").to_list()
    drawn = np.random.default_rng(seed).permutation(len(prompts))[:count].tolist()
    return [Question(row + 1, _clean(prompts[row]), _clean(answers[row])) for row in drawn]


class TrialTable:
    """The rows of a trial, in a file that is whole at every time.

    Parameters
    ----------
    path
        The file. If it exists, its rows are kept.
    questions
        Prompts of the trial; rows for those that the file lacks are added.
    models
        Names of the models; those of the file are kept.

    Attributes
    ----------
    rows
        The rows of ``questions``, in their order.

    Raises
    ------
    InvalidInput
        If the file cannot hold the table, or holds the trial of other prompts.
    DataError
        If the file is damaged.
    """

    def __init__(self, path: Path, questions: Sequence[Question], models: Sequence[str]) -> None:
        for name in models:
            if name in _OWN or "|" in name:
                fix = f"a table has other columns of this name; leave the model {name!r} out"
                raise InvalidInput("model", name, fix)
        self.path = path
        self.models = list(models)
        self._rows = self._read() if path.exists() else {}
        for question in questions:
            row = self._rows.setdefault(question.row, TrialRow(question))
            if row.question.prompt.split() != question.prompt.split():
                fix = "give another --out: this file holds the trial of other prompts"
                raise InvalidInput("--out", str(path), fix)
            # A spreadsheet may have changed line ends.
            row.question = question
        self.rows = [self._rows[question.row] for question in questions]

    @property
    def spent(self) -> float:
        """Upper bound of what all calls of the table cost."""
        return math.fsum(row.spent for row in self._rows.values())

    def save(self) -> None:
        """Write the file, whole and durably."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        columns = [column for name in self.models for column in _columns(name)]
        writer.writerow([*_OWN, *columns])
        for row in self._rows.values():
            question = row.question
            cells: list[str] = []
            for name in self.models:
                cost = row.costs.get(name)
                cells += [row.scores.get(name, ""), row.responses.get(name, "")]
                cells.append("" if cost is None else repr(cost))
            own = [str(question.row), question.prompt, question.answer, f"{row.spent:.12g}"]
            writer.writerow([*own, *cells])
        # With a byte order mark, by which spreadsheets know UTF-8.
        write_whole(self.path, text.getvalue().encode("utf-8-sig"))

    def _read(self) -> dict[int, TrialRow]:
        frame = read_csv(self.path)
        if not set(_OWN) <= set(frame.columns):
            fix = "give another file: this one is no table of a trial"
            raise InvalidInput("--out", str(self.path), fix)
        held = [n.removesuffix(COST) for n in frame.columns if n.endswith(COST)]
        self.models = [*held, *(name for name in self.models if name not in held)]
        found = {}
        for number, cells in enumerate(frame.iter_rows(named=True), 1):
            row = self._row(number, cells, held)
            found[row.question.row] = row
        return found

    def _row(self, number: int, cells: dict[str, str | None], held: Iterable[str]) -> TrialRow:
        position = self._number(number, cells, _ID)
        spent = self._number(number, cells, _SPENT)
        if position is None or spent is None or not cells[_PROMPT]:
            raise DataError(self.path, "its number, prompt or costs are missing", row=number)
        question = Question(int(position), cells[_PROMPT] or "", cells[_ANSWER] or "")
        row = TrialRow(question, spent)
        for name in held:
            score, response, cost = _columns(name)
            row.scores[name] = cells.get(score) or ""
            row.responses[name] = cells.get(response) or ""
            value = self._number(number, cells, cost)
            if value is not None:
                row.costs[name] = value
        return row

    def _number(self, row: int, cells: dict[str, str | None], column: str) -> float | None:
        text = (cells[column] or "").strip()
        try:
            # Spreadsheets of many countries write a decimal comma.
            value = float(text.replace(",", ".")) if text else None
        except ValueError:
            value = math.nan
        if value is not None and not 0.0 <= value < math.inf:
            raise DataError(self.path, f"{text[:40]!r} is no amount", row=row, column=column)
        return value


def shown_response(text: str) -> str:
    """Return a response as a cell of a table: cut, and never a formula of a spreadsheet.

    Examples
    --------
    >>> shown_response("=1+1"), shown_response("Paris")
    ("'=1+1", 'Paris')
    """
    text = _clean(text)[:_MAX_RESPONSE]
    return f"'{text}" if text.startswith(_FORMULA) else text


def _clean(text: str) -> str:
    """Replace what a file of text cannot hold: zeros and lone surrogates."""
    return text.replace("\0", " ").encode(errors="replace").decode()


def _columns(model: str) -> tuple[str, str, str]:
    return model, model + RESPONSE, model + COST
