"""YAML and JSON that would end the process, or hold it for seconds."""

import json
import subprocess
import sys

import pytest
import yaml

from floorline._bounded import MAX_FILE_BYTES, TooLarge, check_yaml, parse_json, read_text

DEEP = {
    "flow lists": "[" * 25_000,
    "closed lists": "[" * 25_000 + "]" * 25_000,
    "flow mappings": "{a: " * 25_000,
    "block lists": "- " * 25_000,
    "complex keys": "? " * 25_000,
    "block mappings": "\n".join(" " * depth + "a:" for depth in range(500)),
    "lists in a mapping": "models:\n  - name: " + "[" * 25_000,
    "keys of lists": "[" * 12_000 + "]: 1",
}
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
LARGE = {
    "fields": "\n".join(f"f{n}: 1" for n in range(90_000)),
    "items": "[" + ",".join("1" for _ in range(100_000)) + "]",
    "aliases": BOMB,
    "one text": "a: " + "x" * (MAX_FILE_BYTES + 1),
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_depth_is_bounded(text):
    with pytest.raises(TooLarge, match="nested more than 32 deep, on line"):
        check_yaml(text)


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
def test_size_is_bounded(text):
    with pytest.raises(TooLarge, match="it has more than"):
        check_yaml(text)


def test_what_configurations_have_is_read():
    check_yaml("models: [{name: a}]\nslas:\n- &gold {name: gold, floor: 0.9}\n- *gold\n")
    check_yaml("[" * 32 + "]" * 32)
    check_yaml(json.dumps({"models": [{f"field-{m}": m for m in range(8)} for n in range(300)]}))


def test_what_is_no_yaml_is_told_by_the_parser():
    with pytest.raises(yaml.YAMLError):
        check_yaml("a: [1, 2")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["check", "--offline", "--config"], "flow lists"),
        (["check", "--offline", "--config"], "lists in a mapping"),
        (["check", "--offline", "--config"], "fields"),
        (["serve", "--config"], "aliases"),
        (["bench", "--suite"], "closed lists"),
    ],
)
def test_commands_end_with_a_message(tmp_path, command, name):
    path = tmp_path / "hostile.yaml"
    path.write_text({**DEEP, **LARGE}[name])
    done = subprocess.run(
        [sys.executable, "-m", "floorline", *command, path], capture_output=True, text=True
    )
    assert done.returncode not in (0, -11), done.stderr
    assert done.returncode > 0
    assert "nested more than" in done.stderr or "it has more than" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 2_000


def test_a_file_is_not_read_beyond_the_limit(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"x" * 11)
    assert read_text(path, 11) == "x" * 11
    with pytest.raises(TooLarge, match="more than 10 bytes"):
        read_text(path, 10)


def test_deep_json_is_no_recursion_error():
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 200_000)
    assert parse_json('{"a": 1}') == {"a": 1}
