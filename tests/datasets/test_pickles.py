import copyreg
import io
import os
import pickle
import sys

import numpy as np
import pytest

from floorline.datasets.open_llm_leaderboard import load_open_llm_leaderboard
from floorline.datasets.pickles import read_pickled_frame
from floorline.errors import DataError, MissingExtra


class Runs:
    """Pickles into a call of ``function`` with ``arguments``."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def attacks(mark):
    command = f"echo ran > {mark}"
    pandas = pytest.importorskip("pandas")
    yield pickle.dumps(Runs(os.system, command))
    yield pickle.dumps(Runs(eval, f"open({str(mark)!r}, 'w')"))
    yield pickle.dumps({"a": [Runs(os.system, command)]}, protocol=0)
    yield pickle.dumps(pandas.DataFrame({"x": [1], "y": [Runs(os.system, command)]}))
    # A dotted name reaches through an allowed class to what it refers to.
    yield b"\x80\x04\x8c\x11pandas.core.frame\x8c\x0eDataFrame.eval\x93."
    yield b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__class__\x93."
    yield b"cbuiltins\ngetattr\n."
    yield b"cposix\nsystem\n(S'" + command.encode() + b"'\ntR."
    yield b"\x80\x04\x8c\x01xQ."


def test_a_malicious_pickle_runs_nothing(tmp_path):
    mark = tmp_path / "ran"
    for attack in attacks(mark):
        path = tmp_path / "evil.pkl"
        path.write_bytes(attack)
        with pytest.raises(DataError, match=r"refused|damaged") as caught:
            read_pickled_frame(path)
        assert "convert the file to Parquet" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not mark.exists()


def test_the_attack_would_have_worked(tmp_path):
    mark = tmp_path / "ran"
    pickle.loads(next(attacks(mark)))
    assert mark.exists()


def test_a_malicious_npy_runs_nothing(tmp_path):
    mark = tmp_path / "ran"
    held = np.array({"models": Runs(os.system, f"echo ran > {mark}")}, dtype=object)
    np.save(tmp_path / "evil.npy", held, allow_pickle=True)
    with pytest.raises(DataError, match="refused"):
        load_open_llm_leaderboard(tmp_path / "evil.npy")
    assert not mark.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_frames_of_every_protocol(tmp_path, protocol):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "text": ["a", None],
            "number": [0.5, float("nan")],
            "count": [1, 2],
            "mixed": pandas.Series([["a", "b"], "c"], index=[7, 9], dtype=object),
        },
        index=[7, 9],
    )
    path = tmp_path / "frame.pkl"
    path.write_bytes(pickle.dumps(frame, protocol=protocol))
    read = read_pickled_frame(path)
    assert read["text"].to_list() == ["a", None]
    assert read["count"].to_list() == [1, 2]
    assert read["mixed"].to_list() == ["['a', 'b']", "c"]
    assert read["number"][0] == 0.5
    assert read_pickled_frame(path, lambda name: name == "text").columns == ["text"]


def test_names_of_older_pandas_and_numpy(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": np.array(["a", "b"], dtype=object), "count": [1, 2]}, [7, 9])
    raw = pickle.dumps(frame, protocol=2)
    for new, old in (
        (b"cnumpy._core.multiarray\n_reconstruct\n", b"cnumpy.core.multiarray\n_reconstruct\n"),
        (b"cpandas\nDataFrame\n", b"cpandas.core.frame\nDataFrame\n"),
        (b"cpandas\nIndex\n", b"cpandas.core.indexes.numeric\nInt64Index\n"),
    ):
        assert new in raw
        raw = raw.replace(new, old)
    path = tmp_path / "old.pkl"
    path.write_bytes(raw)
    assert read_pickled_frame(path)["text"].to_list() == ["a", "b"]


def test_blocks_as_pandas_1_pickled_them(tmp_path):
    pandas = pytest.importorskip("pandas")
    from pandas.core.internals.managers import BlockManager

    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    axes = [pandas.Index(["x", "y"], dtype=object), pandas.RangeIndex(2)]
    blocks = [{"values": values, "mgr_locs": slice(0, 2, 1)}]
    state = (axes, [], [], {"0.14.1": {"axes": axes, "blocks": blocks}})
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=4)
    pickler.dispatch_table = {
        BlockManager: lambda manager: (copyreg.__newobj__, (BlockManager,), state)
    }
    pickler.dump(pandas.DataFrame(values.T, columns=["x", "y"]))
    path = tmp_path / "pandas1.pkl"
    path.write_bytes(buffer.getvalue())
    assert read_pickled_frame(path)["y"].to_list() == [3.0, 4.0]


def test_every_truncation_is_told_in_one_line(tmp_path):
    pandas = pytest.importorskip("pandas")
    raw = pickle.dumps(pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}))
    path = tmp_path / "cut.pkl"
    for end in range(1, len(raw) - 1, 7):
        path.write_bytes(raw[:end])
        with pytest.raises(DataError):
            read_pickled_frame(path)


def test_something_else_than_a_frame(tmp_path):
    pytest.importorskip("pandas")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1]))
    with pytest.raises(DataError, match="holds a list"):
        read_pickled_frame(tmp_path / "list.pkl")


def test_without_pandas(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match="fetch"):
        read_pickled_frame(tmp_path / "x.pkl")
