import polars as pl
import pytest

from floorline.datasets import available, load, simulate
from floorline.datasets.registry import detect
from floorline.errors import DataError, InvalidInput


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOORLINE_DATA", str(tmp_path))
    for name in ("arc_train", "mbpp"):
        frame = pl.DataFrame({"prompt": ["p", "q"], "a": [1, 0], "a|total_cost": [0.1, 0.2]})
        (tmp_path / "routerbench").mkdir(exist_ok=True)
        frame.write_csv(tmp_path / "routerbench" / f"{name}.csv")
    (tmp_path / "README.md").write_text("no data")
    return tmp_path


def test_names_resolve_inside_the_folder(folder):
    assert len(load("routerbench")) == 4
    assert load("routerbench/arc").name == "arc"
    assert load(folder / "routerbench" / "mbpp.csv").name == "mbpp"


def test_unknown_names_are_answered_with_the_known_ones(folder, monkeypatch):
    with pytest.raises(InvalidInput, match="known: simulated, routerbench, routerbench/arc"):
        load("routerbench/nothing")
    monkeypatch.delenv("FLOORLINE_DATA")
    with pytest.raises(InvalidInput, match="set FLOORLINE_DATA"):
        load("routerbench")


def test_available_tells_what_is_broken(folder):
    (folder / "routerbench" / "bad.csv").write_text("prompt,a|total_cost\np,1\n")
    found = {entry.name: entry for entry in available()}
    assert found["simulated"].rows == 10_000
    assert (found["routerbench/mbpp"].rows, found["routerbench/mbpp"].models) == (2, 1)
    assert "no score column" in found["routerbench/bad"].problem


def test_saved_tables_load_by_path(tmp_path):
    table = simulate(20)
    table.save(tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").digest == table.digest


def test_explicit_formats(folder):
    path = folder / "routerbench" / "mbpp.csv"
    assert load(path, columns="x:a:a|total_cost").models == ("x",)
    assert load(path, format="routerbench").models == ("a",)
    with pytest.raises(DataError, match="MESS"):
        load(path, format="messplus")
    with pytest.raises(InvalidInput, match="format"):
        load(path, format="excel")
    with pytest.raises(InvalidInput, match="columns"):
        load(path, format="columns")


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.md"])
def test_unknown_layouts(tmp_path, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        pl.DataFrame({"a": [1]}).write_parquet(path)
    else:
        path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="not a known layout"):
        detect(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        detect(path)
    with pytest.raises(DataError):
        detect(tmp_path.joinpath("x.txt"))


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="no file of routing data"):
        load(tmp_path)
