import polars as pl
import pytest

from floorline.datasets import RoutingTable, available, load, simulate
from floorline.datasets.formats import detect
from floorline.errors import DataError, InvalidInput


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOORLINE_DATA", str(tmp_path))
    for name in ("arc_train", "mbpp"):
        frame = pl.DataFrame(
            {"prompt": [f"{name} 1", f"{name} 2"], "a": [1, 0], "a|total_cost": [0.1, 0.2]}
        )
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
    assert "routerbench" not in found


def table(prompt, models=("x", "y"), unit="USD", **given):
    width = len(models)
    return RoutingTable([prompt], models, [[1] * width], [[2] * width], unit, **given)


def other_models(folder):
    table("a", name="a").save(folder / "a.parquet")
    table("b", ("y", "z"), name="b").save(folder / "b.parquet")


def fewer_models(folder):
    table("a", name="a").save(folder / "a.parquet")
    table("b", ("x",), name="b").save(folder / "b.parquet")


def other_unit(folder):
    table("a").save(folder / "a.parquet")
    table("b", unit="J").save(folder / "b.parquet")


def same_prompts(folder):
    """The same answers under two judges."""
    table("a", name="a").save(folder / "a.parquet")
    table("a", name="b").save(folder / "b.parquet")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (other_models, r"different models \(a has x, b does not\)"),
        (fewer_models, r"different models \(a has y, b does not\)"),
        (other_unit, "costs in USD and in J"),
        (same_prompts, "files a and b hold the same prompts"),
    ],
)
def test_a_folder_that_cannot_be_mixed_asks_for_one_of_its_files(
    tmp_path, monkeypatch, write, reason
):
    monkeypatch.setenv("FLOORLINE_DATA", str(tmp_path))
    folder = tmp_path / "many"
    folder.mkdir()
    write(folder)
    with pytest.raises(InvalidInput, match=rf"{reason}; name one of many/a, many/b$"):
        load("many")
    assert [entry.name for entry in available()] == ["simulated", "many/a", "many/b"]
    monkeypatch.delenv("FLOORLINE_DATA")
    with pytest.raises(InvalidInput, match=rf"name one of {folder / 'a.parquet'}"):
        load(folder)


def test_saved_tables_of_one_folder_are_mixed_in_the_model_order_of_the_first(tmp_path):
    table("a").save(tmp_path / "a.parquet")
    table("b", ("y", "x")).save(tmp_path / "b.parquet")
    mix = load(tmp_path)
    assert (mix.name, mix.models, mix.prompts) == (tmp_path.name, ("x", "y"), ["a", "b"])


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
    assert load(path, format="columns").models == ("a",)


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.md"])
def test_unknown_layouts(tmp_path, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        pl.DataFrame({"a": [1]}).write_parquet(path)
    else:
        path.write_text("a,b\n1,2\n")
    assert detect(path) == "columns"
    with pytest.raises(DataError, match=r"not a known layout|give a \.csv"):
        load(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        detect(path)
    with pytest.raises(DataError):
        detect(tmp_path.joinpath("x.txt"))


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="no file of routing data"):
        load(tmp_path)


def test_a_variable_that_names_no_folder_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("FLOORLINE_DATA", str(tmp_path / "none"))
    with pytest.raises(InvalidInput, match=r"FLOORLINE_DATA is '.*none', which is no folder"):
        load("messplus/boolq")
    monkeypatch.delenv("FLOORLINE_DATA")
    with pytest.raises(InvalidInput, match="set FLOORLINE_DATA to a folder of data"):
        load("messplus/boolq")
