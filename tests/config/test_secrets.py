"""Keys and headers, from the file, from variables and from files of secrets: one rule for all."""

import pytest

from floorline.config.variables import variable

KEY = "sk-very-secret-0123456789"
MODEL = "models: [{{name: a, endpoint: 'http://h/v1', {}}}]\nslas: [{{name: gold, floor: 0.9}}]"
WAYS = ["api_key: '${KEY}'", "api_key_env: KEY", "api_key_file: key.txt"]
AROUND = ["{}\n", "{}\r\n", " {} ", "\t{}\n\n", "\ufeff{}\r\n", '"{}"\n', "'{}'"]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("around", AROUND)
def test_what_surrounds_a_key_is_no_part_of_it(read, tmp_path, how, around):
    written = around.format(KEY)
    (tmp_path / "key.txt").write_bytes(written.encode())
    settings = read(MODEL.format(how), KEY=written)
    assert settings.models[0].key.get_secret_value() == KEY


def test_a_file_of_windows_in_utf_16_holds_a_key(read, tmp_path):
    (tmp_path / "key.txt").write_bytes(f"{KEY}\r\n".encode("utf-16"))
    settings = read(MODEL.format("api_key_file: key.txt"))
    assert settings.models[0].key.get_secret_value() == KEY


def test_a_key_in_a_block_of_yaml_has_no_line_end(read):
    text = """
        models:
          - name: a
            endpoint: http://h/v1
            api_key: |
              sk-1
            headers:
              X-Team: >
                blue
        slas: [{name: gold, floor: 0.9}]
    """
    model = read(text).models[0]
    assert model.key.get_secret_value() == "sk-1"
    assert model.headers["X-Team"].get_secret_value() == "blue"


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(
    ("inside", "wrong"),
    [
        ("{}\n{}", "has a line break inside"),
        ("{}\r{}", "has a line break inside"),
        ("{}\0", "has a control character inside"),
        ("{}\t{}", "has a control character inside"),
        ("{}\x7f{}", "has a control character inside"),
        ("{}é", "has a character that is not ASCII"),
        ("{} {}", "has a space inside"),
        ("Bearer {}", "begins with Bearer"),
    ],
)
def test_a_key_with_something_inside_is_refused_and_not_shown(
    problems, tmp_path, how, inside, wrong
):
    written = inside.format(KEY, KEY)
    (tmp_path / "key.txt").write_bytes(written.encode())
    (line,) = problems(MODEL.format(how), KEY=written)
    assert wrong in line
    assert how.partition(":")[0] in line
    assert KEY not in line


@pytest.mark.parametrize("how", ["api_key_env: KEY", "api_key_file: key.txt", "api_key: ' '"])
def test_an_empty_key_is_refused(problems, tmp_path, how):
    (tmp_path / "key.txt").write_text("\n")
    (line,) = problems(MODEL.format(how), KEY=" \n")
    assert how.partition(":")[0] in line


@pytest.mark.parametrize(
    ("value", "sent"), [("v\n", "v"), (" a b ", "a b"), ('"tag"', '"tag"'), ("{a: b}", "{a: b}")]
)
def test_the_value_of_a_header_keeps_what_is_inside(read, value, sent):
    shown = value.replace('"', '\\"').replace("\n", "\\n")
    model = read(MODEL.format(f'headers: {{X-A: "{shown}"}}')).models[0]
    assert model.headers["X-A"].get_secret_value() == sent


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("a\\nb: c", "has a line break inside (its value is not shown): write it on one line"),
        ("a\\tb", "has a control character inside (its value is not shown): remove it"),
        ("ü", "has a character that is not ASCII (its value is not shown): write it in ASCII"),
        (" ", "is empty (its value is not shown): give a text, or remove the field"),
    ],
)
def test_the_value_of_a_header_that_cannot_be_sent(problems, value, wrong):
    (line,) = problems(MODEL.format(f'headers: {{X-A: "{value}"}}'))
    assert line.endswith(f"headers.X-A {wrong}")


@pytest.mark.parametrize("name", ["KEY", " KEY\\n"])
def test_key_envs_have_the_rule_of_api_key_env(more, name):
    rules = more(
        f'runtime_models: {{endpoints: [{{url: "HTTPS://H.example ", key_envs: ["{name}"]}}]}}'
    ).runtime_models
    assert rules.endpoints[0].key_envs == ["KEY"]


def test_a_variable_that_holds_text_with_quotes_keeps_them():
    assert variable("A", {"A": "'a' or 'b'"}) == "'a' or 'b'"
    assert variable("A", {}) == ""
