"""Files of clients: some settings are set, and everything else stays."""

import json
import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from floorline.cli.client_files import MAX_FILE, merged, text_of
from floorline.errors import ConfigError

SETTINGS = {"model": "floorline/gold", "env": {"URL": "http://a:1", "DEEP": {"x": "1"}}}
READERS = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}

names = st.text("abcdexyz_", min_size=1, max_size=6)
plain = st.booleans() | st.integers(-999, 999) | st.text("ab ü'\"#:-", max_size=8)
leaves = plain | st.lists(st.text("ab", max_size=3), max_size=3)
tables = st.recursive(
    st.dictionaries(names, leaves, max_size=4),
    lambda inner: st.dictionaries(names, inner | leaves, max_size=4),
    max_leaves=12,
)


def overlaid(below, above):
    """What two tables say together."""
    both = {name: below[name] for name in below} | above
    for name in below.keys() & above.keys():
        if isinstance(below[name], dict) and isinstance(above[name], dict):
            both[name] = overlaid(below[name], above[name])
    return both


def fits(below, above):
    """Whether no table of ``above`` would replace another value."""
    shared = [name for name in below.keys() & above.keys() if isinstance(above[name], dict)]
    return all(isinstance(below[n], dict) and fits(below[n], above[n]) for n in shared)


@pytest.mark.parametrize("kind", READERS)
@given(below=tables, above=tables)
def test_settings_are_laid_over_those_of_the_file(tmp_path_factory, kind, below, above):
    path = tmp_path_factory.mktemp("file") / "settings"
    path.write_text(text_of(kind, below))
    assert READERS[kind](path.read_text()) == below
    if not fits(below, above):
        with pytest.raises(ConfigError):
            merged(path, kind, above, {})
        return
    change = merged(path, kind, above, {})
    assert READERS[kind](change.after) == overlaid(below, above)
    path.write_text(change.after)
    assert not merged(path, kind, above, {}).needed


@pytest.mark.parametrize("kind", READERS)
def test_a_new_file_also_says_what_such_a_file_needs(tmp_path, kind):
    path = tmp_path / "new" / "folder" / "settings"
    change = merged(path, kind, SETTINGS, {"version": "1"})
    assert change.write() is None
    assert READERS[kind](path.read_text()) == {"version": "1", **SETTINGS}
    assert path.stat().st_mode & 0o777 == 0o600
    assert not merged(path, kind, SETTINGS, {"version": "1"}).needed


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("toml", '# mine\nmodel = "old" # why\n\n[env] # more\nOTHER = 1_000\n'),
        ("yaml", "# mine\nmodel: 'old' # why\nenv: # more\n    OTHER: 0x10\n"),
    ],
)
def test_comments_and_other_lines_stay(tmp_path, kind, text):
    path = tmp_path / "settings"
    path.write_text(text)
    after = merged(path, kind, SETTINGS, {"version": "1"}).after
    assert after.startswith("# mine\nmodel")
    for kept in ("# why", "# more", "1_000" if kind == "toml" else "0x10"):
        assert kept in after
    assert "version" not in after


def test_keys_of_toml_come_before_its_tables(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('[features]\nweb = true\n\n[model_providers.mine]\nname = "Mine"\n')
    settings = {"model": "m", "model_providers": {"floorline": {"name": "Floorline"}}}
    assert tomllib.loads(merged(path, "toml", settings, {}).after) == {
        "model": "m",
        "features": {"web": True},
        "model_providers": {"mine": {"name": "Mine"}, "floorline": {"name": "Floorline"}},
    }


def test_the_indentation_of_json_stays(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text('{\n\t"own": ["ü"]\n}')
    assert merged(path, "json", {"a": 1}, {}).after == '{\n\t"own": [\n\t\t"ü"\n\t],\n\t"a": 1\n}\n'


@pytest.mark.parametrize(
    "indented", ["models:\n  - name: own\n    model: x\n", "models:\n- name: own\n  model: x\n"]
)
def test_lists_of_named_settings_are_merged_by_name(tmp_path, indented):
    path = tmp_path / "config.yaml"
    path.write_text(indented)
    first = merged(path, "yaml", {"models": [{"name": "F", "model": "a"}]}, {})
    assert first.after.startswith(indented)
    path.write_text(first.after)
    second = merged(path, "yaml", {"models": [{"name": "F", "model": "b"}]}, {})
    assert yaml.safe_load(second.after) == {
        "models": [{"name": "own", "model": "x"}, {"name": "F", "model": "b"}]
    }


def test_variables_are_replaced_or_appended(tmp_path):
    path = tmp_path / ".env"
    path.write_text("# mine\nexport A=1\nB = 2\nAB=3")
    change = merged(path, "env", {"A": "x", "B": "y", "C": "z"}, {})
    assert change.after == "# mine\nexport A=x\nB =y\nAB=3\nC=z\n"


def test_the_old_file_is_kept_and_so_are_older_ones(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text('{"a": 0}')
    path.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    for number in (1, 2):
        kept = merged(link, "json", {"a": number}, {}).write()
        assert json.loads(kept.read_text()) == {"a": number - 1}
        assert json.loads(path.read_text()) == {"a": number}
        assert {one.stat().st_mode & 0o777 for one in (kept, path)} == {0o640}
    assert link.is_symlink()
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    ("kind", "data", "what"),
    [
        ("json", b'{"a": 1} // mine', "is no JSON without comments"),
        ("json", b"[1]", "is no table of settings"),
        ("json", b'{"env": "text"}', "env is no table of settings"),
        ("json", b'{"models": {}}', "models is no list"),
        ("json", b"[" * 100_000, "is no JSON"),
        ("toml", b"a = = 1", "is no TOML"),
        ("yaml", b"a: [", "is no YAML"),
        ("yaml", b"- 1", "is no table of settings"),
        ("yaml", b"a: 1\na: 2", "is no YAML"),
        ("env", b"\xff\xfe", "is no text in UTF-8"),
        ("env", b"#" * (MAX_FILE + 1), "has more than 4,194,304 bytes"),
    ],
)
def test_a_file_of_another_form_is_left_as_it_is(tmp_path, kind, data, what):
    path = tmp_path / "settings"
    path.write_bytes(data)
    settings = {"env": {"A": "1"}, "models": [{"name": "F"}]} if kind != "env" else {"A": "1"}
    with pytest.raises(ConfigError) as caught:
        merged(path, kind, settings, {})
    (problem,) = caught.value.problems
    assert f"{path}: {what}" in problem
    assert "--write" in problem
    assert path.read_bytes() == data


def test_a_device_is_not_replaced():
    with pytest.raises(ConfigError, match="is a folder or a device"):
        merged(Path("/dev/null"), "json", {"a": 1}, {})
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("kind", "text", "settings"),
    [
        (
            "env",
            "DB_PASSWORD=hunter2\nOPENAI_API_KEY=sk-old\nHF_TOKEN='hunter 2'\nA_KEY=sk_hunter\n",
            {"OPENAI_API_KEY": "${FLOORLINE_API_KEY}"},
        ),
        (
            "json",
            '{"apiKeyHelper":"printenv FLOORLINE_API_KEY","env":{"ANTHROPIC_API_KEY":"sk-old",'
            '"AWS_SECRET":"hunter2"}}',
            {"model": "floorline/gold"},
        ),
        ("toml", 'api_key = "sk-old"\n', {"env_key": "FLOORLINE_API_KEY"}),
        (
            "yaml",
            "models:\n  - name: a\n    apiKey: sk-old\n    secret: hunter2\n",
            {"models": [{"name": "a", "apiKey": "${{ secrets.FLOORLINE_API_KEY }}"}]},
        ),
    ],
)
def test_the_diff_shows_no_secret_of_the_file(tmp_path, kind, text, settings):
    path = tmp_path / "settings"
    path.write_text(text)
    change = merged(path, kind, settings, {})
    shown = change.diff()
    assert change.needed
    assert "sk-old" in change.before
    assert "sk-old" not in shown
    assert "hunter" not in shown
    assert "FLOORLINE_API_KEY" in shown
