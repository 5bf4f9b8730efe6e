import os
import resource
import signal
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline.errors import InvalidInput, StoreUnavailable
from floorline.replication import spool as module
from floorline.replication.spool import Spool, left_over


def contents(spool, most=3):
    """All records, read and dropped a few at a time, and how many bytes are damaged."""
    found, damaged = [], 0
    while (batch := spool.read(most)).end:
        found += [record.body for record in batch.records]
        damaged += batch.damaged
        spool.drop(batch)
    return found, damaged


@pytest.fixture
def small_files(monkeypatch):
    monkeypatch.setattr(module, "_FILE_BYTES", 100)


def fill(folder, bodies, name="a"):
    spool = Spool(folder, name)
    for body in bodies:
        spool.append(body, events=1)
    spool.close()


def test_records_come_back_in_order_by_another_process(small_files, tmp_path):
    bodies = [b"%d" % number * (number + 1) for number in range(40)]
    fill(tmp_path, bodies)
    assert len(list(tmp_path.glob("a.*.spool"))) > 5
    spool = Spool(tmp_path, "a")
    assert spool.events == 40
    assert contents(spool) == (bodies, 0)
    assert (spool.events, spool.size) == (0, 0)
    spool.close()
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.one_of(st.binary(max_size=80), st.sampled_from(["read", "drop", "reopen"]))))
@settings(max_examples=60, deadline=None)
def test_what_was_added_and_not_dropped_is_there(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("spool")
    old = module._FILE_BYTES
    module._FILE_BYTES = 200
    try:
        spool, kept, batch = Spool(folder, "a"), [], None
        for step in steps:
            if isinstance(step, bytes):
                spool.append(step, events=1)
                kept.append(step)
                batch = None
            elif step == "read":
                batch = spool.read(2)
                assert [r.body for r in batch.records] == kept[: len(batch.records)]
                assert bool(batch.records) == bool(kept)
            elif step == "drop" and batch is not None:
                del kept[: len(batch.records)]
                spool.drop(batch)
                batch = None
            elif step == "reopen":
                spool.close()
                spool, batch = Spool(folder, "a"), None
                # What was dropped of a file that is not wholly read comes again.
                again, _ = contents(spool)
                assert again[len(again) - len(kept) :] == kept
                kept = []
        spool.close()
    finally:
        module._FILE_BYTES = old


@pytest.mark.parametrize("place", range(0, 120, 7))
def test_a_flipped_bit_costs_one_record(tmp_path, place):
    bodies = [b"first" * 3, b"second" * 3, b"third" * 3]
    fill(tmp_path, bodies)
    (path,) = tmp_path.glob("*.spool")
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << place % 8
    path.write_bytes(data)
    spool = Spool(tmp_path, "a")
    found, damaged = contents(spool)
    assert len(found) == 2
    assert damaged > 0
    assert found == [body for body in bodies if body in found]
    spool.close()


@pytest.mark.parametrize("left", [0, 1, 20, 60, -1])
def test_a_record_that_was_not_written_wholly_is_left_out(tmp_path, left):
    fill(tmp_path, [b"first" * 3, b"second" * 3])
    (path,) = tmp_path.glob("*.spool")
    data = path.read_bytes()
    path.write_bytes(data[:left])
    spool = Spool(tmp_path, "a")
    found, damaged = contents(spool)
    assert found == ([b"first" * 3] if left in (60, -1) else [])
    assert (damaged > 0) == (left != 0)
    spool.close()


def test_a_file_that_was_cut_while_in_use_does_not_block(tmp_path):
    spool = Spool(tmp_path, "a")
    for body in (b"first", b"second"):
        spool.append(body, events=1)
    (path,) = tmp_path.glob("*.spool")
    os.truncate(path, 10)
    found, damaged = contents(spool)
    assert found == []
    assert damaged > 10
    spool.append(b"third", events=1)
    assert contents(spool) == ([b"third"], 0)
    spool.close()


def test_beyond_its_bound_it_takes_nothing_until_there_is_space(small_files, tmp_path):
    spool = Spool(tmp_path, "a", max_bytes=400)
    for _ in range(4):
        spool.append(b"x" * 50, events=1)
    with pytest.raises(StoreUnavailable, match=r"replicas\.spool\.max allows 400"):
        spool.append(b"x" * 100, events=1)
    spool.drop(spool.read(1))
    spool.drop(spool.read(1))
    spool.append(b"y", events=1)
    assert contents(spool) == ([b"x" * 50] * 2 + [b"y"], 0)
    spool.close()


def test_a_full_disk_takes_nothing_and_leaves_no_part(tmp_path):
    spool = Spool(tmp_path, "a")
    spool.append(b"before", events=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (80, hard))
    try:
        with pytest.raises(StoreUnavailable, match="cannot be written: File too large"):
            spool.append(b"x" * 1000, events=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    spool.append(b"after", events=1)
    assert spool.events == 2
    assert contents(spool) == ([b"before", b"after"], 0)
    spool.close()


def test_a_failed_fsync_is_not_trusted_the_second_time(tmp_path, monkeypatch):
    spool = Spool(tmp_path, "a")
    spool.append(b"before", events=1)
    real = os.fsync

    def fails(file):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StoreUnavailable, match="Input/output error"):
        spool.append(b"lost", events=1)
    monkeypatch.setattr(os, "fsync", real)
    spool.append(b"lost", events=1)
    assert len(list(tmp_path.glob("*.spool"))) == 2
    assert contents(spool) == ([b"before", b"lost"], 0)
    spool.close()


def test_one_process_at_a_time_has_a_spool(tmp_path):
    spool = Spool(tmp_path, "a")
    spool.append(b"body", events=1)
    with pytest.raises(StoreUnavailable, match="another process has the spool of a"):
        Spool(tmp_path, "a")
    assert refused_elsewhere(tmp_path)
    Spool(tmp_path, "b").close()
    assert left_over(tmp_path) == ["a"]
    spool.close()
    assert not refused_elsewhere(tmp_path)


def refused_elsewhere(folder):
    """Whether another process does not get the spool."""
    code = "import sys, pathlib; from floorline.replication.spool import Spool; "
    code += "Spool(pathlib.Path(sys.argv[1]), 'a')"
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, timeout=60)
    return b"another process has the spool" in done.stderr


def test_a_lock_whose_file_was_deleted_is_not_held(tmp_path, monkeypatch):
    # Another process looks at a lock between its creation and its being taken, and deletes it.
    real, first = module.FileLock.take, []

    def take(self):
        taken = real(self)
        if not first:
            first.append(1)
            (tmp_path / "a.lock").unlink()
        return taken

    monkeypatch.setattr(module.FileLock, "take", take)
    spool = Spool(tmp_path, "a", wait=1.0)
    monkeypatch.undo()
    assert (tmp_path / "a.lock").exists()
    with pytest.raises(StoreUnavailable):
        Spool(tmp_path, "a")
    spool.close()


def test_files_are_private(tmp_path):
    old = os.umask(0)
    try:
        spool = Spool(tmp_path, "a")
        spool.append(b"body", events=1)
    finally:
        os.umask(old)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    spool.close()


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match=r"replicas\.spool\.folder is .*: give a folder"):
        Spool(tmp_path / "file" / "spool", "a")
