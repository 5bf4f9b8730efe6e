import asyncio
import threading

import numpy as np
import pytest
import sqlalchemy as sa

from floorline.errors import InvalidInput, StoreUnavailable
from floorline.events import Decision, Feedback, Outcome, Owner, Recall
from floorline.state.fold import MAX_KEYS
from floorline.stores import open_store


def decision(name, key="", at=0.0, floor=0.5, tenant=""):
    return Decision(
        id=name,
        seq=1,
        sla="gold",
        floor=floor,
        model="small",
        called=("small",),
        propensities=np.ones(1),
        explored=False,
        models=("small",),
        quality_estimates=np.ones(1),
        cost_estimates=np.ones(1),
        tenant=tenant,
        index=0,
        features=np.zeros(4, np.float32),
        input_tokens=1,
        policy="p",
        key=key,
        at=at,
    )


def outcome(name, cost=1.0, **fields):
    return Outcome(decision=name, model=fields.pop("model", "small"), cost=cost, **fields)


def test_positions_continue_after_those_of_the_last_process(url):
    for round in range(3):
        store = open_store(url)
        assert len(store) == store.durable == 2 * round
        store.append(outcome(f"{round}a"))
        store.append(outcome(f"{round}b"))
        store.close()
    store = open_store(url)
    names = [event.decision for event in store.read()]
    assert names == ["0a", "0b", "1a", "1b", "2a", "2b"]
    assert [event.decision for event in store.read(5)] == ["2b"]
    assert list(store.read(6)) == []
    store.close()


def test_many_pages_are_read_in_order(store):
    for number in range(2500):
        store.append(outcome(str(number)))
    assert [event.decision for event in store.read(10)] == [str(n) for n in range(10, 2500)]


def test_events_of_each_thread_keep_their_order(store):
    def append(name):
        for number in range(300):
            store.append(outcome(f"{name}{number}"))

    threads = [threading.Thread(target=append, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = [event.decision for event in store.read()]
    assert len(names) == len(store) == 900
    for name in "abc":
        of_thread = [one for one in names if one.startswith(name)]
        assert of_thread == [f"{name}{number}" for number in range(300)]


def test_committed_resumes_coroutines_of_every_loop(store):
    durable = []

    def loop():
        async def client(number):
            store.append(outcome(str(number)))
            position = len(store)
            await store.committed()
            durable.append(store.durable >= position)
            await store.committed(1)

        async def clients():
            await asyncio.gather(*(client(number) for number in range(50)))

        asyncio.run(clients())

    threads = [threading.Thread(target=loop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert durable == [True] * 100


def test_committed_returns_at_once_for_durable_events(store):
    store.append(outcome("d"))
    store.flush()
    waiting = store.committed()
    with pytest.raises(StopIteration):
        waiting.send(None)


def test_a_cancelled_coroutine_does_not_affect_the_others(store):
    async def main():
        store.append(outcome("d"))
        first = asyncio.create_task(store.committed())
        second = asyncio.create_task(store.committed())
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert store.durable == 1

    asyncio.run(main())


def test_waiting_for_events_that_were_not_appended_is_rejected(store):
    with pytest.raises(InvalidInput, match="give at most 0"):
        store.flush(1)
    with pytest.raises(InvalidInput, match="give at most 0"):
        asyncio.run(store.committed(1))


def test_a_closed_store_rejects_events(store):
    store.close()
    with pytest.raises(StoreUnavailable, match="the store is closed"):
        store.append(outcome("d"))


def test_decisions_are_found_by_their_ids(store):
    for number in range(30):
        store.append(decision(f"d{number}"))
        store.append(outcome(f"d{number}"))
    store.append(Recall(decision=decision("d3", floor=0.25)))
    store.flush()
    found = store.decisions([f"d{number}" for number in range(10, 6000)])
    assert set(found) == {f"d{number}" for number in range(10, 30)}
    assert store.decision("d3").floor == 0.25
    assert store.decision("d4").floor == 0.5
    assert store.decision("d30") is None
    assert store.decisions([]) == {}


def test_scores_are_the_latest_and_a_repeated_message_counts_once(store):
    def give(model, score, key=""):
        store.append(Feedback(decision="d", model=model, score=score, key=key))

    give("small", 0.0)
    give("small", 1.0, key="k1")
    give("large", 0.5)
    give("large", 0.25)
    give("small", 0.3, key="k2")
    give("small", 1.0, key="k1")
    store.append(Feedback(decision="other", model="small", score=0.9))
    store.flush()
    assert store.feedback_of("d")[0] == {"small": 0.3, "large": 0.25}
    store.append(Recall(decision=decision("d"), scores={"small": 0.3, "tiny": 1.0}))
    give("large", 0.75)
    store.flush()
    assert store.feedback_of("d")[0] == {"small": 0.3, "large": 0.75, "tiny": 1.0}
    assert store.feedback_of("unknown") == ({}, [], {}, {}, {})


def test_the_decisions_of_a_completion_are_found_for_their_owner_only(store):
    owners = {"d1": ("acme", "k1"), "d2": ("", "k2"), "d3": ("acme", "k3"), "d4": ("other", "k4")}
    for name, (tenant, key) in owners.items():
        store.append(outcome(name, completion="c", **Owner.of(tenant, key)._asdict()))
    for name in ("d5", "d6"):
        store.append(outcome(name, completion="odd"))
    store.flush()

    def found(tenant, key, most=9):
        return store.decisions_of(["c", "odd", "nothing"], tenant, key, most)

    assert found("acme", None) == {"c": ["d3", "d1"]}
    assert found("other", None) == {"c": ["d4"]}
    assert found("", "k2") == {"c": ["d2"]}
    assert found("", "k1") == {}
    assert found("", None) == {"c": ["d2"], "odd": ["d6", "d5"]}
    assert found("", None, most=1) == {"c": ["d2"], "odd": ["d6"]}
    # A tenant and a key of one name are two owners.
    assert found("k2", None) == {}


@pytest.mark.parametrize(("tenant", "key"), [("acme", None), ("", "k1")])
def test_for_a_popular_id_the_rows_of_other_owners_are_not_read(tenant, key, tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'log.db'}")
    plans = []

    @sa.event.listens_for(store.engine, "before_cursor_execute")
    def explain(connection, cursor, statement, parameters, *_):
        if "completion" in statement and not statement.startswith("EXPLAIN"):
            rows = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            plans.append(" ".join(str(row[-1]) for row in rows))

    store.decisions_of(["c"], tenant, key, 20)
    store.close()
    (plan,) = plans
    # One search in the index, and no sort.
    assert plan == (
        "SEARCH events USING INDEX events_by_completion (completion=? AND tenant=? AND key=?)"
    )


def test_spend_sums_real_costs_of_a_key(store):
    store.append(decision("old", key="k", at=10.0))
    store.append(decision("new", key="k", at=20.0))
    store.append(decision("other", key="l", at=20.0))
    store.append(outcome("new", 1.0))
    store.append(outcome("new", 9.0))
    store.append(outcome("new", 0.5, model="large"))
    store.append(outcome("old", 4.0))
    store.append(outcome("other", 30.0))
    store.flush()
    assert store.spend("k") == 5.5
    assert store.spend("k", since=20.0) == 1.5
    assert store.spend("k", since=21.0) == 0.0
    assert store.spend("unknown") == 0.0
    store.append(decision("open", key="k", at=5.0))
    store.flush()
    # In the order of the log, also if the clock went back.
    assert store.costs("k") == [(10.0, 4.0), (20.0, 1.5), (5.0, 0.0)]
    assert store.costs("unknown") == []
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE events SET cost = 900 WHERE cost = 0.5")
    assert store.spend("k") == 5.0
    assert store.costs("k") == [(10.0, 4.0), (20.0, 1.0), (5.0, 0.0)]
    assert "the spending of API key 'k' is incomplete" in store.warnings()[0]


def test_a_snapshot_is_written_after_its_events_and_the_newest_is_read(store):
    assert store.last_snapshot() is None
    for number in range(6):
        store.append(outcome(str(number)))
        store.write_snapshot(number + 1, bytes([number]))
        assert store.durable >= number + 1
    assert store.last_snapshot() == (6, b"\x05")
    store.write_snapshot(6, b"again")
    assert store.last_snapshot() == (6, b"again")
    with pytest.raises(InvalidInput, match="give at most 6"):
        store.write_snapshot(7, b"ahead")


def test_the_last_prompt_of_a_decision_is_stored(store):
    store.append_prompt("d1", b"\x00prompt")
    store.append(outcome("d1"))
    store.append_prompt("d2", b"first")
    store.append_prompt("d2", b"second")
    store.flush()
    store.append_prompt("d1", b"later")
    store.flush()
    assert store.prompt("d1") == b"later"
    assert store.prompt("d2") == b"second"
    assert store.prompt("d3") is None
    assert len(store) == store.durable == 1


def test_documents_are_replaced_and_deleted(store):
    store.put_document("models", "b", b"1")
    store.put_document("models", "a", b"2")
    store.put_document("models", "b", b"3")
    store.put_document("others", "a", b"4")
    assert store.documents("models") == {"a": b"2", "b": b"3"}
    assert store.drop_document("models", "a")
    assert not store.drop_document("models", "a")
    assert store.documents("models") == {"b": b"3"}
    assert store.documents("others") == {"a": b"4"}


@pytest.mark.parametrize(
    "url",
    ["nonsense", "mysql://host/db", "sqlite://", "sqlite:///:memory:", "sqlite:////no/such/x.db"],
)
def test_other_urls_are_rejected_with_a_fix(url):
    with pytest.raises(InvalidInput, match=r"store\.url is .*: (give|name|create)"):
        open_store(url)


def test_errors_do_not_contain_the_password():
    with pytest.raises(StoreUnavailable) as caught:
        open_store("postgresql://alice:s3cret@127.0.0.1:1/db")
    assert "s3cret" not in str(caught.value)
    assert "alice" in str(caught.value)


def test_a_file_that_is_not_a_database_is_rejected(tmp_path):
    path = tmp_path / "log.db"
    path.write_bytes(b"not a database, but long enough to look like one" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        open_store(f"sqlite:///{path}")


def test_the_log_gives_back_the_keys_of_feedback_that_memory_has(store):
    store.append(decision("d"))
    for n in range(MAX_KEYS + 20):
        store.append(Feedback(decision="d", model="small", score=n / 1000, key=f"k{n}"))
    store.flush()
    scores, keys, *_ = store.feedback_of("d")
    assert scores == {"small": (MAX_KEYS + 19) / 1000}
    assert keys == [f"k{n}" for n in range(20, MAX_KEYS + 20)]


def test_what_a_key_may_name_is_stored(store):
    limits = {"models": ("small",), "slas": ("gold",), "rate": 5.0, "feedback_rate": 60.0}
    key, _ = store.keys.create("app", tenant="größe 🦜", **limits)
    (read,) = store.keys.list()
    assert read == key
    assert (read.models, read.feedback_rate, read.tenant) == (("small",), 60.0, "größe 🦜")


@pytest.mark.parametrize("field", ["feedback_rate", "rate", "budget", "period"])
@pytest.mark.parametrize("value", [0, -1, 1e16, float("nan"), 10**400])
def test_limits_of_keys_are_bounded(field, value, store):
    with pytest.raises(InvalidInput, match=rf"key\.{field} is .*: give a number above 0"):
        store.keys.create("app", **{field: value})


@pytest.mark.parametrize("field", ["models", "slas"])
def test_names_in_the_lists_of_keys_are_bounded(field, store):
    for name in ("", "a\0b", "x" * 257):
        with pytest.raises(InvalidInput, match=rf"key\.{field} is "):
            store.keys.create("app", **{field: [name]})
