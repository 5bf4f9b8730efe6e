"""Files of a store: permissions, names, and commands that only read."""

import os
import stat
import subprocess
import sys

import pytest

from floorline.cli.app import main
from floorline.errors import InvalidInput, StoreUnavailable
from floorline.events import Outcome
from floorline.stores import open_store
from floorline.stores.open_store import open_read_only
from floorline.stores.reading import LogReader

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX permissions")

PRIVATE = 0o600


def outcome(n=0):
    return Outcome(decision=f"d{n}", model="small", cost=1.0, at=1e9)


def modes(folder):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o377])
def test_files_are_private_whatever_the_umask(umask, tmp_path):
    before = os.umask(umask)
    try:
        store = open_store(f"sqlite:///{tmp_path / 'log.db'}")
        store.append(outcome())
        store.flush()
        open_now = modes(tmp_path)
        store.close()
        target = tmp_path / "log.jsonl"
        target.touch(0o644)
        assert (
            main(["store", "export", str(target), "--store", f"sqlite:///{tmp_path}/log.db"]) == 0
        )
    finally:
        os.umask(before)
    names = {"log.db", "log.db-wal", "log.db-shm", "log.db.lock", "log.db.witness"}
    assert set(open_now) - {"log.db.lock-journal"} == names
    assert set(open_now.values()) == {PRIVATE}
    assert set(modes(tmp_path).values()) == {PRIVATE}


def aliases(tmp_path):
    """Other names of ``tmp_path / "real" / "log.db"``."""
    real = tmp_path / "real"
    (tmp_path / "file.db").symlink_to(real / "log.db")
    (tmp_path / "chain.db").symlink_to(tmp_path / "file.db")
    (tmp_path / "folder").symlink_to(real)
    return [
        tmp_path / "file.db",
        tmp_path / "chain.db",
        tmp_path / "folder" / "log.db",
        real / ".." / "real" / "log.db",
        os.path.relpath(real / "log.db"),
    ]


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("exists", [True, False])
def test_a_store_is_locked_under_every_name(number, exists, tmp_path):
    (tmp_path / "real").mkdir()
    alias = aliases(tmp_path)[number]
    if exists:
        open_store(f"sqlite:///{tmp_path / 'real' / 'log.db'}").close()
    store = open_store(f"sqlite:///{alias}")
    for name in [tmp_path / "real" / "log.db", *aliases_made(tmp_path)]:
        with pytest.raises(StoreUnavailable, match="another process writes to the store"):
            open_store(f"sqlite:///{name}")
    store.close()
    assert {path.name for path in tmp_path.iterdir()} == {"real", "file.db", "chain.db", "folder"}


def aliases_made(tmp_path):
    return [tmp_path / "file.db", tmp_path / "chain.db", tmp_path / "folder" / "log.db"]


def test_a_file_with_two_names_is_refused(tmp_path):
    open_store(f"sqlite:///{tmp_path / 'log.db'}").close()
    os.link(tmp_path / "log.db", tmp_path / "twin.db")
    with pytest.raises(StoreUnavailable, match=r"2 names \(hard links\)"):
        open_store(f"sqlite:///{tmp_path / 'twin.db'}")


@pytest.mark.parametrize("name", ["file:log.db?uri=true", "", ":memory:"])
def test_names_that_are_no_paths_are_refused(name):
    with pytest.raises(InvalidInput, match="name a file"):
        open_store(f"sqlite:///{name}")


READING = [
    ["report", "certificate", "--log", "URL"],
    ["report", "certificate", "--log", "PATH"],
    ["whatif", "--log", "URL", "--policy", "cheapest"],
    ["whatif", "--log", "PATH", "--policy", "cheapest"],
    ["store", "export", "out.jsonl", "--store", "URL"],
    ["store", "vacuum", "--older-than", "1d", "--store", "URL"],
    ["store", "verify", "--store", "URL"],
    ["store", "verify", "URL"],
    ["store", "repair", "--store", "URL"],
    ["store", "repair", "--yes", "URL"],
    ["keys", "list", "--store", "URL"],
    ["keys", "revoke", "1234", "--store", "URL"],
]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_mistyped_path_creates_nothing(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = {"URL": f"sqlite:///{tmp_path / 'typo.db'}", "PATH": str(tmp_path / "typo.db")}
    assert main([given.get(word, word) for word in command]) == 2
    assert "no such file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def filled(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'log.db'}")
    for n in range(5):
        store.append(outcome(n))
    store.flush()
    return store


@pytest.mark.parametrize("running", [True, False])
def test_reading_leaves_the_files_as_they_are(running, tmp_path):
    store = filled(tmp_path)
    if not running:
        store.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if "shm" not in path.name}
    with open_read_only(f"sqlite:///{tmp_path / 'log.db'}") as engine:
        assert len(list(LogReader(engine).numbered())) == 5
        with pytest.raises(Exception, match="readonly"), engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM events")
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if "shm" not in path.name}
    assert after == before
    if running:
        store.close()


def test_postgresql_is_read_in_read_only_transactions(empty_postgres):
    assert main(["store", "migrate", "--store", empty_postgres]) == 0
    with open_read_only(empty_postgres) as engine:
        assert list(LogReader(engine).numbered()) == []
        with pytest.raises(Exception, match="read-only transaction"), engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM events")


def test_a_database_without_tables_is_not_given_any(empty_postgres, tmp_path, capsys):
    target = str(tmp_path / "out.jsonl")
    assert main(["store", "export", target, "--store", empty_postgres]) == 2
    assert "has no tables" in capsys.readouterr().err
    (tmp_path / "empty.db").touch()
    assert main(["store", "export", target, "--store", f"sqlite:///{tmp_path / 'empty.db'}"]) == 2
    assert "has no tables" in capsys.readouterr().err
    assert (tmp_path / "empty.db").read_bytes() == b""


CRASH = """
import os, sys
from floorline.events import Outcome
from floorline.stores import open_store
store = open_store(sys.argv[1])
store.append(Outcome(decision="d", model="small", cost=1.0))
store.flush()
os._exit(0)
"""


def test_a_crashed_store_is_read_with_its_write_ahead_log(tmp_path):
    url = f"sqlite:///{tmp_path / 'log.db'}"
    subprocess.run([sys.executable, "-c", CRASH, url], check=True)
    wal = (tmp_path / "log.db-wal").read_bytes()
    with open_read_only(url) as engine:
        assert [event.decision for event in LogReader(engine).read()] == ["d"]
    assert (tmp_path / "log.db-wal").read_bytes() == wal


def test_a_deleted_file_is_not_replaced_by_an_empty_one(tmp_path):
    filled(tmp_path).close()
    (tmp_path / "log.db").unlink()
    with pytest.raises(StoreUnavailable, match=r"is missing, but log\.db\.witness .* restore"):
        open_store(f"sqlite:///{tmp_path / 'log.db'}")
    assert not (tmp_path / "log.db").exists()


@pytest.mark.parametrize("name", ["log.db.lock", "log.db.witness", "log.db"])
def test_files_that_cannot_be_created_are_named(name, tmp_path, monkeypatch):
    def refuse(path, *given):
        if str(path).endswith(name):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *given)

    opened = os.open
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreUnavailable, match="Permission denied") as caught:
        open_store(f"sqlite:///{tmp_path / 'log.db'}")
    assert name in str(caught.value)
