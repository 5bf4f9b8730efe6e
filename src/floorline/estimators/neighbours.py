"""Nearest neighbours in a labelled history, by an approximate index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, dense, is_finite
from floorline.core.snapshots import State, Stateful
from floorline.errors import InvalidInput, check_number
from floorline.estimators.base import carry_over, check_label

_COLUMNS = ("features_", "labels_", "costs_")


class NearestNeighbours(Stateful):
    """Mean label of the k most similar requests seen, per model; mean cost too if they have one.

    Cosine similarity through an HNSW graph (usearch). The history is the state and the graph is
    rebuilt from it, by the same insertions in the same order, so that a restored estimator answers
    as the saved one did. Labels of one request given one model at a time, one after the other,
    share one entry.

    On 25,000 × 384 with five neighbours, one thread and the same graph, all find every neighbour;
    usearch 2.26 takes 0.27 ms a search (0.68 with cold caches), hnswlib 0.8 0.11 (0.27) and
    faiss-cpu 1.15 0.15 (0.40); building takes 12, 6 and 13 s, and 59, 9 and 66 MB are installed
    (``benchmarks/bench_neighbours.py``; brute force: milliseconds). It is usearch all the same:
    hnswlib has no wheels, so that every installation would need a C++ compiler, faiss brings its
    own OpenMP and linear algebra, and half a millisecond is nothing beside a call to a model.

    Parameters
    ----------
    dim
        Length d of the feature vectors.
    models
        Names, M of them.
    k
        Number of neighbours.
    capacity
        Most requests kept; when full, the older half is forgotten.
    shrink
        Number of labels the model's overall mean is worth against the neighbours'.
    prior
        Mean label assumed of a model without labels.
    exact
        Compare with the whole history instead of searching a graph.

    Examples
    --------
    >>> estimator = NearestNeighbours(2, ["small"], k=2, shrink=0.0)
    >>> east, north = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    >>> for x, y in ((east, 1.0), (east * 2, 1.0), (north, 0.0), (north * 2, 0.0)):
    ...     estimator.learn_one(x, 0, y)
    >>> estimator.predict_one(east).tolist(), estimator.predict_one(north).tolist()
    ([1.0], [0.0])
    """

    def __init__(
        self,
        dim: int,
        models: Sequence[str],
        *,
        k: int = 5,
        capacity: int = 100_000,
        shrink: float = 1.0,
        prior: float = 0.5,
        exact: bool = False,
    ) -> None:
        self.dim = int(check_number("NearestNeighbours.dim", dim, low=1, fix="give 1 or more"))
        self.k = int(check_number("NearestNeighbours.k", k, low=1, fix="give 1 or more"))
        self.capacity = int(
            check_number("NearestNeighbours.capacity", capacity, low=2, fix="give 2 or more")
        )
        self.shrink = check_number(
            "NearestNeighbours.shrink", shrink, low=0.0, fix="give 0 or more"
        )
        self.prior = prior
        self.exact = exact
        self.models_ = list(models)
        self.size_ = 0
        self.features_ = np.zeros((0, self.dim), dtype=np.float32)
        self.labels_ = np.zeros((0, len(self.models_)), dtype=np.float32)
        self.costs_ = np.zeros((0, len(self.models_)), dtype=np.float32)
        self._index = self._new_index()

    def predict_one(self, x: Features) -> NDArray[np.float64]:
        """(M,) mean labels of the neighbours, shrunk to the models' overall means."""
        return self._summary(self.neighbours_one(x))[0]

    def estimate_one(self, x: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(M,) mean labels as ``predict_one`` and (M,) mean costs, from one search.

        The cost of a model is NaN where no neighbour has one.
        """
        near = self.neighbours_one(x)
        paid = self.costs_[near].astype(np.float64)
        if len(near) and not np.isnan(paid).any():
            return self._summary(near)[0], paid.sum(axis=0) / len(near)
        known = ~np.isnan(paid)
        count = known.sum(axis=0)
        total = np.where(known, paid, 0.0).sum(axis=0)
        return self._summary(near)[0], np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def uncertainty_one(self, x: Features) -> NDArray[np.float64]:
        """(M,) standard errors of these means."""
        mean, count = self._summary(self.neighbours_one(x))
        return np.asarray(np.sqrt(np.maximum(mean * (1.0 - mean), 0.01) / (count + 1.0)))

    def learn_one(self, x: Features, model: int, y: float, weight: float = 1.0) -> None:
        """Add one label; ``weight`` 0 leaves it out, any other counts fully."""
        check_label(x, y, weight)
        if weight == 0.0:
            return
        vector = dense(x)
        if self.size_ == 0 or not np.array_equal(self.features_[self.size_ - 1], vector):
            nothing = np.full((1, len(self.models_)), np.nan, np.float32)
            self._append(vector[None, :], nothing, nothing)
        self.labels_[self.size_ - 1, model] = y

    def learn_many(
        self,
        x: NDArray[np.float32],
        labels: NDArray[np.floating],
        costs: NDArray[np.floating] | None = None,
    ) -> None:
        """Add a history: features (n, d), labels (n, M) in [0, 1] and costs (n, M).

        NaN marks what is unknown; without costs all of them are.

        Raises
        ------
        InvalidInput
            If the shapes do not fit, a feature is not finite or a label or cost out of range.
        """
        x = np.asarray(x, dtype=np.float32)
        labels = np.asarray(labels, dtype=np.float32)
        paid = np.full_like(labels, np.nan) if costs is None else np.asarray(costs, np.float32)
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise InvalidInput("history.features.shape", x.shape, f"give (n, {self.dim})")
        for field, given in (("labels", labels), ("costs", paid)):
            if given.shape != (len(x), len(self.models_)):
                fix = f"give ({len(x)}, {len(self.models_)}), a row a request, a column a model"
                raise InvalidInput(f"history.{field}.shape", given.shape, fix)
        if not np.isfinite(x).all():
            raise InvalidInput("features", "holding NaN or infinity", "give finite features")
        known = labels[~np.isnan(labels)]
        if not ((known >= 0.0) & (known <= 1.0)).all():
            raise InvalidInput("history.labels", "out of range", "give numbers from 0 to 1, or NaN")
        known = paid[~np.isnan(paid)]
        if not ((known >= 0.0) & np.isfinite(known)).all():
            fix = "give finite costs of 0 or more, or NaN"
            raise InvalidInput("history.costs", "out of range", fix)
        self._append(x, labels, paid)

    def neighbours_one(self, x: Features) -> NDArray[np.int64]:
        """(≤ k,) positions of the neighbours in the history, nearest first."""
        if self.size_ == 0:
            return np.zeros(0, dtype=np.int64)
        if not is_finite(x):
            raise InvalidInput("features", "holding NaN or infinity", "give finite features")
        count = min(self.k, self.size_)
        found = self._index.search(dense(x), count, threads=1, exact=self.exact)
        return np.asarray(found.keys, dtype=np.int64)

    def set_models(self, names: Sequence[str]) -> None:
        """Keep known models' labels; new ones have none yet."""
        self.labels_ = carry_over(self.models_, names, self.labels_.T, np.nan).T.copy()
        self.costs_ = carry_over(self.models_, names, self.costs_.T, np.nan).T.copy()
        self.models_ = list(names)

    def snapshot(self) -> State:
        """Copy the history, without its spare room."""
        state = super().snapshot()
        for name in _COLUMNS:
            state[name] = state[name][: self.size_]
        return state

    def restore(self, state: State) -> None:
        """Take over a history and rebuild the index."""
        super().restore(state)
        self._index = self._new_index()
        self._insert(0)

    def _summary(self, near: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        labels = self.labels_[near].astype(np.float64)
        known = ~np.isnan(labels)
        count = known.sum(axis=0).astype(np.float64)
        total = np.where(known, labels, 0.0).sum(axis=0)
        strength = np.maximum(self.shrink, np.where(count > 0, 0.0, 1.0))
        if not strength.any():
            return total / count, count
        return (total + strength * self._overall()) / (count + strength), count

    def _overall(self) -> NDArray[np.float64]:
        labels = self.labels_[max(0, self.size_ - 2000) : self.size_]
        known = ~np.isnan(labels)
        total = np.where(known, labels, 0.0).sum(axis=0, dtype=np.float64)
        return np.asarray((total + 2.0 * self.prior) / (known.sum(axis=0) + 2.0))

    def _append(
        self,
        x: NDArray[np.float32],
        labels: NDArray[np.float32],
        costs: NDArray[np.float32],
    ) -> None:
        added = dict(zip(_COLUMNS, (x, labels, costs), strict=True))
        if self.size_ + len(x) > self.capacity:
            keep = max(0, min(self.capacity // 2, self.capacity - len(x)))
            start = self.size_ - min(keep, self.size_)
            for name in _COLUMNS:
                setattr(self, name, getattr(self, name)[start : self.size_].copy())
                added[name] = added[name][-self.capacity :]
            self.size_ = len(self.features_)
            self._index = self._new_index()
            self._insert(0)
        first, self.size_ = self.size_, self.size_ + len(added["features_"])
        for name, rows in added.items():
            old = getattr(self, name)
            if self.size_ > len(old):
                room = np.full(
                    (max(64, 2 * self.size_) - len(old), old.shape[1]), np.nan, np.float32
                )
                setattr(self, name, np.concatenate([old, room]))
            getattr(self, name)[first : self.size_] = rows
        self._insert(first)

    def _insert(self, first: int) -> None:
        if self.size_ > first:
            keys = np.arange(first, self.size_, dtype=np.uint64)
            # One thread: the graph depends on the order of insertion.
            self._index.add(keys, self.features_[first : self.size_], threads=1)

    def _new_index(self) -> Any:
        from usearch.index import Index

        return Index(ndim=self.dim, metric="cos", dtype="f32")
