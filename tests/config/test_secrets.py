import pickle

import pytest

from floorline.config import load_text
from floorline.errors import ConfigError

KEY = "sk-very-secret-0123456789"
FILE = """
models:
  - name: small
    endpoint: http://127.0.0.1:8000/v1
    {how}
slas: [{{name: gold, floor: 0.9}}]
"""


@pytest.mark.parametrize(
    "how", ["api_key: ${KEY}", "api_key_env: KEY", "api_key_file: key.txt", f"api_key: {KEY}"]
)
def test_a_key_is_found_and_never_shown(read, tmp_path, how):
    (tmp_path / "key.txt").write_text(f"{KEY}\n")
    settings = read(FILE.format(how=how), KEY=KEY)
    assert settings.models[0].key == KEY
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert KEY not in shown
    files = [tmp_path / "key.txt"] if "file" in how else []
    assert settings.key_files() == files


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            "api_key: ${KEI}",
            "models[0].api_key is '${KEI}': set the environment variable KEI, or write "
            "${KEI:-default}",
        ),
        (
            "api_key_env: KEI",
            "models[0].api_key_env is 'KEI': set the environment variable KEI",
        ),
        (
            "api_key_file: none.txt",
            "models[0].api_key_file is 'none.txt': give a file that can be read (No such file or "
            "directory)",
        ),
        (
            "api_key_file: two.txt",
            "models[0].api_key_file is 'two.txt': give a text file that holds one key only",
        ),
        (
            "api_key: a\n    api_key_env: KEY",
            "models[0].api_key_env is given beside api_key: keep one of them",
        ),
        (
            'api_key: "line\\nbreak"',
            "models[0].api_key is not valid (its value is not shown): give a text in ASCII on one "
            "line, in quotes if it looks like a number",
        ),
    ],
)
def test_a_key_that_is_not_there(problems, tmp_path, how, message):
    (tmp_path / "two.txt").write_text("one two")
    lines = problems(FILE.format(how=how), KEY=KEY)
    assert [line.split(": ", 1)[1] for line in lines] == [message]


def test_no_message_shows_a_secret(problems):
    lines = problems(
        FILE.format(
            how="""headers: {X-Key: [sk-very-secret-0123456789], "a b": sk-very-secret-0123456789}
    api_key: [sk-very-secret-0123456789]
    input_price: ${KEY}
    endpoint2: ${KEY}"""
        )
        + f"store: {{url: 'mysql://me:{KEY}@db'}}\n",
        KEY=KEY,
    )
    assert len(lines) >= 6
    assert KEY not in "\n".join(lines)
    assert any("models[0].input_price is '${KEY}': give a price" in line for line in lines)


def test_the_default_key_gives_way_to_a_model_s_own(read):
    settings = read(
        """
        defaults: {endpoint: "http://h/v1", api_key_env: SHARED}
        models:
          - {name: a}
          - {name: b, api_key: mine}
          - {name: c, api_key: }
        slas: [{name: gold, floor: 0.9}]
        """,
        SHARED="ours",
    )
    assert [model.key for model in settings.models] == ["ours", "mine", None]


def test_an_error_survives_a_process_boundary():
    with pytest.raises(ConfigError) as error:
        load_text("models: 3", environ={})
    again = pickle.loads(pickle.dumps(error.value))
    assert again.problems == error.value.problems
