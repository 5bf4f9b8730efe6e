"""Estimator by the nearest neighbours in a labelled history, with an approximate index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, as_matrix, dense, is_finite
from floorline.core.snapshots import State
from floorline.errors import InvalidInput, check_number
from floorline.estimators.base import QualityEstimator, carry_over, check_label
from floorline.estimators.neighbour_index import NeighbourIndex

_COLUMNS = ("features_", "labels_", "costs_")
"""Arrays of the history; one row per request."""
_MEAN_ROWS = 2000
"""Number of most recent requests whose labels make a model's overall mean; bounds the time per
request."""
_PRIOR_LABELS = 2.0
"""Number of labels that the prior counts as in a model's overall mean."""
_MIN_ROOM = 64
"""Least number of rows that the arrays of the history are allocated for."""


class NearestNeighbours(QualityEstimator):
    """Mean label of the k most similar requests of a history, per model, and their mean cost.

    The estimator of PORT [1]_. Similarity is the cosine; the search uses an HNSW graph [2]_ of the
    library usearch. The history is the state. ``restore`` rebuilds the graph by the same
    insertions in the same order, so a restored estimator gives the same answers. Consecutive
    labels of equal features for different models share one row of the history; every label is
    kept, however often a prompt repeats.

    Choice of the library: on 25,000 × 384 features with five neighbours, one thread and the same
    graph parameters, all three candidates find every neighbour (``benchmarks/bench_neighbours.py``;
    brute force takes milliseconds per search):

    ==============  =======  ===========  =====  =========
    library         search   cold caches  build  installed
    ==============  =======  ===========  =====  =========
    usearch 2.26    0.27 ms  0.68 ms      12 s   59 MB
    hnswlib 0.8     0.11 ms  0.27 ms      6 s    9 MB
    faiss-cpu 1.15  0.15 ms  0.40 ms      13 s   66 MB
    ==============  =======  ===========  =====  =========

    usearch is used because hnswlib has no wheels, so that every installation would need a C++
    compiler, and faiss ships its own OpenMP and linear algebra. Half a millisecond is small
    against the duration of a call to a model.

    Parameters
    ----------
    dim
        Length d of the feature vectors.
    models
        Names of the M models.
    k
        Number of neighbours. Requests with the features of the k-th are equally near and count too.
    capacity
        Maximum number of requests in the history. When it is full, the older half is deleted.
    shrink
        Number of labels that the model's overall mean counts as among the neighbours' labels.
    prior
        Mean label of a model without labels.
    exact
        Compare with the whole history instead of searching the graph.

    Attributes
    ----------
    size_
        Number n of requests in the history. The arrays below have room for more rows.
    features_
        (≥ n, d) float32 features.
    labels_
        (≥ n, M) float32 labels in [0, 1], NaN if unknown.
    costs_
        (≥ n, M) float32 costs, NaN if unknown.
    models_
        Names of the models.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.

    References
    ----------
    .. [1] PORT: arXiv:2509.02718.
    .. [2] Malkov, Yashunin: Efficient and Robust Approximate Nearest Neighbor Search Using
       Hierarchical Navigable Small World Graphs. IEEE TPAMI 42 (2020), arXiv:1603.09320.

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
        self._index = NeighbourIndex(self.dim, exact=self.exact)

    def predict_one(self, x: Features) -> NDArray[np.float64]:
        """Return the (M,) mean labels of the neighbours, shrunk to the models' overall means."""
        return self._mean_labels(self.neighbours_one(x))

    def estimate_one(self, x: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (M,) mean labels as in ``predict_one`` and (M,) mean costs, from one search.

        The cost of a model is NaN if no neighbour has a cost of it.
        """
        near = self.neighbours_one(x)
        paid = self.costs_[near].astype(np.float64)
        if len(near) and not np.isnan(paid).any():
            return self._mean_labels(near), paid.sum(axis=0) / len(near)
        known = ~np.isnan(paid)
        count = known.sum(axis=0)
        total = np.where(known, paid, 0.0).sum(axis=0)
        return self._mean_labels(near), np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def learn_one(self, x: Features, model: int, y: float, weight: float = 1.0) -> None:
        """Add one label of one model.

        ``weight`` 0 skips the label; every other weight counts as 1, because the index has no
        weights.

        Raises
        ------
        InvalidInput
            If a feature, the label or the weight is out of range.
        """
        check_label(x, y, weight)
        if weight == 0.0:
            return
        vector = dense(x)
        last = self.size_ - 1
        shared = self.size_ > 0 and np.array_equal(self.features_[last], vector)
        if not shared or not np.isnan(self.labels_[last, model]):
            nothing = np.full((1, len(self.models_)), np.nan, np.float32)
            self._append(vector[None, :], nothing, nothing)
        self.labels_[self.size_ - 1, model] = y

    def correct_one(
        self, x: Features, model: int, previous: float, y: float, weight: float = 1.0
    ) -> None:
        """Replace the latest label ``previous`` of this model for equal features by ``y``.

        Which request it belonged to makes no difference, because equal features are equally near.
        If the history holds no such label any more, the new one is added.
        """
        check_label(x, y, weight)
        if weight == 0.0:
            return
        for row in reversed(self._index.equal(dense(x))):
            if self.labels_[row, model] == np.float32(previous):
                self.labels_[row, model] = y
                return
        self.learn_one(x, model, y, weight)

    def learn_many(
        self,
        x: Sequence[Features] | NDArray[np.float32],
        labels: NDArray[np.floating],
        costs: NDArray[np.floating] | None = None,
    ) -> None:
        """Add a history.

        Parameters
        ----------
        x
            (n, d) features.
        labels
            (n, M) labels in [0, 1], NaN if unknown.
        costs
            (n, M) costs of 0 or more, NaN if unknown. Default: all unknown.

        Raises
        ------
        InvalidInput
            If the shapes do not match, a feature is not finite, or a label or cost is out of
            range. Then nothing is added.
        """
        x = as_matrix(x)
        labels = np.asarray(labels, dtype=np.float32)
        paid = np.full_like(labels, np.nan) if costs is None else np.asarray(costs, np.float32)
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise InvalidInput("history.features.shape", x.shape, f"give (n, {self.dim})")
        for field, given in (("labels", labels), ("costs", paid)):
            if given.shape != (len(x), len(self.models_)):
                fix = f"give ({len(x)}, {len(self.models_)}): a row per request, a column per model"
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
        """Return the positions of the neighbours in the history, nearest first.

        There are k, fewer if the history is shorter, and more if further ones are as near as the
        k-th.

        Raises
        ------
        InvalidInput
            If a feature is NaN or infinite.
        """
        if self.size_ and not is_finite(x):
            raise InvalidInput("features", "holding NaN or infinity", "give finite features")
        return self._index.search(dense(x), self.k)

    def set_models(self, names: Sequence[str]) -> None:
        """Change the list of models: known models keep labels and costs, new ones have none."""
        self.labels_ = carry_over(self.models_, names, self.labels_.T, np.nan).T.copy()
        self.costs_ = carry_over(self.models_, names, self.costs_.T, np.nan).T.copy()
        self.models_ = list(names)

    def snapshot(self) -> State:
        """Copy the history, without the unused rows of its arrays."""
        state = super().snapshot()
        for name in _COLUMNS:
            state[name] = state[name][: self.size_]
        return state

    def restore(self, state: State) -> None:
        """Replace the history by that of a snapshot and rebuild the index."""
        super().restore(state)
        self._index = NeighbourIndex(self.dim, exact=self.exact)
        self._index.add(self.features_)

    def _mean_labels(self, near: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the (M,) shrunk mean labels of some requests."""
        labels = self.labels_[near].astype(np.float64)
        known = ~np.isnan(labels)
        count = known.sum(axis=0).astype(np.float64)
        total = np.where(known, labels, 0.0).sum(axis=0)
        strength = np.maximum(self.shrink, np.where(count > 0, 0.0, 1.0))
        if not strength.any():
            return np.asarray(total / count)
        return np.asarray((total + strength * self._overall()) / (count + strength))

    def _overall(self) -> NDArray[np.float64]:
        """Return the (M,) mean labels of the most recent requests, shrunk to the prior."""
        labels = self.labels_[max(0, self.size_ - _MEAN_ROWS) : self.size_]
        known = ~np.isnan(labels)
        total = np.where(known, labels, 0.0).sum(axis=0, dtype=np.float64)
        count = known.sum(axis=0)
        return np.asarray((total + _PRIOR_LABELS * self.prior) / (count + _PRIOR_LABELS))

    def _append(
        self,
        x: NDArray[np.float32],
        labels: NDArray[np.float32],
        costs: NDArray[np.float32],
    ) -> None:
        """Add rows to the history; delete its older half first if they do not fit."""
        added = dict(zip(_COLUMNS, (x, labels, costs), strict=True))
        if self.size_ + len(x) > self.capacity:
            keep = max(0, min(self.capacity // 2, self.capacity - len(x)))
            start = self.size_ - min(keep, self.size_)
            for name in _COLUMNS:
                setattr(self, name, getattr(self, name)[start : self.size_].copy())
                added[name] = added[name][-self.capacity :]
            self.size_ = len(self.features_)
            self._index = NeighbourIndex(self.dim, exact=self.exact)
            self._index.add(self.features_)
        first, self.size_ = self.size_, self.size_ + len(added["features_"])
        for name, rows in added.items():
            old = getattr(self, name)
            if self.size_ > len(old):
                # Doubling the arrays makes the mean time per row constant.
                added_rows = max(_MIN_ROOM, 2 * self.size_) - len(old)
                room = np.full((added_rows, old.shape[1]), np.nan, np.float32)
                setattr(self, name, np.concatenate([old, room]))
            getattr(self, name)[first : self.size_] = rows
        self._index.add(self.features_[first : self.size_])
