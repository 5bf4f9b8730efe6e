"""The logged requests of a what-if question: on disk, in order, and in bounded memory."""

import gc
import sqlite3
import tracemalloc

import numpy as np
import pytest

from floorline.errors import FloorlineError
from floorline.guarantees.off_policy import estimates
from floorline.guarantees.overlap import overlap_of
from floorline.whatif import row_store
from floorline.whatif.logged_rows import RowTable
from floorline.whatif.row_store import Row, RowStore
from floorline.zoo import Model, Zoo

NAMES = "small", "large"
ZOO = Zoo([Model("small", call_price=1.0), Model("large", call_price=5.0)])


@pytest.fixture
def tiny(monkeypatch):
    """Few rows in memory and in a block."""
    monkeypatch.setattr(row_store, "_RECENT", 16)
    monkeypatch.setattr(row_store, "BLOCK_ROWS", 16)


def row(number, names=NAMES):
    by_model = np.full((4, len(names)), 1.0 / len(names))
    return Row(names[number % 2], names, by_model, number % 3 == 0, 0.8, 0.0)


def filled(count, late=7):
    """Rows with costs; those with a label get it ``late`` decisions later."""
    rows = RowStore()
    for number in range(count):
        rows.add(f"d{number}", row(number))
        with rows.changing(f"d{number}") as made:
            made.cost = made.spent = 1.0 + number % 4
        if number >= late:
            with rows.changing(f"d{number - late}") as made:
                made.score, made.share = float(number % 5 == 0), 0.5
    return rows


def results(rows):
    table = RowTable(rows)
    samples = table.labels(), table.costs(ZOO)
    return [
        len(table),
        *table.means,
        *(number for one in samples for each in estimates(one, 0.05) for number in each[1:4]),
        *(overlap_of(one, NAMES).top_share for one in samples),
    ]


@pytest.mark.parametrize("late", [1, 7, 60])
def test_results_do_not_depend_on_what_is_on_disk(monkeypatch, late):
    in_memory = results(filled(200, late))
    monkeypatch.setattr(row_store, "_RECENT", 8)
    monkeypatch.setattr(row_store, "BLOCK_ROWS", 9)
    assert results(filled(200, late)) == pytest.approx(in_memory, rel=1e-9)


@pytest.mark.usefixtures("tiny")
def test_rows_come_in_their_order_with_the_models_of_each():
    rows, order = RowStore(), []
    for number in range(90):
        names = NAMES if number < 50 else ("large", "new", "small")
        rows.add(f"d{number}", row(number, names))
        order.append(names[number % 2])
    read = [block.names[choice] for block in rows.blocks() for choice in block.choice]
    assert read == order
    assert rows.names == ("small", "large", "new")
    assert [len(block.choice) for block in rows.blocks()] == [16, 16, 16, 2, 14, 16, 10]


@pytest.mark.usefixtures("tiny")
def test_a_decision_that_is_not_there_has_no_row():
    rows = filled(100)
    with rows.changing("other") as found:
        assert found is None
    with rows.changing("d0") as found:
        assert (found.cost, found.score, found.share) == (1.0, 0.0, 0.5)
    with rows.changing("d99") as found:
        assert found.score is None


def test_a_conversation_is_new_once():
    rows = RowStore()
    asked = [("a", "", "x"), ("a", "x", ""), ("a", "", "x"), ("é", "", ""), ("a", "x", "")]
    assert [rows.is_new(names) for names in asked] == [True, True, False, True, False]


@pytest.mark.usefixtures("tiny")
def test_memory_does_not_grow_with_the_rows():
    def peak(count):
        gc.collect()
        tracemalloc.start()
        results(filled(count))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(50)
    assert peak(3200) < 1.5 * peak(800)


def test_an_error_of_the_disk_says_what_to_do():
    rows = filled(10)
    rows._database.execute("DROP TABLE conversations")
    with pytest.raises(FloorlineError, match="SQLITE_TMPDIR") as caught:
        rows.is_new(("a",))
    assert isinstance(caught.value.__cause__, sqlite3.Error)
