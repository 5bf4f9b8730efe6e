import contextlib
import json

import polars as pl
import pytest

from floorline.cli.app import main
from floorline.errors import InvalidInput, StoreDamaged, StoreUnavailable
from floorline.events import Outcome
from floorline.router import Router
from floorline.sla import SLA
from floorline.stores import open_store, retention
from floorline.stores.recovery import recover
from floorline.stores.retention import vacuum
from floorline.zoo import Model, Zoo


def build(log, memory=5):
    zoo = Zoo([Model("small", output_price=1.0), Model("large", output_price=9.0)])
    return Router(zoo, "mess_plus", [SLA("gold", floor=0.8)], seed=1, log=log, memory=memory)


def serve(router, start, n):
    for t in range(start, start + n):
        decision = router.route(f"Question {t}?", at=float(t))
        router.outcome(decision.id, cost=0.5, at=float(t))
        router.feedback(decision.id, satisfied=t % 3 > 0, at=float(t))


def save(router, store):
    oldest = next(iter(router.remembered))
    store.write_snapshot(len(store), router.snapshot(decisions=False), oldest)


def test_recovery_gives_an_equal_state_after_old_events_are_deleted(url):
    store = open_store(url)
    router = build(store)
    serve(router, 0, 40)
    save(router, store)
    serve(router, 40, 6)
    store.flush()
    deleted = vacuum(store.engine, before=1000.0)
    assert deleted.events > 90
    assert store.first() == deleted.kept > 0
    again = recover(lambda: build(store), store)
    assert len(store) == 138
    assert again.snapshot() == router.snapshot()
    with pytest.raises(InvalidInput, match="older events were deleted"):
        list(store.read(0))
    store.close()


def test_snapshots_and_deletions_go_on_while_events_are_written(url, monkeypatch):
    """Else SQLite says that the database is locked, without any wait."""
    store = open_store(url)
    router = build(store)
    serve(router, 0, 40)
    serves = iter(range(40, 100))

    def write_an_event(reads):
        def read(*args):
            found = reads(*args)
            serve(router, next(serves), 1)
            store.flush()
            return found

        return read

    monkeypatch.setattr(store, "link_before", write_an_event(store.link_before))
    monkeypatch.setattr(retention, "_link_before", write_an_event(retention._link_before))
    save(router, store)
    assert store.last_snapshot() is not None
    assert vacuum(store.engine, before=20.0).events > 0
    store.close()


def test_without_a_snapshot_no_event_is_deleted(url):
    store = open_store(url)
    serve(build(store), 0, 10)
    store.flush()
    assert vacuum(store.engine, before=1000.0).events == 0
    store.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE snapshots SET oldest = 119, at = at + 1",
        "UPDATE snapshots SET position = position + 1",
        "DELETE FROM events WHERE position = 30",
        "UPDATE events SET checksum = link WHERE position = 30",
        "UPDATE events SET link = checksum WHERE position = 29",
    ],
)
def test_a_damaged_log_loses_nothing_more(change, url):
    store = open_store(url)
    router = build(store)
    serve(router, 0, 40)
    save(router, store)
    store.close()
    store = open_store(url)
    with store.engine.begin() as connection:
        connection.exec_driver_sql(change)
    before = store.first(), store.end()
    with contextlib.suppress(StoreDamaged):
        assert vacuum(store.engine, before=10.0).events == 0
    assert (store.first(), store.end()) == before
    store.close()


def test_newer_events_stay(url):
    store = open_store(url)
    router = build(store)
    serve(router, 0, 40)
    save(router, store)
    assert vacuum(store.engine, before=10.0).events == 30
    assert next(store.read(store.first())).at == 10.0
    store.close()


def test_old_prompts_are_deleted(store):
    store.append_prompt("d1", b"secret")
    store.flush()
    assert vacuum(store.engine, before=1.0).prompts == 0
    assert vacuum(store.engine, before=4e9).prompts == 1
    assert store.prompt("d1") is None


@pytest.fixture
def file_url(tmp_path):
    url = f"sqlite:///{tmp_path / 'log.db'}"
    store = open_store(url)
    serve(build(store), 0, 10)
    store.close()
    return url


def run(*arguments):
    return main(list(arguments))


def test_export_as_json_lines_and_parquet(file_url, tmp_path, capsys):
    lines, table = tmp_path / "log.jsonl", tmp_path / "log.parquet"
    assert run("store", "export", str(lines), "--store", file_url) == 0
    assert run("store", "export", str(table), "--store", file_url, "--features") == 0
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["position"] for row in rows] == list(range(30))
    assert {row["kind"] for row in rows} == {"decision", "outcome", "feedback"}
    assert "features" not in rows[0]
    frame = pl.read_parquet(table)
    assert frame.height == 30
    assert len(frame.filter(pl.col("kind") == "decision")["features"][0]) == 1024
    assert "Wrote 30 events" in capsys.readouterr().out


def test_export_of_a_period(file_url, tmp_path):
    target = tmp_path / "log.jsonl"
    given = ["--since", "1970-01-01T00:00:03", "--until", "1970-01-01T00:00:05"]
    assert run("store", "export", str(target), "--store", file_url, *given) == 0
    times = {json.loads(line)["at"] for line in target.read_text().splitlines()}
    assert times == {3.0, 4.0}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["store", "export", "log.csv"], "give a name that ends in .jsonl or .parquet"),
        (["store", "export", "l.jsonl", "--since", "soon"], "give 2026-01-31"),
        (["store", "vacuum", "--older-than", "old"], "give a number and a unit of ms, s"),
        (["keys", "create", "app", "--scope", "root"], "key.scopes is 'root'"),
        (["keys", "create", "app", "--budget", "5"], "add a period, after which the budget"),
        (["keys", "create", "app", "--period", "30d"], "add a budget, the largest cost per period"),
        (["keys", "revoke", "unknown"], "give the id of a key"),
    ],
)
def test_errors_on_the_command_line_are_one_line(arguments, problem, file_url, capsys):
    assert run(*arguments, "--store", file_url) == 2
    error = capsys.readouterr().err
    assert problem in error
    assert error.count("\n") == 1


def test_vacuum_and_migrate_from_the_command_line(file_url, capsys):
    assert run("store", "vacuum", "--older-than", "1d", "--store", file_url) == 0
    assert "Deleted 0 events and 0 prompts" in capsys.readouterr().out
    assert run("store", "migrate", "--store", file_url) == 0
    assert "Nothing to do" in capsys.readouterr().out


def test_migrate_creates_the_tables_of_postgresql(empty_postgres, capsys):
    assert run("store", "migrate", "--store", empty_postgres) == 0
    assert "Upgraded the tables" in capsys.readouterr().out
    store = open_store(empty_postgres)
    store.append(Outcome(decision="d", model="small", cost=1.0))
    store.close()


def test_migrate_is_rejected_while_a_server_runs(empty_postgres):
    run("store", "migrate", "--store", empty_postgres)
    store = open_store(empty_postgres)
    assert run("store", "migrate", "--store", empty_postgres) == 2
    store.close()


def test_keys_from_the_command_line(file_url, capsys):
    made = ["--tenant", "acme", "--sla", "gold", "--rate", "60", "--budget", "5", "--period", "1d"]
    assert run("keys", "create", "app", *made, "--store", file_url) == 0
    out, err = capsys.readouterr()
    secret = out.strip()
    assert secret.startswith("fl-")
    assert secret not in err
    store = open_store(file_url)
    (key,) = store.keys.list()
    assert key.matches(secret)
    assert not key.matches(secret + "x")
    assert secret.encode() not in key.digest
    assert (key.tenant, key.slas, key.rate, key.budget, key.period) == (
        "acme",
        ("gold",),
        60.0,
        5.0,
        86400.0,
    )
    # Keys are listed and revoked while a server writes.
    assert run("keys", "list", "--store", file_url) == 0
    listed = capsys.readouterr().out
    assert key.id in listed
    assert secret not in listed
    assert run("keys", "revoke", key.id, "--store", file_url) == 0
    (key,) = store.keys.list()
    assert not key.matches(secret)
    store.close()


def test_the_error_of_a_missing_folder_names_the_fix(tmp_path, capsys):
    url = f"sqlite:///{tmp_path / 'nowhere' / 'log.db'}"
    assert run("keys", "list", "--store", url) == 2
    assert "no such file" in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="create the folder"):
        open_store(url)
    assert StoreUnavailable.__doc__
