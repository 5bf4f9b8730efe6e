"""A transformer of MiniLM's size with random weights, for timing only."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minilm_onnx import shapes, write_models


def write(folder: Path) -> None:
    """Write ``model.onnx``, ``model_int8.onnx`` and a ``tokenizer.json`` of short word pieces."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    rng = np.random.default_rng(0)
    weights = {n: rng.normal(0.0, 0.02, s).astype(np.float32) for n, s in shapes().items()}
    write_models(folder, weights)
    pairs = [a + b for a in "etaoinshrdlu" for b in "etaoinshrdlu"]
    vocabulary = ["[UNK]", *"abcdefghijklmnopqrstuvwxyz0123456789.,;()?-", *pairs]
    vocabulary += ["##" + piece for piece in vocabulary[1:]]
    tokenizer = Tokenizer(
        models.WordPiece({w: i for i, w in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
