import sys

import pytest

from floorline.datasets.fetch import FetchError, fetch
from floorline.errors import FloorlineError, InvalidInput, MissingExtra


def test_asks_for_the_files_that_hold_data(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    asked = {}

    def download(repository, **options):
        asked.update(options, repository=repository)
        (tmp_path / "sprout" / "data").mkdir(parents=True)

    monkeypatch.setattr(hub, "snapshot_download", download)
    assert fetch("sprout", tmp_path) == tmp_path / "sprout" / "data"
    assert asked["repository"] == "CARROT-LLM-Routing/SPROUT"
    assert asked["repo_type"] == "dataset"


def test_no_network_is_one_line(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    def download(*_, **__):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(hub, "snapshot_download", download)
    with pytest.raises(FetchError, match="check the network") as caught:
        fetch("routerbench", tmp_path)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, FloorlineError)


def test_unknown_names_and_missing_client(tmp_path, monkeypatch):
    with pytest.raises(InvalidInput):
        fetch("imagenet", tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match="fetch"):
        fetch("sprout", tmp_path)
