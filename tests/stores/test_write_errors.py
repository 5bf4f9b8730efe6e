"""Values that a database cannot write: refused before they are accepted, or replaced."""

import json
import logging

import msgspec
import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
from tests.stores.test_retention import build
from tests.stores.test_sql import decision, outcome

from floorline.errors import InvalidInput, StoreUnavailable
from floorline.events import Feedback, Outcome, Recall, Tombstone, WarmStart, ZooChange
from floorline.stores import open_store
from floorline.stores.export import export
from floorline.stores.log_source import reading_log
from floorline.stores.recovery import recover
from floorline.zoo import Model, Zoo

BAD_TEXTS = ["\ud800", "\0", "a\0b", "x" * 9000, "é" * 3000, "\udfff" * 5000, "~" + "0" * 32]
BAD_NUMBERS = [2**63, 2**64 - 1, 2**64, 10**400, float("nan"), float("inf"), -0.0, 5e-324]


def forced(event, **fields):
    """Return an event with fields that its constructor would refuse."""
    event = msgspec.structs.replace(event)
    for name, value in fields.items():
        msgspec.structs.force_setattr(event, name, value)
    return event


EVENTS = {
    "decision": (decision("d"), ("id", "sla", "model", "policy", "tenant", "key", "session")),
    "outcome": (outcome("d", completion="c"), ("decision", "model", "error", "completion")),
    "feedback": (
        Feedback(decision="d", model="small", score=1.0),
        ("decision", "model", "source", "key"),
    ),
    "warm_start": (WarmStart(digest="0" * 64, rows=1, history=b"h"), ("digest", "source")),
}
NUMBERS = {
    "decision": ("seq", "floor", "index", "input_tokens", "at"),
    "outcome": ("cost", "input_tokens", "output_tokens", "latency", "at"),
    "feedback": ("score", "cost", "at"),
    "warm_start": ("rows", "at"),
}


def bad_events():
    for kind, (event, texts) in EVENTS.items():
        for values, names in ((BAD_TEXTS, texts), (BAD_NUMBERS, NUMBERS[kind])):
            for name in names:
                for value in values:
                    yield forced(event, **{name: value})
    yield forced(decision("d"), features=object())
    yield forced(decision("d"), features=np.array(["text"]))
    yield forced(decision("d"), called=("\ud800",))
    yield forced(Recall(decision=decision("d")), decision=forced(decision("d"), id="\0" * 9000))
    model = forced(Model("small", context_window=5), context_window=5.5)
    yield forced(ZooChange(zoo=Zoo([Model("small")])), zoo=forced_zoo(model))


def forced_zoo(model):
    zoo = Zoo([Model("small")])
    msgspec.structs.force_setattr(zoo, "models", (model,))
    return zoo


def test_no_value_of_any_field_stops_the_store(url):
    store = open_store(url)
    refused = kept = 0
    for number, event in enumerate(bad_events()):
        before = len(store)
        try:
            store.append(event)
        except InvalidInput:
            assert len(store) == before
            refused += 1
        else:
            kept += 1
        store.append(outcome(f"next-{number}"))
    store.flush(timeout=60)
    assert (store.failure, store.refused) == (None, 0)
    assert refused > 40
    assert kept > 60
    store.close()
    store = open_store(url)
    # What was accepted can be read again.
    assert len(list(store.read())) == len(store) == kept + refused + kept
    store.close()


@pytest.mark.parametrize("text", ["é" * 256, "日本", "~" + "0" * 32, "x" * 256, " "])
def test_odd_ids_are_found_by_the_whole_text(text, store):
    store.append(decision(text))
    store.append(outcome(text, completion=text))
    store.append(Feedback(decision=text, model="small", score=0.5))
    store.append(decision(text[:-1] + "!"))
    store.flush()
    assert store.decision(text).id == text
    assert store.decisions_of([text, text[:-1] + "!"], "", None, 5) == {text: [text]}
    assert store.feedback_of(text) == ({"small": 0.5}, [], {}, {}, {})
    found = store.events_of(store.labelled(0, 100))
    assert [type(event).__name__ for event in found] == ["Decision", "Outcome", "Feedback"]


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_odd_ids_are_looked_for_without_an_error(text, store):
    assert store.decision(text) is None
    assert store.decisions_of([text], text, text, 5) == {}
    assert store.feedback_of(text) == ({}, [], {}, {}, {})
    assert store.prompt(text) is None
    assert store.spend(text) == 0.0


@pytest.mark.parametrize("text", BAD_TEXTS[:3])
def test_a_text_of_a_document_or_a_key_is_refused_or_kept(text, store):
    try:
        store.put_document("model", text, b"{}")
    except InvalidInput:
        assert store.documents("model") == {}
    else:
        assert store.documents("model") == {text: b"{}"}
    with pytest.raises(InvalidInput):
        store.keys.create(text)
    assert store.keys.list() == []
    store.append(outcome("d"))
    store.flush()


REFUSING = {
    "sqlite": "CREATE TRIGGER no BEFORE INSERT ON {table} WHEN new.{column} = '{value}' "
    "BEGIN SELECT RAISE(ABORT, 'the operator said no'); END",
    "postgresql": "ALTER TABLE {table} ADD CONSTRAINT no CHECK ({column} <> '{value}')",
}


def refuse(store, value, column="decision", table="events"):
    """Let the database refuse rows, as a constraint or a limit that nobody thought of does."""
    statement = REFUSING[store.engine.dialect.name]
    with store.engine.begin() as connection:
        connection.exec_driver_sql(statement.format(table=table, column=column, value=value))


def test_a_refused_event_is_replaced_and_the_others_are_written(store, caplog):
    refuse(store, "bad")
    with caplog.at_level(logging.CRITICAL):
        for number in range(500):
            store.append(outcome("bad" if number % 100 == 7 else f"d{number}"))
        store.flush(timeout=60)
    assert (store.failure, store.refused) == (None, 5)
    found = list(store.read())
    assert len(found) == len(store) == 500
    lost = {n: event for n, event in enumerate(found) if isinstance(event, Tombstone)}
    assert set(lost) == {7, 107, 207, 307, 407}
    assert {event.lost for event in lost.values()} == {"outcome"}
    assert all("no" in event.reason for event in lost.values())
    ((warning),) = store.warnings()
    assert "refused 5 events or prompts for good" in warning
    store.append(outcome("last"))
    store.flush()
    assert store.durable == 501


def test_waiting_callers_are_resumed_although_an_event_is_refused(store):
    refuse(store, "bad")
    store.append(outcome("bad"))
    store.append(Feedback(decision="d", model="small", score=1.0))
    store.flush(2, timeout=60)
    assert store.durable == 2


def test_a_refused_prompt_is_dropped(store):
    refuse(store, "d1", table="prompts")
    store.append_prompt("d1", b"one")
    store.append_prompt("d2", b"two")
    store.append(outcome("d1"))
    store.flush(timeout=60)
    assert store.prompt("d1") is None
    assert store.prompt("d2") == b"two"
    assert (store.refused, store.failure, store.durable) == (1, None, 1)


def test_the_next_start_goes_on_without_a_refused_decision(url):
    store = open_store(url)
    router = build(store, memory=50)
    first = router.route("Why?", at=1.0)
    refuse(store, "bad")
    lost = router.route("How?", id="bad", at=2.0)
    router.outcome(lost.id, cost=1.0, at=3.0)
    router.feedback(lost.id, satisfied=True, at=4.0)
    router.outcome(first.id, cost=1.0, at=5.0)
    router.feedback(first.id, satisfied=True, at=6.0)
    store.flush(timeout=60)
    # The decision, its outcome and its label.
    assert store.refused == 3
    live = router.status("gold")
    store.close()
    for snapshots in (False, True):
        store = open_store(url)
        again = recover(lambda log=store: build(log, memory=50), store)
        assert len(store) == again.position == 6
        assert again.find("bad") is None
        assert again.find(first.id) is not None
        # The decision and what was said of it are missing; all else is there.
        assert again.status("gold").requests == live.requests - 1
        assert again.status("gold").labels == live.labels - 1
        if not snapshots:
            store.write_snapshot(len(store), again.snapshot(decisions=False), first.id)
        store.close()


def test_a_snapshot_of_a_refused_decision_is_used(url):
    store = open_store(url)
    router = build(store, memory=50)
    refuse(store, "bad")
    lost = router.route("How?", id="bad", at=2.0)
    router.outcome(lost.id, cost=1.0, at=3.0)
    kept = router.route("Why?", at=4.0)
    store.flush(timeout=60)
    store.write_snapshot(len(store), router.snapshot(decisions=False), lost.id)
    store.close()
    store = open_store(url)
    again = recover(lambda: build(store, memory=50), store)
    assert store.recovered_from == 3
    assert again.status("gold").requests == 2
    assert again.find("bad") is None
    assert again.find(kept.id) is not None
    assert store.warnings() == []
    store.close()


def test_a_database_that_refuses_everything_fails_for_good(url):
    store = open_store(url)
    statement = REFUSING[store.engine.dialect.name].replace("'{value}'", "-1").replace("<>", "=")
    statement = statement.replace("= -1 BEGIN", "<> -1 BEGIN")
    with store.engine.begin() as connection:
        connection.exec_driver_sql(statement.format(table="events", column="position"))
    store.append(outcome("d"))
    with pytest.raises(StoreUnavailable, match="refuses every event"):
        store.flush(timeout=60)
    with pytest.raises(StoreUnavailable):
        store.close()


def test_passing_errors_are_not_taken_for_permanent_ones(tmp_path):
    import sqlite3

    store = open_store(f"sqlite:///{tmp_path / 'log.db'}", patience=0.05)
    other = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.append(outcome("d0"))
    with pytest.raises(StoreUnavailable, match="not committed yet"):
        store.flush(timeout=0.1)
    other.execute("ROLLBACK")
    other.close()
    store.flush(timeout=60)
    assert store.refused == 0
    assert [event.decision for event in store.read()] == ["d0"]
    store.close()


def test_a_database_with_another_encoding_holds_every_text(postgres, tmp_path):
    admin = sa.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(
            "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        )
    url = sa.make_url(postgres).set(database="latin").render_as_string(hide_password=False)
    try:
        from floorline.stores.engine import open_engine
        from floorline.stores.upgrade import upgrade

        engine = open_engine(url)
        upgrade(engine)
        engine.dispose()
        store = open_store(url)
        store.append(decision("日本"))
        store.append(Outcome(decision="日本", model="Ω", cost=1.0, completion="🦜"))
        store.flush(timeout=60)
        assert store.decisions_of(["🦜"], "", None, 5) == {"🦜": ["日本"]}
        assert store.refused == 0
        store.close()
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql("DROP DATABASE latin WITH (FORCE)")
        admin.dispose()


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_log_with_tombstones_is_exported_and_read(suffix, store, tmp_path):
    refuse(store, "bad")
    for name in ("d0", "bad", "d1"):
        store.append(decision(name))
        store.append(outcome(name))
    store.flush(timeout=60)
    target = tmp_path / f"log{suffix}"
    assert export(store, target) == 6
    if suffix == ".parquet":
        rows = pl.read_parquet(target).to_dicts()
    else:
        rows = [json.loads(line) for line in target.read_text().splitlines()]
        with reading_log(str(target)) as events:
            found = [event for _, event in events]
        assert found[2:4] == list(store.read(2))[:2]
        assert [type(event) for event in found[2:4]] == [Tombstone, Tombstone]
    assert [row["kind"] for row in rows].count("tombstone") == 2
    assert (rows[2]["lost"], rows[2]["decision"], rows[3]["lost"]) == ("decision", "bad", "outcome")
