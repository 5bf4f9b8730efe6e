"""Comparison of usearch, hnswlib and faiss for nearest neighbours in a 25,000 × 384 history.

``python benchmarks/bench_neighbours.py``. Libraries that are not installed are skipped; they are
not dependencies (``pip install hnswlib faiss-cpu``). All run on one thread with the same graph (16
links, 128 candidates while building, 64 while searching) and cosine similarity. Features are drawn
around 300 centres, like prompts of a few hundred tasks. "cold" is the median after other work has
used the processor's caches since the last search, as in a server.
"""

import importlib.metadata
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

ROWS, DIM, K, QUERIES = 25_000, 384, 5, 1_000
LINKS, BUILD, SEARCH = 16, 128, 64


def clustered(rows, seed):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(300, DIM))
    x = centres[rng.integers(0, 300, rows)] + rng.normal(size=(rows, DIM))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def usearch(x):
    from usearch.index import Index

    index = Index(
        ndim=DIM,
        metric="cos",
        dtype="f32",
        connectivity=LINKS,
        expansion_add=BUILD,
        expansion_search=SEARCH,
    )
    index.add(np.arange(len(x), dtype=np.uint64), x, threads=1)
    return lambda q: index.search(q, K, threads=1).keys


def hnswlib(x):
    import hnswlib as library

    index = library.Index(space="cosine", dim=DIM)
    index.init_index(len(x), M=LINKS, ef_construction=BUILD, random_seed=1)
    index.set_num_threads(1)
    index.add_items(x, num_threads=1)
    index.set_ef(SEARCH)
    return lambda q: index.knn_query(q, K, num_threads=1)[0][0]


def faiss(x):
    import faiss as library

    library.omp_set_num_threads(1)
    index = library.IndexHNSWFlat(DIM, LINKS, library.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = BUILD, SEARCH
    index.add(x)
    return lambda q: index.search(q[None, :], K)[1][0]


def brute_force(x):
    def search(q):
        score = x @ q
        near = np.argpartition(-score, K)[:K]
        return near[np.argsort(-score[near])]

    return search


INDEXES = {
    "usearch": (usearch, ["usearch", "numkong"]),
    "hnswlib": (hnswlib, ["hnswlib"]),
    "faiss": (faiss, ["faiss-cpu"]),
    "brute force": (brute_force, ["numpy"]),
}


def resident():
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def installed(packages):
    """Size of the files of packages, in MB."""
    files = [file for package in packages for file in importlib.metadata.files(package) or []]
    paths = [file.locate() for file in files]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def measure(name):
    build, packages = INDEXES[name]
    x, queries = clustered(ROWS, 1), clustered(QUERIES, 2)
    before, started = resident(), time.perf_counter()
    search = build(x)
    built, memory = time.perf_counter() - started, resident() - before
    truth = brute_force(x)
    expected = [set(truth(query).tolist()) for query in queries]
    other, hits, p50 = np.zeros(16_000_000, dtype=np.float32), 0, []
    for cold in (False, True):
        times = []
        for query, right in zip(queries, expected, strict=True):
            if cold:
                other += 1.0
            started = time.perf_counter()
            found = search(query)
            times.append(time.perf_counter() - started)
            hits += len(set(np.asarray(found).tolist()) & right)
        p50.append(np.median(times) * 1e6)
    recall = hits / (2 * K * QUERIES)
    version = importlib.metadata.version(packages[0])
    print(*p50, recall, built, memory, installed(packages), version)


def main():
    table = Table("index", "version", title=f"{ROWS:,} × {DIM}, k = {K}, one thread")
    columns = ("p50 µs", "cold µs", "recall@5", "build s", "memory MB", "installed MB")
    for header in columns:
        table.add_column(header, justify="right")
    for name in INDEXES:
        # One process per library, so that its memory is measured separately.
        run = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True)
        if run.returncode:
            table.add_row(name, run.stderr.strip().splitlines()[-1])
            continue
        *numbers, version = run.stdout.split()
        p50, cold, recall, built, memory, size = map(float, numbers)
        cells = f"{p50:,.0f}", f"{cold:,.0f}", f"{recall:.3f}", f"{built:.1f}", f"{memory:.0f}"
        table.add_row(name, version, *cells, f"{size:.0f}")
    Console().print(table)


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
