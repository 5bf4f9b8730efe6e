"""``floorline store verify`` and ``floorline store repair``."""

import random
import shutil
from typing import get_args

import pytest
from tests.stores.test_retention import build, save, serve
from tests.support import bit_flips

from floorline.cli.app import main
from floorline.errors import StoreDamaged
from floorline.events import Event, SlaChange, Tombstone
from floorline.sla import SLA
from floorline.stores import open_store
from floorline.stores.engine import open_engine
from floorline.stores.recovery import recover
from floorline.stores.verification import KINDS, REPLACEABLE

WHOLE, DAMAGED, ERROR = 0, 1, 2


@pytest.fixture
def served(url):
    """URL of a store with two snapshots and events after them."""
    store = open_store(url)
    router = build(store, memory=10)
    serve(router, 0, 20)
    save(router, store)
    serve(router, 20, 10)
    save(router, store)
    serve(router, 30, 5)
    store.put_document("model", "added", b"{}")
    store.append_prompt("d", b"prompt")
    store.keys.create("app")
    store.close()
    return url, router.snapshot()


def change(url, *statements):
    engine = open_engine(url)
    # In SQLite two blobs make a text.
    twice = "body || body" if "postgres" in url else "CAST(body || body AS BLOB)"
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("{twice}", twice))
    engine.dispose()


def recovered(url):
    store = open_store(url)
    try:
        return recover(lambda: build(store, memory=10), store).snapshot(), store
    finally:
        store.close()


def run(*arguments):
    return main(["store", *arguments])


def damage(table, where="true"):
    """Return a statement that changes bodies."""
    return f"UPDATE {table} SET body = {{twice}} WHERE {where}"


def test_a_whole_store_is_verified(served, capsys):
    url, _ = served
    assert run("verify", url) == WHOLE
    said = capsys.readouterr().out
    assert "105 events from position 0" in said
    assert "from the snapshot at 90 and 15 events after it" in said
    assert "Everything is whole" in said
    assert run("verify", "--store", url) == WHOLE
    assert run("repair", url, "--yes") == WHOLE
    assert "Nothing is damaged" in capsys.readouterr().out


def test_an_old_event_is_replaced_and_the_state_is_the_same(served, capsys):
    url, state = served
    change(url, damage("events", "position = 4"))
    assert run("verify", url) == DAMAGED
    said = capsys.readouterr().out
    assert "damaged: event 4 (outcome): damaged (matters for: late feedback" in said
    assert "A start recovers the state from the snapshot at 90" in said
    assert run("repair", url) == DAMAGED
    said = capsys.readouterr().out
    assert "A repair loses 1 of 105 events: 1 outcomes." in said
    assert "Nothing was changed" in said
    assert run("verify", url) == DAMAGED
    assert run("repair", url, "--yes") == WHOLE
    assert "is kept in" in capsys.readouterr().out
    assert run("verify", url) == WHOLE
    found, store = recovered(url)
    assert found == state
    assert store.warnings() == []


def test_a_damaged_event_that_a_start_needs_is_replaced(served, capsys):
    url, state = served
    change(url, damage("events", "position = 93"), "DELETE FROM events WHERE position = 99")
    with pytest.raises(StoreDamaged, match="the event at position 93 is damaged: run 'floorline"):
        recovered(url)
    assert run("verify", url) == DAMAGED
    assert "A start is refused" in capsys.readouterr().out
    assert run("repair", url) == DAMAGED
    said = capsys.readouterr().out
    assert "A repair loses 2 of 105 events: 1 of unknown kind, 1 decisions." in said or (
        "All events from position 99 on" in said
    )
    assert "1970-01-01 00:00:31 UTC" in said
    assert run("repair", url, "--yes") == WHOLE
    assert run("verify", url) == WHOLE
    found, store = recovered(url)
    assert found != state
    store = open_store(url)
    assert isinstance(next(iter(store.read(93))), Tombstone)
    store.append(SlaChange(sla=SLA("gold", floor=0.7)))
    store.close()
    assert run("verify", url) == WHOLE


def test_a_lost_change_of_the_slas_ends_the_log(url, capsys):
    store = open_store(url)
    router = build(store)
    serve(router, 0, 5)
    router.set_sla(SLA("silver", floor=0.5), at=5.0)
    router.route("Why?", "silver", at=6.0)
    store.close()
    change(url, damage("events", "position = 15"))
    assert run("repair", url) == DAMAGED
    said = capsys.readouterr().out
    assert "A repair loses 2 of 17 events: 1 of unknown kind, 1 decisions." in said or (
        "1 changes of SLAs, 1 decisions" in said or "1 decisions, 1 changes of SLAs" in said
    )
    assert "All events from position 15 on are among them" in said
    assert run("repair", url, "--yes") == WHOLE
    store = open_store(url)
    again = recover(lambda: build(store), store)
    assert len(store) == 15
    assert list(again.slas) == ["gold"]
    store.close()


@pytest.mark.parametrize("damaged", [[90], [60, 90]])
def test_damaged_snapshots_are_dropped(damaged, served, capsys):
    url, state = served
    positions = ", ".join(map(str, damaged))
    change(url, damage("snapshots", f"position IN ({positions})"))
    found, store = recovered(url)
    assert found == state
    assert len(store.warnings()) == len(damaged)
    assert store.recovered_from == (0 if 60 in damaged else 60)
    assert run("repair", url, "--yes") == WHOLE
    assert "Snapshots are dropped: " + ", ".join(map(str, damaged[::-1])) in capsys.readouterr().out
    found, store = recovered(url)
    assert found == state
    assert store.warnings() == []


def test_a_missing_tail_is_told_and_cut(served, capsys):
    url, _ = served
    change(url, "DELETE FROM events WHERE position >= 100")
    with pytest.raises(StoreDamaged, match="the log had 105 events, and 100 are found"):
        recovered(url)
    assert run("repair", url, "--yes") == WHOLE
    assert "A repair loses 5 of 105 events: 5 of unknown kind" in capsys.readouterr().out
    _, store = recovered(url)
    assert len(store) == 100


def test_a_missing_head_is_told_apart_from_deleted_events(served):
    url, _ = served
    change(url, "DELETE FROM events WHERE position < 10")
    with pytest.raises(StoreDamaged, match="began at position 0, and begins at 10 now"):
        recovered(url)
    assert run("repair", url, "--yes") == WHOLE
    recovered(url)


def test_other_tables_are_verified_and_repaired(served, capsys):
    url, state = served
    change(
        url,
        damage("documents", "kind = 'model'"),
        damage("prompts"),
        "UPDATE api_keys SET revoked = NULL, created = created + 1",
        "UPDATE marks SET position = position + 1 WHERE name = 'start'",
    )
    assert run("verify", url) == DAMAGED
    said = capsys.readouterr().out
    for name in ("documents model/added", "prompts d", "api_keys ", "marks start"):
        assert f"damaged: {name}" in said
    assert run("repair", url, "--yes") == WHOLE
    assert "Rows are dropped: 1 documents, 1 api_keys, 1 prompts." in capsys.readouterr().out
    assert run("verify", url) == WHOLE
    found, _store = recovered(url)
    assert found == state


def test_without_its_beginning_a_log_cannot_be_repaired(tmp_path, capsys):
    store = bit_flips.Store(tmp_path, 20)
    bit_flips.sql(store.stopped, "UPDATE documents SET body = x'00' WHERE kind = 'initial_state'")
    url = f"sqlite:///{store.stopped / bit_flips.NAME}"
    assert run("repair", url, "--yes") == ERROR
    assert "what the log began with is lost: restore the store" in capsys.readouterr().err


def test_a_name_of_the_beginning_is_repaired(tmp_path):
    store = bit_flips.Store(tmp_path, 20)
    bit_flips.sql(store.stopped, "UPDATE documents SET name = 'routes' WHERE name = 'router'")
    url = f"sqlite:///{store.stopped / bit_flips.NAME}"
    assert run("verify", url) == DAMAGED
    assert run("repair", url, "--yes") == WHOLE
    assert run("verify", url) == WHOLE
    assert bit_flips.recovered(store.stopped)[0] == store.expected[0]


def test_deleted_events_and_a_damaged_snapshot_cannot_be_repaired(served, capsys):
    url, _ = served
    assert run("vacuum", "--older-than", "1d", "--store", url) == 0
    change(url, damage("snapshots"))
    with pytest.raises(StoreDamaged):
        recovered(url)
    capsys.readouterr()
    assert run("repair", url, "--yes") == ERROR
    assert "no snapshot can be used" in capsys.readouterr().err


def test_a_repair_is_refused_while_a_server_runs(served, capsys):
    url, _ = served
    store = open_store(url)
    assert run("repair", url, "--yes") == ERROR
    assert "another process writes to the store" in capsys.readouterr().err
    assert run("verify", url) == WHOLE
    store.close()


def test_a_repair_keeps_the_damaged_files(tmp_path):
    store = bit_flips.Store(tmp_path, 20)
    damaged = (store.killed / "log.db-wal").read_bytes()[:5000]
    (store.killed / "log.db-wal").write_bytes(damaged)
    assert run("repair", f"sqlite:///{store.killed / 'log.db'}", "--yes") == WHOLE
    (copy,) = store.killed.glob("log.db.damaged-*-wal")
    assert copy.read_bytes() == damaged
    bit_flips.recovered(store.killed)


@pytest.mark.parametrize("seed", range(3))
def test_after_a_repair_a_store_is_whole_and_starts(seed, tmp_path, capsys):
    store = bit_flips.Store(tmp_path, 30, deleted=seed % 2 > 0)
    rng = random.Random(seed)
    cases = [*bit_flips.flips(store, rng, 12), *bit_flips.losses(store, rng, 1)]
    for kind, folder, do in cases:
        shutil.rmtree(store.scratch, ignore_errors=True)
        shutil.copytree(folder, store.scratch)
        do(store.scratch)
        url = f"sqlite:///{store.scratch / bit_flips.NAME}"
        capsys.readouterr()
        ended = run("repair", url, "--yes")
        said = capsys.readouterr()
        if ended == ERROR:
            assert "backup" in said.err or "no such file" in said.err, (kind, said.err)
            continue
        assert run("verify", url) == WHOLE, (kind, capsys.readouterr().out)
        bit_flips.recovered(store.scratch)


def test_every_kind_of_event_is_known():
    """Else a repair would drop all events after a damaged one of that kind."""
    tags = {str(kind.__struct_config__.tag) for kind in get_args(Event)}
    assert set(KINDS) == tags
    assert tags - set(REPLACEABLE) == {"zoo", "sla", "warm_start"}
