"""Time of each encoder for one prompt.

``python benchmarks/bench_encoders.py [--minilm FOLDER | --random-minilm]``. The folder contains
``tokenizer.json`` and ``model.onnx``; its default is the environment variable ``FLOORLINE_MINILM``.
``--random-minilm`` times a model of the same size with random weights.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from floorline.encoders import Encoder, HashedNgrams, Lsa, MiniLm, Precomputed

PASSAGE = (
    "The committee met on 14 March to weigh three proposals; none won a majority, so the chair "
    "asked for a second ballot (see appendix B). Which proposal would have won, and why?\n"
)
LENGTHS = {"20 characters": 20, "1,500 characters": 1500, "1,000,000 characters": 1_000_000}


def prompts(length: int) -> list[str]:
    """Different prompts of one length, so that no cache has an effect."""
    text = PASSAGE * (length // len(PASSAGE) + 2)
    return [text[start : start + length] for start in range(16)]


def measure(encoder: Encoder, texts: list[str], seconds: float) -> tuple[float, float]:
    """Median and 95th percentile of the time of one ``encode``, in microseconds."""
    for text in texts:
        encoder.encode(text)
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 16:
        text = texts[len(times) % len(texts)]
        start = time.perf_counter()
        encoder.encode(text)
        times.append(time.perf_counter() - start)
    p50, p95 = np.percentile(times, [50, 95]) * 1e6
    return float(p50), float(p95)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minilm", default=os.environ.get("FLOORLINE_MINILM"))
    parser.add_argument("--random-minilm", action="store_true")
    parser.add_argument("--seconds", type=float, default=1.0, help="per cell")
    arguments = parser.parse_args()

    texts = {name: prompts(length) for name, length in LENGTHS.items()}
    every = [text for group in texts.values() for text in group]
    corpus = [f"{PASSAGE} {i} {PASSAGE[i % 90 :]}" for i in range(200)]
    encoders: dict[str, Encoder] = {
        "hashed (1,024)": HashedNgrams(),
        "hashed (512)": HashedNgrams(512),
        "hashed:sparse (65,536)": HashedNgrams(output="sparse"),
        "lsa (64)": Lsa(64).fit(corpus),
        "precomputed": Precomputed({text: [1.0] for text in every}),
    }
    console = Console()
    if arguments.minilm:
        encoders["minilm (128 tokens)"] = MiniLm(arguments.minilm)
    elif arguments.random_minilm:
        import random_minilm

        with tempfile.TemporaryDirectory() as folder:
            random_minilm.write(Path(folder))
            encoders["minilm, random weights, int8"] = MiniLm(folder)
            encoders["minilm, random weights, float"] = MiniLm(folder, file="model.onnx")
    else:
        console.print(
            "MiniLM skipped: give a folder by --minilm FOLDER or FLOORLINE_MINILM, "
            "or --random-minilm to time a model of its size."
        )

    table = Table("encoder", "dim", title="Time per prompt, p50 / p95, one at a time")
    for name in LENGTHS:
        table.add_column(name, justify="right")
    for name, encoder in encoders.items():
        cells = [measure(encoder, group, arguments.seconds) for group in texts.values()]
        shown = [f"{p50:,.0f} / {p95:,.0f} µs" for p50, p95 in cells]
        table.add_row(name, f"{encoder.dim:,}", *shown)
    console.print(table)


if __name__ == "__main__":
    main()
