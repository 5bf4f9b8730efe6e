"""Rules of the fields that say how a provider is called."""

import pytest

HEADERS_FIX = "give header names without spaces, and texts on one line as their values"


KEY = "sk-very-secret-0123456789"
FILE = """
models:
  - name: small
    endpoint: http://127.0.0.1:8000/v1
    {how}
slas: [{{name: gold, floor: 0.9}}]
"""


def one_model(fields):
    return f"models: [{{name: small, {fields}}}]\nslas: [{{name: gold, floor: 0.9}}]"


@pytest.fixture
def wrong_field(problems):
    """What is wrong with the one model of a file, without the location."""

    def wrong_field(fields, **environ):
        if "endpoint" not in fields:
            fields = f"endpoint: 'http://h/v1', {fields}"
        (line,) = problems(one_model(fields), **environ)
        return line.partition("models[0].")[2]

    return wrong_field


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            "kind: grpc",
            "kind is 'grpc': choose 'openai', 'anthropic', 'responses', 'azure', 'litellm' or "
            "'any-llm'",
        ),
        (
            "headers: {'a b': c}",
            f"headers has an entry whose name is not valid (not shown): {HEADERS_FIX}",
        ),
        (
            "headers: {Content-Length: '1'}",
            "headers.Content-Length is 'Content-Length': remove it: the HTTP client sets this "
            "header",
        ),
        (
            'headers: {a: "c\\r\\nd: e"}',
            "headers.a has a line break inside (its value is not shown): write it on one line",
        ),
        (
            "max_concurrency: 0",
            "max_concurrency is 0: give a whole number of 1 or more",
        ),
        ("queue_length: -1", "queue_length is -1: give a whole number of 0 or more"),
        (
            "queue_wait: .nan",
            "queue_wait is nan: give seconds above 0, or a text such as 30s, 12h or 30d, "
            "at most 100 years",
        ),
        (
            "max_answer: 0.5",
            "max_answer is 0.5: give bytes, 1 or more, or a text such as 20MiB, at most 1 PiB",
        ),
        ("retries: 11", "retries is 11: give a whole number from 0 to 10"),
        (
            "timeouts: {connect: 0}",
            "timeouts.connect is 0: give seconds above 0, or a text such as 30s, 12h or 30d, "
            "at most 100 years",
        ),
        (
            "breaker: {failures: 1.5}",
            "breaker.failures is 1.5: give a whole number of 1 or more",
        ),
        ("breaker: {rate: 1.1}", "breaker.rate is 1.1: give a share from 0 to 1"),
        (
            "breaker: {window: 0}",
            "breaker.window is 0: give seconds above 0, or a text such as 30s, 12h or 30d, "
            "at most 100 years",
        ),
        ("breaker: {window_seconds: 9}", "breaker.window_seconds is no known field: write window"),
    ],
)
def test_a_bad_field_is_named_with_its_value_and_a_fix(wrong_field, fields, message):
    assert wrong_field(fields) == message


def test_the_window_of_the_breaker_is_a_duration_in_the_file_and_seconds_in_python(read):
    settings = read(one_model("endpoint: 'http://h/v1', breaker: {window: 2m}"))
    assert settings.models[0].breaker.window_seconds == 120.0
    empty = read(one_model("endpoint: 'http://h/v1', breaker: {window: }"))
    assert empty.models[0].breaker.window_seconds == 30.0


@pytest.mark.parametrize(
    "how", ["api_key: ${KEY}", "api_key_env: KEY", "api_key_file: key.txt", f"api_key: {KEY}"]
)
def test_a_key_is_found_and_never_shown(read, tmp_path, how):
    (tmp_path / "key.txt").write_text(f"{KEY}\n")
    settings = read(FILE.format(how=how), KEY=KEY)
    assert settings.models[0].key.get_secret_value() == KEY
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
            "models[0].api_key_file is not valid (its value is not shown): give a file that can "
            "be read (No such file or directory)",
        ),
        (
            "api_key_file: two.txt",
            "models[0].api_key_file is 'two.txt': the file has a space inside: give a text file in "
            "ASCII that holds one key only",
        ),
        (
            "api_key: a\n    api_key_env: KEY",
            "models[0].api_key_env is given beside api_key: keep one of them",
        ),
        (
            'api_key: "line\\nbreak"',
            "models[0].api_key has a line break inside (its value is not shown): write it on one "
            "line",
        ),
    ],
)
def test_a_key_that_is_not_there(problems, tmp_path, how, message):
    (tmp_path / "two.txt").write_text("one two")
    lines = problems(FILE.format(how=how), KEY=KEY)
    assert [line.split(": ", 1)[1] for line in lines] == [message]
