"""Public routing data from the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from floorline._extras import needs
from floorline.errors import FloorlineError, check_one_of


class Source(NamedTuple):
    """A data set on the hub: its repository and the files that hold routing data."""

    repository: str
    files: tuple[str, ...]


SOURCES = {
    "embedllm": Source("RZ412/EmbedLLM", ("train.csv", "val.csv", "test.csv")),
    "mixinstruct": Source("llm-blender/mix-instruct", ("*_data_prepared.jsonl",)),
    "routerbench": Source("withmartian/routerbench", ("*.pkl",)),
    "sprout": Source("CARROT-LLM-Routing/SPROUT", ("data/*.parquet",)),
    "sprout-o3mini": Source("CARROT-LLM-Routing/SPROUT-o3mini", ("data/*.parquet",)),
}
"""Name → what ``fetch`` downloads."""


class FetchError(FloorlineError):
    """Data could not be fetched: no network, no such repository, or a full disk."""


def fetch(name: str, folder: str | Path) -> Path:
    """Download a data set into ``folder``/``name``, and return the folder that holds its files.

    Raises
    ------
    InvalidInput
        If the name is not one of ``SOURCES``.
    MissingExtra
        If the hub's client is not installed.
    FetchError
        If the download fails.
    """
    check_one_of("data set", name, SOURCES)
    with needs("fetch", "fetching public data"):
        from huggingface_hub import snapshot_download
    source = SOURCES[name]
    target = Path(folder) / name
    try:
        snapshot_download(
            source.repository,
            repo_type="dataset",
            local_dir=target,
            allow_patterns=list(source.files),
        )
    # The client raises errors of its own, of the HTTP library and of the system.
    except Exception as error:
        raise FetchError(
            f"{source.repository} cannot be fetched from the Hugging Face hub: "
            "check the network and the access of your account, or load a copy that you have by "
            "its path"
        ) from error
    inner = target / "data"
    return inner if inner.is_dir() else target
