"""Guess which columns of a file hold the prompts, and each model's scores and costs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from floorline.datasets.long import LongColumns
from floorline.datasets.model_columns import ModelColumns

_PROMPT = (
    "prompt",
    "prompts",
    "question",
    "query",
    "input",
    "text",
    "instruction",
    "request",
    "message",
    "messages",
    "user_prompt",
    "user_input",
    "input_text",
)
_ANY_PROMPT = re.compile(
    r"(?!.*(id|hash|len|length|count|tokens?|cost)$).*(prompt|question).*",
    re.IGNORECASE | re.DOTALL,
)
_TASK = ("task", "category", "dataset", "benchmark", "benchmark_name", "eval_name", "domain")
_LONG = ("model", "model_name", "model_id", "llm", "llm_name")
"""Columns with the name of a model, of files with one row for each answer."""

_CORES: Mapping[str, tuple[str, ...]] = {
    "quality": (
        *("quality", "score", "scores", "satisfied", "satisfaction", "label", "correct"),
        *("correctness", "accuracy", "acc", "reward", "rating", "success", "pass", "passed", "ok"),
        *("performance",),
        *("match", "em", "f1", "grade"),
    ),
    "cost": (
        *("cost", "costs", "price", "usd", "dollars", "spend"),
        *("energy", "joules"),
    ),
    "latency": ("latency", "duration", "seconds", "time"),
    "tokens_out": ("tokens",),
    "tokens_in": ("tokens",),
}
"""Words by which a column says what it holds, the plainest first."""
_BESIDE: Mapping[str, frozenset[str]] = {
    "quality": frozenset({"is", "mean", "avg", "judge", "exact", "final", "binary", "eval"}),
    "cost": frozenset(
        {"total", "mean", "avg", "in", "per", "call", "request", "consumption", "j", "estimated"}
    ),
    "latency": frozenset({"s", "sec", "inference", "response", "total", "in"}),
    "tokens_out": frozenset({"out", "output", "completion", "generated", "num", "n"}),
    "tokens_in": frozenset({"in", "input", "prompt", "num", "n"}),
}
"""Words that may stand beside these."""
_SIDES = {
    "tokens_out": frozenset({"out", "output", "completion", "generated"}),
    "tokens_in": frozenset({"in", "input", "prompt"}),
}
"""Words of which a column of tokens has one, because tokens are those of a prompt or an answer."""
_ENERGY = ("energy", "joules")

_OF_MODELS = ("quality", "cost", "latency", "tokens_out")
"""What a column can hold of one model."""
_NO_PROMPT = "no column is called prompt, question or input"
_GAP = r"[\s_.:|/-]+"


class Guess(NamedTuple):
    """Which columns hold what.

    Attributes
    ----------
    prompt, task
        Columns of the prompts and of each row's task.
    models
        Columns of each model by its name.
    cost_unit
        USD, or J if the names of all cost columns speak of energy.
    """

    prompt: str
    task: str | None
    models: dict[str, ModelColumns]
    cost_unit: str

    @property
    def option(self) -> str:
        """The value of ``--columns`` that says the same."""
        plain = all(
            re.fullmatch(r"[^,:=]+", part) is not None
            for name, columns in self.models.items()
            for part in (self.prompt, self.task or "-", name, columns.quality, columns.cost or "-")
        )
        timed = any(one.latency or one.tokens_out for one in self.models.values())
        if plain and not timed:
            entries = [f"prompt={self.prompt}"]
            entries += [f"task={self.task}"] if self.task else []
            entries += [f"cost_unit={self.cost_unit}"] if self.cost_unit != "USD" else []
            entries += [
                f"{name}:{one.quality}" + (f":{one.cost}" if one.cost else "")
                for name, one in self.models.items()
            ]
            return ",".join(entries)
        # Imported here because the short form is the rule.
        import json

        written: dict[str, Any] = {"prompt": self.prompt}
        if self.task:
            written["task"] = self.task
        if self.cost_unit != "USD":
            written["cost_unit"] = self.cost_unit
        written["models"] = {
            name: {field: column for field, column in vars(one).items() if column is not None}
            for name, one in self.models.items()
        }
        return json.dumps(written, ensure_ascii=False)


class LongGuess(NamedTuple):
    """Which columns of a file with one row for each answer hold what.

    Attributes
    ----------
    columns
        The columns.
    cost_unit
        USD, or J if the name of the column of costs speaks of energy.
    """

    columns: LongColumns
    cost_unit: str

    @property
    def option(self) -> str:
        """The value of ``--columns`` that says the same."""
        written = {name: value for name, value in vars(self.columns).items() if value}
        written |= {"cost_unit": self.cost_unit} if self.cost_unit != "USD" else {}
        if all(re.fullmatch(r"[^,:=]+", part) for part in written.values()):
            return ",".join(f"{name}={value}" for name, value in written.items())
        # Imported here because the short form is the rule.
        import json

        return json.dumps(written, ensure_ascii=False)


def guess_columns(names: Sequence[str]) -> Guess | LongGuess | str:
    """Guess which columns hold what, from their names.

    A file with a column of models' names and one of scores has one row for each answer.

    A column of a model has the model's name and, before or after it, a word such as ``score`` or
    ``cost``. A column with a model's name alone holds its scores if there is one with its costs.

    Returns
    -------
    The guess, or why there is none

    Examples
    --------
    >>> guess_columns(["question", "small_ok", "small_usd"]).option
    'prompt=question,small:small_ok:small_usd'
    >>> guess_columns(["question", "answer"])
    'no column has the name of a model and a word such as score or cost'
    """
    folded = {_folded(name): name for name in names}
    prompt = next((folded[word] for word in _PROMPT if word in folded), None)
    if prompt is None:
        # As in user.prompt or "Prompt text".
        prompt = next((name for name in names if _ANY_PROMPT.fullmatch(name)), None)
    task = next((folded[word] for word in _TASK if word in folded), None)
    rest = [name for name in names if name not in (prompt, task)]
    named = next((folded[word] for word in _LONG if word in folded), None)
    long: LongGuess | str = ""
    if named is not None:
        long = _guess_long(prompt, task, named, [name for name in rest if name != named])
        if isinstance(long, LongGuess):
            return long
    found: dict[str, dict[str, str]] = {}
    for field in _OF_MODELS:
        for core in _CORES[field]:
            for name in rest:
                for model in _models_in(name, field, core):
                    found.setdefault(model, {}).setdefault(field, name)
    for model, fields in found.items():
        if "quality" not in fields and "cost" in fields and model in rest:
            fields["quality"] = model
    models = {model: fields for model, fields in found.items() if "quality" in fields}
    if not models:
        return long or "no column has the name of a model and a word such as score or cost"
    if prompt is None:
        return _NO_PROMPT
    order = sorted(models, key=lambda model: names.index(models[model]["quality"]))
    unpriced = [model for model in order if "cost" not in models[model]]
    if len(unpriced) == len(order):
        return "no column has a model's costs"
    costs = [models[model].get("cost", "") for model in order]
    energy = all(any(word in _folded(cost) for word in _ENERGY) for cost in costs if cost)
    above = _shared_path(order)
    columns = {model[len(above) :]: ModelColumns(**models[model]) for model in order}
    return Guess(prompt, task, columns, "J" if energy else "USD")


def _guess_long(
    prompt: str | None, task: str | None, model: str, names: Sequence[str]
) -> LongGuess | str:
    if prompt is None:
        return _NO_PROMPT
    found = {
        field: next((n for core in cores for n in names if _is_all(n, field, core)), None)
        for field, cores in _CORES.items()
    }
    if found["quality"] is None:
        return f"beside {model!r} no column has scores"
    if found["cost"] is None:
        return f"beside {model!r} no column has costs"
    energy = any(word in _folded(found["cost"]) for word in _ENERGY)
    columns = LongColumns(
        prompt,
        model,
        found["quality"],
        found["cost"],
        task,
        latency=found["latency"],
        tokens_in=found["tokens_in"],
        tokens_out=found["tokens_out"],
    )
    return LongGuess(columns, "J" if energy else "USD")


def _shared_path(models: Sequence[str]) -> str:
    """Return the objects that all models are in, as ``models.`` of JSON rows; "" if none."""
    above = {model.rpartition(".")[0] for model in models}
    shared = above.pop() if len(above) == 1 and len(models) > 1 else ""
    return f"{shared}." if shared else ""


def _folded(name: str) -> str:
    return re.sub(_GAP, "_", name.strip().lower())


def _models_in(name: str, field: str, core: str) -> list[str]:
    """Return the model's name in a column's name, before or after words that speak of a field."""
    parts = re.split(f"({_GAP})", name.strip())
    words = [part.lower() for part in parts[::2]]
    vocabulary = {*_CORES[field], *_BESIDE[field]}
    found = []
    after = sum(1 for _ in takewhile(vocabulary.__contains__, reversed(words)))
    if _says(words[len(words) - after :], field, core) and after < len(words):
        found.append("".join(parts[: len(parts) - 2 * after]))
    before = sum(1 for _ in takewhile(vocabulary.__contains__, words))
    if _says(words[:before], field, core) and before < len(words):
        found.append("".join(parts[2 * before :]))
    return found


def _is_all(name: str, field: str, core: str) -> bool:
    """Whether all words of a column's name speak of a field, as in judge_score."""
    words = [part.lower() for part in re.split(_GAP, name.strip())]
    return {*_CORES[field], *_BESIDE[field]}.issuperset(words) and _says(words, field, core)


def _says(words: Sequence[str], field: str, core: str) -> bool:
    return core in words and (field not in _SIDES or not _SIDES[field].isdisjoint(words))
