"""Ids of messages in SQLite and in PostgreSQL."""

import threading

from floorline.stores.engine import open_engine
from floorline.stores.message_ids import MessageId, MessageIdStore


def test_ids_are_found_within_their_tenant_the_latest_first(store):
    ids = MessageIdStore(store.engine)
    assert ids.find("", ["m"]) == {}
    rows = [MessageId("", "m", "d-1", 1.0), MessageId("", "m", "d-2", 2.0)]
    ids.add([*rows, MessageId("acme", "m", "d-3", 3.0), MessageId("", "n", "d-1", 1.0)])
    # A retry after a lost acknowledgement.
    ids.add(rows)
    assert ids.find("", ["m", "n", "o"]) == {"m": ["d-2", "d-1"], "n": ["d-1"]}
    assert MessageIdStore(store.engine).find("acme", ["m"]) == {"m": ["d-3"]}


def test_more_ids_than_a_statement_takes_are_found(store):
    ids = MessageIdStore(store.engine)
    names = [f"m-{number}" for number in range(40_000)]
    ids.add([MessageId("", "m-39999", "d", 1.0)])
    assert ids.find("", names) == {"m-39999": ["d"]}


def test_old_ids_are_forgotten(store):
    ids = MessageIdStore(store.engine)
    ids.add([MessageId("", "m", "d-1", 1.0), MessageId("", "m", "d-2", 2.0)])
    ids.forget(2.0)
    assert ids.find("", ["m"]) == {"m": ["d-2"]}


def test_several_processes_create_the_table_at_a_time(url, store):
    engines = [open_engine(url) for _ in range(4)]
    together, failed = threading.Barrier(4), []

    def create(engine):
        together.wait()
        try:
            MessageIdStore(engine).find("", ["m"])
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=create, args=[engine]) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        engine.dispose()
    assert failed == []
