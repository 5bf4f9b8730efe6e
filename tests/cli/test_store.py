import json

import pytest

from floorline.cli.app import main
from floorline.stores import open_store


@pytest.fixture
def log(build_router, vector, tmp_path):
    """The store of a server that routed ten requests; its options."""
    url = f"sqlite:///{tmp_path / 'log.db'}"
    router = build_router()
    for number in range(10):
        router.route(features=vector(number), at=float(number + 1))
    store = open_store(url)
    for event in router.log.read():
        store.append(event)
    store.close()
    return ["--store", url]


def test_a_log_is_exported_and_cleaned_up(log, tmp_path, capfd):
    lines = tmp_path / "log.jsonl"
    assert main(["store", "export", str(lines), "--since", "1970-01-01T00:00:05", *log]) == 0
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["at"] for row in rows if row["kind"] == "decision"] == [5, 6, 7, 8, 9, 10]
    assert main(["store", "export", str(tmp_path / "log.parquet"), *log]) == 0
    assert main(["store", "vacuum", "--older-than", "1d", *log]) == 0
    assert "Deleted" in capfd.readouterr().out


def test_tables_that_are_there_need_no_migration(log, capfd):
    assert main(["store", "migrate", *log]) == 0
    assert "Nothing to do" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["export", "log.txt"], "ends in .jsonl or .parquet"),
        (["export", "log.jsonl", "--since", "once"], "since is 'once'"),
        (["vacuum", "--older-than", "old"], "older-than is 'old'"),
    ],
)
def test_errors_are_one_line(log, arguments, word, capfd):
    assert main(["store", *arguments, *log]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert word in line
