"""The Open LLM Leaderboard v2 in the form CARROT (arXiv 2502.03261) prepares it.

One .npy file that holds a dict: for ``train`` and ``test`` the questions ``Q_…``, the correctness
``Y_…`` (N, M) and the input tokens ``IT_…`` (N, M), and the names ``models``. Costs are input
tokens times a list price, as in that paper. RouterBench's column layout without ``eval_name`` is
read as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from floorline.datasets.files import check_file, data_name, kind_of
from floorline.datasets.gaps import Gaps, settle_gaps
from floorline.datasets.pickles import matrix_in, texts_in, unpickle
from floorline.datasets.prices import check_prices
from floorline.datasets.routerbench import load_routerbench
from floorline.datasets.table import RoutingTable
from floorline.datasets.table_checks import check_cells
from floorline.errors import DataError

PRICES: Mapping[str, float] = {
    "01-ai/Yi-34B-Chat": 0.8,
    "NousResearch/Nous-Hermes-2-Mixtral-8x7B-DPO": 0.6,
    "Qwen/QwQ-32B-Preview": 1.2,
    "Qwen/Qwen2-72B-Instruct": 0.9,
    "Qwen/Qwen2.5-72B-Instruct": 1.2,
    "Qwen/Qwen2.5-7B-Instruct": 0.3,
    "alpindale/WizardLM-2-8x22B": 1.2,
    "deepseek-ai/deepseek-llm-67b-chat": 0.9,
    "google/gemma-2-27b-it": 0.8,
    "google/gemma-2-9b-it": 0.3,
    "google/gemma-2b-it": 0.1,
    "meta-llama/Llama-2-13b-chat-hf": 0.3,
    "meta-llama/Meta-Llama-3.1-70B-Instruct": 0.9,
    "meta-llama/Meta-Llama-3.1-8B-Instruct": 0.2,
    "mistralai/Mistral-7B-Instruct-v0.1": 0.2,
    "mistralai/Mistral-7B-Instruct-v0.2": 0.2,
    "mistralai/Mistral-7B-Instruct-v0.3": 0.2,
    "mistralai/Mixtral-8x7B-Instruct-v0.1": 0.6,
    "nvidia/Llama-3.1-Nemotron-70B-Instruct-HF": 0.9,
    "upstage/SOLAR-10.7B-Instruct-v1.0": 0.3,
}
"""USD per million input tokens: CARROT's own list."""


def load_open_llm_leaderboard(
    path: str | Path, gaps: Gaps = "mask", prices: Mapping[str, Any] | None = None
) -> RoutingTable:
    """Read CARROT's .npy file, or a .csv or .parquet file in RouterBench's layout.

    Parameters
    ----------
    prices
        Name → USD per million tokens, as for ``check_prices``; ``PRICES`` if not given.

    Raises
    ------
    DataError
        If the file is damaged, has another layout, asks to run anything, or a cell is wrong.
    InvalidInput
        If a model has no price.
    """
    path = Path(path)
    if kind_of(path) != "npy":
        return load_routerbench(path, gaps)
    held = _read_dict(path)
    models = texts_in(path, held, "models")
    listed = check_prices(PRICES if prices is None else prices, models)
    price = np.array([listed[name][0] for name in models])
    parts = []
    for split in ("train", "test"):
        prompts = texts_in(path, held, f"Q_{split}")
        shape = (len(prompts), len(models))
        quality = matrix_in(path, held, f"Y_{split}", shape)
        tokens = matrix_in(path, held, f"IT_{split}", shape)
        check_cells(str(path), quality, [f"Y_{split}: {m}" for m in models], high=1, what="score")
        columns = [f"IT_{split}: {m}" for m in models]
        check_cells(str(path), tokens, columns, what="input tokens", gaps=np.isnan(quality))
        if not prompts:
            continue
        parts.append(
            RoutingTable(
                prompts,
                models,
                quality,
                tokens * price / 1e6,
                split=[split] * len(prompts),
                name=data_name(path),
                source=f"Open LLM Leaderboard v2 as prepared by CARROT, {path.name}",
            )
        )
    if not parts:
        raise DataError(path, "the file has no rows")
    return settle_gaps(path, RoutingTable.concat(parts), gaps)


def _read_dict(path: Path) -> dict[str, Any]:
    check_file(path)
    with path.open("rb") as stream:
        try:
            version = npy.read_magic(stream)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            dtype = read(stream)[2]
        except (ValueError, OSError, EOFError) as error:
            raise DataError(path, "not an .npy file, or a damaged one") from error
        if not dtype.hasobject:
            raise DataError(path, "holds numbers only, where a dict of questions belongs")
        held = unpickle(path, stream, pandas=False)
    if isinstance(held, np.ndarray) and held.shape == ():
        held = held.item()
    if not isinstance(held, dict):
        raise DataError(path, f"holds a {type(held).__name__}, where a dict belongs")
    return held
