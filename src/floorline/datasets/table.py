"""Routing tables: the quality and cost of every model on every prompt."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from floorline._extras import needs
from floorline.core.display import html_grid, show_number
from floorline.core.drawing import Point, scatter
from floorline.datasets.summary import Summary, masked_mean, summarise_models, summarise_tasks
from floorline.datasets.table_checks import as_array, check_cells, check_models, check_texts
from floorline.errors import DataError, InvalidInput, check_number, check_one_of
from floorline.zoo import COST_UNITS


@dataclass(frozen=True, eq=False)
class RoutingTable:
    """N prompts × M models of quality and cost; immutable, its arrays read-only.

    Parameters
    ----------
    prompts
        N texts.
    models
        M distinct names.
    quality
        (N, M) float32 in [0, 1]; NaN marks a gap (the model was never scored on this prompt).
    cost
        (N, M) float64 ≥ 0 in ``cost_unit`` per request; NaN only where quality is a gap too.
    cost_unit
        "USD" or "J".
    task
        N names of the prompts' tasks; the table's name if not given.
    split
        N of "", "train", "test"; all "" if not given.
    tokens_in
        (N,) float32 tokens of the prompt, NaN if unknown.
    tokens_out
        (N, M) float32 tokens of the response, NaN if unknown.
    latency
        (N, M) float32 seconds, NaN if unknown.
    name, source
        Name of the table, and where its data comes from.
    simulated
        True if no real model answered these prompts.

    Raises
    ------
    InvalidInput
        If shapes disagree, a model is named twice or the table is empty.
    DataError
        If a cell is negative, infinite, out of range or missing; names its row and column.

    Examples
    --------
    >>> import numpy as np
    >>> table = RoutingTable(
    ...     ["2 + 2?", "Prove Fermat."], ("small", "large"),
    ...     quality=[[1, 1], [0, np.nan]], cost=[[1e-5, 1e-3], [1e-5, np.nan]])
    >>> len(table), table.mean_quality.tolist(), table.mask.tolist()
    (2, [0.5, 1.0], [[True, True], [True, False]])
    """

    prompts: list[str]
    models: tuple[str, ...]
    quality: NDArray[np.float32]
    cost: NDArray[np.float64]
    cost_unit: str = "USD"
    task: list[str] = None  # type: ignore[assignment]
    split: list[str] = None  # type: ignore[assignment]
    tokens_in: NDArray[np.float32] | None = None
    tokens_out: NDArray[np.float32] | None = None
    latency: NDArray[np.float32] | None = None
    name: str = "table"
    simulated: bool = False
    source: str = ""

    def __init__(
        self,
        prompts: Sequence[str],
        models: Sequence[str],
        quality: ArrayLike,
        cost: ArrayLike,
        cost_unit: str = "USD",
        task: Sequence[str] | None = None,
        split: Sequence[str] | None = None,
        tokens_in: ArrayLike | None = None,
        tokens_out: ArrayLike | None = None,
        latency: ArrayLike | None = None,
        name: str = "table",
        simulated: bool = False,
        source: str = "",
    ) -> None:
        rows = len(prompts)
        if rows == 0:
            raise InvalidInput("RoutingTable.prompts", [], "a table needs at least one prompt")
        names = check_models(models)
        shape = (rows, len(names))
        check_one_of("RoutingTable.cost_unit", cost_unit, COST_UNITS)
        if not isinstance(name, str) or not name:
            raise InvalidInput("RoutingTable.name", name, "give the table a name")
        values: dict[str, Any] = {
            "prompts": check_texts("prompts", prompts, rows),
            "models": names,
            "quality": as_array("RoutingTable.quality", quality, np.float32, shape),
            "cost": as_array("RoutingTable.cost", cost, np.float64, shape),
            "cost_unit": cost_unit,
            "task": check_texts("task", [name] * rows if task is None else task, rows),
            "split": check_texts("split", [""] * rows if split is None else split, rows),
            "name": name,
            "simulated": bool(simulated),
            "source": source,
        }
        optional = (("tokens_in", tokens_in, shape[:1]), ("tokens_out", tokens_out, shape))
        for field, given, size in (*optional, ("latency", latency, shape)):
            values[field] = (
                None
                if given is None
                else as_array(f"RoutingTable.{field}", given, np.float32, size)
            )
        for field, value in values.items():
            object.__setattr__(self, field, value)
        self._check()

    def _check(self) -> None:
        for part in sorted(set(self.split)):
            check_one_of("RoutingTable.split", part, ("", "train", "test"))
        where = f"table {self.name!r}"
        gaps = np.isnan(self.quality)
        check_cells(where, self.quality, self.models, high=1, what="score")
        check_cells(where, self.cost, self.models, what=f"cost in {self.cost_unit}", gaps=gaps)
        if self.tokens_in is not None:
            check_cells(where, self.tokens_in[:, None], ["tokens_in"], what="input tokens")
        if self.tokens_out is not None:
            check_cells(where, self.tokens_out, self.models, what="output tokens")
        if self.latency is not None:
            check_cells(where, self.latency, self.models, what="latency in s")

    def __len__(self) -> int:
        return len(self.prompts)

    def __repr__(self) -> str:
        kind = ", simulated" if self.simulated else ""
        return f"RoutingTable({self.name!r}, {len(self):,} × {len(self.models)}{kind})"

    def _repr_html_(self) -> str:
        scored = self.mask.sum(axis=0).tolist()
        quality, cost = self.mean_quality.tolist(), self.mean_cost.tolist()
        rows = [
            [name, f"{count:,}", show_number(q), show_number(c)]
            for c, name, count, q in sorted(
                zip(cost, self.models, scored, quality, strict=True), key=lambda row: row[0]
            )
        ]
        kind = ", simulated" if self.simulated else ""
        unit = f"{self.cost_unit} per request"
        table = html_grid(
            f"{self.name}: {len(self):,} prompts{kind}",
            ["model", "scored", "mean quality", f"mean cost, {unit}"],
            rows,
        )
        points = [Point(*row) for row in zip(self.models, cost, quality, strict=True)]
        return table + scatter(points, f"mean cost ({unit})", "mean quality")

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(N, M), True where a score exists."""
        known = ~np.isnan(self.quality)
        known.setflags(write=False)
        return known

    @cached_property
    def mean_quality(self) -> NDArray[np.float64]:
        """(M,) mean score of each model over the prompts it was scored on; NaN if none."""
        return self._mean(self.quality)

    @cached_property
    def mean_cost(self) -> NDArray[np.float64]:
        """(M,) mean cost of each model, in ``cost_unit``, over the same prompts."""
        return self._mean(self.cost)

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of everything but the name and source."""
        state = hashlib.sha256()
        for texts in (self.models, (self.cost_unit,), self.prompts, self.task, self.split):
            for text in (str(len(texts)), *texts):
                raw = text.encode()
                state.update(len(raw).to_bytes(8, "little") + raw)
        for array in (self.quality, self.cost, self.tokens_in, self.tokens_out, self.latency):
            if array is None:
                state.update(b"none")
                continue
            state.update(f"{array.dtype.str}{array.shape}".encode())
            # NaN has many bit patterns and zero has two; equal values must give equal digests.
            same = np.where(np.isnan(array), np.nan, array + 0.0)
            state.update(same.astype(array.dtype).tobytes())
        state.update(b"simulated" if self.simulated else b"measured")
        return state.hexdigest()

    def take(self, rows: ArrayLike) -> Self:
        """Return the table of these rows: indices in the order given, or a (N,) bool mask.

        Raises
        ------
        InvalidInput
            If no row is left or an index lies outside the table.
        """
        index = np.asarray(rows)
        if index.ndim == 1 and index.dtype == np.bool_ and len(index) == len(self):
            index = np.flatnonzero(index)
        usable = index.ndim == 1 and index.dtype.kind in "iu" and index.size > 0
        if not usable or index.min() < -len(self) or index.max() >= len(self):
            raise InvalidInput(
                "rows",
                rows,
                f"give indices below {len(self)} or a mask; at least one row must stay",
            )
        picks = index.tolist()
        return replace(
            self,
            prompts=[self.prompts[i] for i in picks],
            task=[self.task[i] for i in picks],
            split=[self.split[i] for i in picks],
            **{field: array[index] for field, array in self._arrays().items()},
        )

    def select_models(self, names: Sequence[str]) -> Self:
        """Return the table of these models, in this order.

        Raises
        ------
        InvalidInput
            If a model is not in the table or named twice.
        """
        for name in names:
            check_one_of("model", name, self.models)
        columns = [self.models.index(name) for name in check_models(names)]
        arrays = {
            field: array[:, columns] for field, array in self._arrays().items() if array.ndim == 2
        }
        return replace(self, models=tuple(names), **arrays)

    def complete(self) -> tuple[Self, int]:
        """Return the rows without gaps, and how many rows that drops.

        Raises
        ------
        InvalidInput
            If every row has a gap.
        """
        whole = self.mask.all(axis=1)
        dropped = int((~whole).sum())
        return (self.take(whole), dropped) if dropped else (self, 0)

    def split_rows(self, fraction: float, seed: int = 0) -> tuple[Self, Self]:
        """Divide the rows at random into (history, rest), each task in the same proportion.

        Parameters
        ----------
        fraction
            Share of the rows that goes to the history, between 0 and 1; both parts get a row.
        seed
            The same seed gives the same parts.

        Raises
        ------
        InvalidInput
            If the fraction is not within (0, 1) or there are fewer than two rows.
        """
        fix = "give a fraction between 0 and 1, both excluded"
        check_number("fraction", fraction, low=0, high=1, fix=fix)
        if fraction in (0, 1):
            raise InvalidInput("fraction", fraction, fix)
        if len(self) < 2:
            raise InvalidInput("rows", len(self), "it takes two rows to make two parts")
        rng = np.random.default_rng(seed)
        shuffled = rng.permutation(len(self))
        tasks = np.unique(np.array(self.task, dtype=object), return_inverse=True)[1]
        by_task = shuffled[np.argsort(tasks[shuffled], kind="stable")]
        # A cumulative count spreads the history evenly over the rows, which are sorted by task.
        wanted = np.clip(round(fraction * len(self)), 1, len(self) - 1)
        steps = np.arange(len(self) + 1) * wanted // len(self)
        chosen = np.zeros(len(self), dtype=bool)
        chosen[by_task] = np.diff(steps) > 0
        return self.take(chosen), self.take(~chosen)

    @classmethod
    def concat(cls, tables: Sequence[RoutingTable], name: str | None = None) -> Self:
        """Stack tables of the same models and cost unit; arrays that one of them lacks are dropped.

        Raises
        ------
        InvalidInput
            If there is no table, or models or cost units differ.
        """
        if not tables:
            raise InvalidInput("tables", [], "give at least one table")
        first = tables[0]
        for table in tables:
            if table.models != first.models:
                raise InvalidInput("models", table.models, f"all tables need {first.models}")
            if table.cost_unit != first.cost_unit:
                raise InvalidInput("cost_unit", table.cost_unit, f"all need {first.cost_unit}")
        arrays: dict[str, Any] = {
            field: np.concatenate([table._arrays()[field] for table in tables])
            for field in first._arrays()
            if all(field in table._arrays() for table in tables)
        }
        names = list(dict.fromkeys(table.name for table in tables))
        return cls(
            prompts=[text for table in tables for text in table.prompts],
            models=first.models,
            cost_unit=first.cost_unit,
            task=[text for table in tables for text in table.task],
            split=[text for table in tables for text in table.split],
            name=name or "+".join(names),
            simulated=any(table.simulated for table in tables),
            source="; ".join(dict.fromkeys(t.source for t in tables if t.source)),
            **arrays,
        )

    def describe(self) -> Summary:
        """Summarise each model and each task; ``as_dict`` of the result is ready for JSON."""
        models = summarise_models(self.models, self.quality, self.cost)
        order = [self.models.index(model.model) for model in models]
        names = [self.models[m] for m in order]
        return Summary(
            name=self.name,
            rows=len(self),
            cost_unit=self.cost_unit,
            simulated=self.simulated,
            source=self.source,
            digest=self.digest,
            incomplete_rows=int((~self.mask.all(axis=1)).sum()),
            models=models,
            tasks=summarise_tasks(names, self.task, self.quality[:, order]),
        )

    def save(self, path: str | Path) -> None:
        """Write the table to one Parquet file.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        with needs("data", "writing a routing table"):
            from floorline.datasets import table_file

        table_file.write(Path(path), {n: getattr(self, n) for n in FIELDS}, self.digest)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a table that ``save`` wrote, exact to the last bit.

        Raises
        ------
        DataError
            If the file is missing, truncated, of another schema or altered.
        """
        with needs("data", "reading a routing table"):
            from floorline.datasets import table_file

        values, digest = table_file.read(Path(path))
        table = cls(**values)
        if table.digest != digest:
            problem = "content does not match its digest; the file was altered or damaged"
            raise DataError(path, problem)
        return table

    @classmethod
    def from_dataframe(
        cls,
        df: Any,
        *,
        prompt: str = "prompt",
        quality: str | Mapping[str, str] = "{model}_quality",
        cost: str | Mapping[str, str] = "{model}_cost",
        models: Sequence[str] | None = None,
        task: str | None = None,
        latency: str | Mapping[str, str] | None = None,
        tokens_out: str | Mapping[str, str] | None = None,
        cost_unit: str = "USD",
        name: str = "table",
    ) -> Self:
        """Make a table out of a data frame of pandas or Polars with one row per prompt.

        Parameters
        ----------
        df
            Data frame; its index has no meaning.
        prompt, task
            Column of the prompts, and of each row's task if there is one.
        quality, cost
            Column of each model: a pattern in which ``{model}`` stands for the model's name, such
            as ``"{model}_cost"`` or ``"cost of {model}"``, or a mapping from model names to
            columns. A missing quality is a gap.
        models
            Names of the models, in the order of the table. By default all that have a quality
            column, in the order of these columns.
        latency, tokens_out
            The same for seconds per call and output tokens; None if there are none.
        cost_unit, name
            Unit of the costs, ``"USD"`` or ``"J"``, and name of the table.

        Raises
        ------
        InvalidInput
            If ``df`` is no data frame, or an argument names columns that it lacks.
        DataError
            If a cell is no number, out of range or missing; names its row (from 1) and column.
        MissingExtra
            If Polars is not installed, which also reads the frames of pandas.

        Examples
        --------
        >>> import polars as pl
        >>> df = pl.DataFrame(
        ...     {
        ...         "prompt": ["2 + 2?", "Prove Fermat."],
        ...         "small_quality": [1, 0],
        ...         "small_cost": [1e-5, 2e-5],
        ...         "large_quality": [1, None],
        ...         "large_cost": [1e-3, None],
        ...     }
        ... )
        >>> table = RoutingTable.from_dataframe(df)
        >>> table.models, table.mean_quality.tolist()
        (('small', 'large'), [0.5, 1.0])
        """
        from floorline.datasets.dataframe import read_dataframe

        found = read_dataframe(
            df,
            prompt=prompt,
            quality=quality,
            cost=cost,
            models=models,
            task=task,
            latency=latency,
            tokens_out=tokens_out,
        )
        return cls(**found, cost_unit=cost_unit, name=name, source="a data frame")

    def _mean(self, values: NDArray[Any]) -> NDArray[np.float64]:
        mean = masked_mean(values, self.mask)
        mean.setflags(write=False)
        return mean

    def _arrays(self) -> dict[str, Any]:
        names = ("quality", "cost", "tokens_in", "tokens_out", "latency")
        return {n: getattr(self, n) for n in names if getattr(self, n) is not None}


FIELDS = tuple(field.name for field in fields(RoutingTable))
"""Names of the fields of a table."""
