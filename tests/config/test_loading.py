"""Reading a file."""

import pickle

import pytest

from floorline.config import load, load_text
from floorline.errors import ConfigError


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "none.yaml"
    with pytest.raises(ConfigError, match=r"none\.yaml: there is no such file: give the path"):
        load(path)


def test_a_folder_and_a_file_that_is_no_text(tmp_path):
    with pytest.raises(ConfigError, match="give a file that can be read"):
        load(tmp_path)
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(
        ConfigError, match=r"f\.yaml: the file is no text in UTF-8: write it in UTF-8"
    ):
        load(path)


def test_an_error_survives_a_process_boundary():
    with pytest.raises(ConfigError) as error:
        load_text("models: 3", environ={})
    again = pickle.loads(pickle.dumps(error.value))
    assert again.problems == error.value.problems
