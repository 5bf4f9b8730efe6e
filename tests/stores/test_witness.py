"""What tells a log that lost its end, or was replaced, apart from a whole one."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from tests.stores.test_sql import decision, outcome

from floorline.errors import StoreDamaged
from floorline.events import Feedback
from floorline.stores import open_store, witness
from floorline.stores.marks import Mark
from floorline.stores.witness import Witness, read_witness


def label(n=0):
    return Feedback(decision=f"d{n}", model="small", score=1.0)


def fill(folder, *events):
    store = open_store(f"sqlite:///{folder / 'log.db'}")
    for event in events:
        store.append(event)
        store.flush()
    return store


def reopen(folder):
    store = open_store(f"sqlite:///{folder / 'log.db'}")
    store.close()
    return store


def copy_of(folder, name, *left_out):
    target = folder.parent / name
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*-shm", *left_out))
    return target


@pytest.fixture
def live(tmp_path):
    folder = tmp_path / "live"
    folder.mkdir()
    return folder


def test_a_kill_at_any_moment_is_no_damage(live):
    program = (
        "import sys, os\n"
        "from floorline.events import Outcome, Feedback\n"
        "from floorline.stores import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "for n in range(10**9):\n"
        "    store.append(Outcome(decision=f'd{n}', model='small', cost=1.0))\n"
        "    if n % 5 == 0:\n"
        "        store.append(Feedback(decision=f'd{n}', model='small', score=1.0))\n"
        "        store.flush()\n"
    )
    url = f"sqlite:///{live / 'log.db'}"
    for number in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", program, url], stdout=subprocess.PIPE
        ) as child:
            child.stdout.readline()
            for _ in range(number * 300):
                os.sched_yield()
            child.send_signal(signal.SIGKILL)
        store = open_store(url)
        assert store.warnings() == []
        store.close()


def test_a_missing_write_ahead_log_is_refused(live):
    store = fill(live, decision("d0"), label())
    killed = copy_of(live, "killed", "*-wal")
    store.close()
    with pytest.raises(StoreDamaged, match="missing"):
        reopen(killed)


def test_an_older_copy_of_the_file_is_refused(live):
    fill(live, decision("d0"), label()).close()
    older = copy_of(live, "older")
    fill(live, decision("d1"), label(1)).close()
    shutil.copy(older / "log.db", live / "log.db")
    with pytest.raises(StoreDamaged, match="its last 2 events are missing"):
        reopen(live)


def test_another_log_in_its_place_is_refused(live, tmp_path):
    fill(live, decision("d0"), label()).close()
    (tmp_path / "other").mkdir()
    fill(tmp_path / "other", decision("d0", at=1.0), label(), label(2)).close()
    shutil.copy(tmp_path / "other" / "log.db", live / "log.db")
    with pytest.raises(StoreDamaged, match="the file was replaced"):
        reopen(live)


def test_a_backup_without_its_witness_is_accepted(live):
    store = fill(live, decision("d0"), label())
    backup = copy_of(live, "backup", "*.witness")
    store.close()
    assert reopen(backup).warnings() == []


def power_loss(monkeypatch):
    """From now on the system has another start."""
    monkeypatch.setattr(witness, "boot_id", lambda: "another start")


def before_the_last_commit(live, *last):
    """Folder of a log without its last commit, with the witness after it."""
    store = fill(live, decision("d0"), label(), outcome("d0"))
    target = copy_of(live, "lost", "*.witness")
    for event in last:
        store.append(event)
        store.flush()
    shutil.copy(live / "log.db.witness", target)
    store.close()
    return target


def test_unsynced_events_may_be_lost_with_the_power(live, monkeypatch):
    folder = before_the_last_commit(live, decision("d1"), outcome("d1"))
    power_loss(monkeypatch)
    ((warning),) = reopen(folder).warnings()
    assert "the log lacks its last 2 decisions and outcomes" in warning
    # It is told once.
    assert reopen(folder).warnings() == []


def test_without_a_loss_of_power_they_are_damage(live):
    folder = before_the_last_commit(live, decision("d1"), outcome("d1"))
    with pytest.raises(StoreDamaged, match="its last 2 events are missing"):
        reopen(folder)


def test_synced_events_are_not_lost_with_the_power(live, monkeypatch):
    folder = before_the_last_commit(live, decision("d1"), label(1))
    power_loss(monkeypatch)
    with pytest.raises(StoreDamaged, match="its last 2 events are missing"):
        reopen(folder)


@pytest.mark.parametrize("position", [0, 3, 20, 511])
def test_a_torn_witness_leaves_the_one_before_it(position, tmp_path):
    path = tmp_path / "log.db.witness"
    seen = Witness(path, Mark(1, b"a" * 16), Mark(0, b"z" * 16))
    for number in range(2, 6):
        seen.note(Mark(number, b"b" * 16), synced=number == 3)
    seen.close()
    newest = read_witness(path)
    assert (newest.position, newest.synced_position) == (5, 3)
    data = bytearray(path.read_bytes())
    data[newest.number % 2 * 512 + position] ^= 1
    path.write_bytes(data)
    found = read_witness(path)
    # Bytes behind the text mean nothing.
    assert found.position == (5 if position == 511 else 4)


def test_an_unreadable_witness_is_written_anew(live):
    fill(live, label()).close()
    (live / "log.db.witness").write_bytes(b"nonsense" * 128)
    assert reopen(live).warnings() == []
    assert read_witness(live / "log.db.witness").position == 1
