import os
import threading
from pathlib import Path

import pytest

from floorline._files import write_whole, writing_whole


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"old")

    def interrupted():
        with writing_whole(path) as stream:
            stream.write(b"ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert path.read_bytes() == b"old"
    write_whole(path, b"new")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"new"


def test_a_private_file_can_be_read_by_its_owner_only(tmp_path):
    path = tmp_path / "file"
    with writing_whole(path, private=True) as stream:
        stream.write(b"secret")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_device_stays_one():
    write_whole(Path("/dev/null"), b"gone")
    assert Path("/dev/null").is_char_device()


def test_a_pipe_gets_the_content(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    write_whole(path, b"all of it")
    reader.join(60)
    assert read == [b"all of it"]
    assert path.is_fifo()


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path, b"x")
    assert tmp_path.is_dir()
