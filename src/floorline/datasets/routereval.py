"""RouterEval (Huang et al. 2025, arXiv 2503.10657): pickles of scores, read without running them.

A file ``*_router_dataset.pkl`` has the prompts of one benchmark under ``prompt`` and the pools of
models under ``easy`` and ``hard``: by number of models and by composition (``all_strong``,
``all_weak``, ``strong_to_weak``), each with the names ``model`` and the ``data``: ``train_score``,
``val_score`` and ``test_score`` (N, M). A file with ``model`` and ``data`` beside ``prompt`` is one
pool. The data has neither costs nor answers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from floorline.datasets.files import SPLITS, data_name
from floorline.datasets.gaps import Gaps, settle_gaps
from floorline.datasets.pickles import matrix_in, read_pickled_dict, texts_in
from floorline.datasets.prices import check_prices, estimated_tokens
from floorline.datasets.table import RoutingTable
from floorline.datasets.table_checks import check_cells
from floorline.errors import DataError, InvalidInput, listed

log = logging.getLogger("floorline.datasets")

_LEVELS = ("easy", "hard")


def load_routereval(
    path: str | Path,
    gaps: Gaps = "mask",
    prices: Mapping[str, Any] | None = None,
    variant: str = "",
) -> RoutingTable:
    """Read one pool of models of a .pkl file.

    Parameters
    ----------
    prices
        USD per million tokens by model; a prompt has a quarter of its characters as tokens, and
        answers are not counted. Without prices each call costs 0.
    variant
        The pool, such as "hard/10/strong_to_weak"; if empty, "strong_to_weak" of the largest easy
        pool, else the first; it is logged.

    Raises
    ------
    DataError
        If the file is damaged, has another layout, asks to run anything, or a score is wrong.
    InvalidInput
        If there is no such pool or a model has no price.
    """
    path = Path(path)
    held = read_pickled_dict(path)
    pools = _pools(held)
    if not pools:
        raise DataError(path, "not RouterEval's layout: no pool with 'model' and 'data'")
    pool = _chosen(path, pools, variant)
    prompts_by_split = held.get("prompt")
    if not isinstance(prompts_by_split, dict):
        raise DataError(path, "no dict of prompts", column="prompt")
    models = texts_in(path, pools[pool], "model")
    if prices is None:
        log.warning("%s: it has no costs; each call costs 0; give prices with --prices", path)
    price = np.zeros(len(models))
    if prices is not None:
        given = check_prices(prices, models)
        price = np.array([given[name][0] for name in models])
    prompts: list[str] = []
    splits: list[str] = []
    scores = []
    for split, as_split in SPLITS.items():
        if f"{split}_prompt" not in prompts_by_split:
            continue
        texts = texts_in(path, prompts_by_split, f"{split}_prompt")
        if texts:
            prompts += texts
            splits += [as_split] * len(texts)
            scores.append(_scores(path, pools[pool]["data"], split, texts, models))
    if not prompts:
        raise DataError(path, "the file has no prompts", column="prompt")
    table = RoutingTable(
        prompts,
        models,
        np.concatenate(scores),
        estimated_tokens(prompts)[:, None] * price / 1e6,
        split=splits,
        name=data_name(path).removesuffix("_router_dataset"),
        source=f"RouterEval layout, {path.name}{', ' if pool else ''}{pool}",
    )
    return settle_gaps(path, table, gaps)


def _pools(held: Mapping[Any, Any]) -> dict[str, dict[Any, Any]]:
    """Return the pools of a file by names such as easy/5/all_strong; "" is the only one."""
    if _is_pool(held):
        return {"": dict(held)}
    return {
        f"{level}/{size}/{kind}": pool
        for level in _LEVELS
        for size, kinds in _items(held.get(level))
        for kind, pool in _items(kinds)
        if _is_pool(pool)
    }


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _is_pool(value: Any) -> bool:
    return isinstance(value, Mapping) and "model" in value and isinstance(value.get("data"), dict)


def _chosen(path: Path, pools: Mapping[str, Any], variant: str) -> str:
    if variant:
        if variant not in pools:
            raise InvalidInput("pool of RouterEval", variant, f"{path} has {listed(list(pools))}")
        return variant
    if len(pools) == 1:
        return next(iter(pools))
    easy = [name for name in pools if name.startswith("easy/") and name.endswith("/strong_to_weak")]
    pool = easy[-1] if easy else next(iter(pools))
    others = listed([name for name in pools if name != pool])
    log.warning("%s: read with --format routereval:%s; its other pools are %s", path, pool, others)
    return pool


def _scores(
    path: Path, data: Mapping[Any, Any], split: str, prompts: list[str], models: list[str]
) -> NDArray[np.float64]:
    # TruthfulQA has binary labels for training beside its scores; some copies have only these.
    key = next((key for key in (f"{split}_score", f"{split}_label") if key in data), "")
    if not key:
        raise DataError(path, "no scores of these prompts", column=f"{split}_score")
    scores = matrix_in(path, data, key, (len(prompts), len(models)))
    check_cells(str(path), scores, [f"{key}: {m}" for m in models], high=1, what="score")
    return scores
