import json

import numpy as np
import polars as pl
import pytest
from tests.state.test_explaining import X, live, router

from floorline import Bar
from floorline.events import (
    ConfigChange,
    Decision,
    Feedback,
    Judgement,
    Outcome,
    QualityChange,
    Tombstone,
    WarmStart,
)
from floorline.state.explaining import explain
from floorline.stores.export import COLUMNS, export
from floorline.stores.log_source import reading_log

RENAMED = {
    "id": "decision",
    "quality_estimates": "expected_quality",
    "cost_estimates": "expected_cost",
}


@pytest.mark.parametrize(
    "kind",
    [
        Decision,
        Outcome,
        Feedback,
        Judgement,
        Tombstone,
        WarmStart,
        ConfigChange,
        QualityChange,
    ],
)
def test_every_field_of_an_event_has_a_column(kind):
    fields = {RENAMED.get(name, name) for name in kind.__struct_fields__} - {"v"}
    assert fields <= set(COLUMNS)


def test_a_parquet_file_is_joined_from_parts(store, tmp_path, monkeypatch):
    live(router(log=store), 40, np.random.default_rng(0), sla="gold")
    store.flush()
    count = export(store, tmp_path / "whole.parquet", features=True)
    monkeypatch.setattr("floorline.stores.export._PART_ROWS", 7)
    assert export(store, tmp_path / "parts.parquet", features=True) == count
    monkeypatch.setattr("floorline.stores.export._PART_ROWS", count)
    assert export(store, tmp_path / "exact.parquet", features=True) == count
    assert export(store, tmp_path / "empty.parquet", since=1e12) == 0
    whole, parts, exact, empty = (
        pl.read_parquet(tmp_path / f"{name}.parquet")
        for name in ("whole", "parts", "exact", "empty")
    )
    assert parts.equals(whole)
    assert exact.equals(whole)
    assert len(whole) == count
    assert (len(empty), empty.schema) == (0, whole.schema)


def test_a_judgement_is_exported_and_read_again(store, tmp_path):
    served = router(log=store)
    made = served.route(features=X, sla="gold", at=1.0)
    served.judgement(made.id, "strict", 0.5, rate=0.1, call="c", at=2.0)
    served.judgement(made.id, "rules", failure="refused", source="rule", at=3.0)
    store.flush()
    written = [event for event in store.read() if isinstance(event, Judgement)]
    for suffix in (".jsonl", ".parquet"):
        export(store, tmp_path / f"log{suffix}")
    with reading_log(str(tmp_path / "log.jsonl")) as log:
        assert [event for _, event in log if isinstance(event, Judgement)] == written
    rows = pl.read_parquet(tmp_path / "log.parquet").filter(pl.col("kind") == "judgement")
    assert rows["judge"].to_list() == ["strict", "rules"]
    assert rows["rate"].to_list() == [0.1, None]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_what_explains_a_decision_is_exported(store, tmp_path, suffix):
    served = router(log=store)
    live(served, 40, np.random.default_rng(0), sla="gold")
    served.route(features=X, sla="gold", exclude={"large": Bar("breaker", "circuit open")})
    store.flush()
    made = [event for event in store.read() if isinstance(event, Decision)]
    assert any(np.isinf(one.scores).any() for one in made)
    path = tmp_path / f"log{suffix}"
    export(store, path, features=True)
    if suffix == ".parquet":
        rows = pl.read_parquet(path).filter(pl.col("kind") == "decision")
        assert rows["rule"].to_list() == [one.rule for one in made]
        assert json.loads(rows["barred"][-1]) == {"large": ["breaker", "circuit open"]}
        assert json.loads(rows["multipliers"][0]) == pytest.approx(made[0].multipliers)
        return
    with reading_log(str(path)) as log:
        back = [event for _, event in log if isinstance(event, Decision)]
    for one, other in zip(made, back, strict=True):
        assert (other.rule, other.multipliers) == (one.rule, one.multipliers)
        assert other.barred == one.barred
        assert other.scores.tolist() == one.scores.tolist()
        # An exported log explains its decisions, too.
        assert explain(other, []).candidates == explain(one, []).candidates
