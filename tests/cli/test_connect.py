"""``floorline connect``: what points a client at the server. tests/agents runs the clients."""

import json
import tomllib

import pytest
import yaml

from floorline.cli.app import main
from floorline.cli.clients import CLIENTS
from floorline.cli.connect import server_url

SERVER = "http://llm.example.org:81/gate"


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_CONFIG_HOME", "CONTINUE_GLOBAL_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def connected(capfd, client, *options):
    given = ["--url", f"{SERVER}/v1", "--sla", "gold", "--key-env", "MY_KEY", *options]
    assert main(["connect", client, *given]) == 0
    return capfd.readouterr()


FILES = {
    "claude-code": (".claude/settings.json", json.loads),
    "codex": (".codex/config.toml", tomllib.loads),
    "opencode": (".config/opencode/opencode.json", json.loads),
    "continue": (".continue/config.yaml", yaml.safe_load),
    "open-webui": (".env", lambda text: dict(line.split("=", 1) for line in text.splitlines())),
}


@pytest.mark.parametrize("client", FILES)
def test_what_is_printed_is_what_is_written(home, capfd, client):
    place, read = FILES[client]
    told = connected(capfd, client)
    printed = read(told.out)
    assert list(home.iterdir()) == []
    assert place in told.err
    assert "MY_KEY" in told.err
    told = connected(capfd, client, "--write")
    written = read((home / place).read_text())
    assert printed.items() <= written.items()
    assert SERVER in told.out
    assert "wrote " in told.err
    told = connected(capfd, client, "--write")
    assert told.out == ""
    assert "says so already" in told.err
    assert len(list((home / place).parent.iterdir())) == 1


def test_every_client_is_tested():
    assert list(FILES) == list(CLIENTS)


def test_other_settings_stay_and_the_old_file_is_kept(home, capfd):
    path = home / ".claude/settings.json"
    path.parent.mkdir()
    old = '{"env": {"ANTHROPIC_BASE_URL": "http://other", "MINE": "1"}, "hooks": {}}'
    path.write_text(old)
    told = connected(capfd, "claude-code", "--write")
    assert '-{"env"' in told.out
    assert "settings.json.before-floorline" in told.err
    assert (path.parent / "settings.json.before-floorline").read_text() == old
    new = json.loads(path.read_text())
    assert new["hooks"] == {}
    assert new["env"]["MINE"] == "1"
    # Anthropic's clients add /v1 themselves.
    assert new["env"]["ANTHROPIC_BASE_URL"] == SERVER
    assert new["apiKeyHelper"] == "printenv MY_KEY"


def test_variables_of_clients_and_the_option_say_where_the_file_is(home, capfd, monkeypatch):
    monkeypatch.setenv("CODEX_HOME", str(home / "elsewhere"))
    connected(capfd, "codex", "--write")
    assert (home / "elsewhere/config.toml").exists()
    connected(capfd, "codex", "--write", "--file", "here.toml")
    assert (home / "here.toml").read_text() == (home / "elsewhere/config.toml").read_text()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://a:1", "http://a:1"),
        ("http://a:1/", "http://a:1"),
        ("http://a:1/v1/", "http://a:1"),
        ("http://a:1/v1/chat/completions", "http://a:1"),
        ("https://a/b/v1/messages", "https://a/b"),
        ("http://[::1]:8080/v1", "http://[::1]:8080"),
    ],
)
def test_the_url_may_be_that_of_the_api(given, meant):
    assert server_url(given) == meant


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--url", "localhost:8080"], ["--url", "http://127.0.0.1:8080"]),
        (["--url", "http://:1"], ["--url"]),
        (["--url", "http://a:99999"], ["--url"]),
        (["--url", "http://me:secret@a"], ["--url", "***"]),
        (["--url", 'http://a"b'], ["--url"]),
        (["--key-env", "sk-1234-secret"], ["--key-env", "name of an environment variable"]),
        (["--sla", ""], ["--sla"]),
        (["--sla", "two words"], ["--sla"]),
    ],
)
def test_wrong_options_are_one_line(home, capfd, options, words):
    assert main(["connect", "codex", *options]) == 2
    told = capfd.readouterr()
    assert len(told.err.splitlines()) == 1
    assert all(word in told.err for word in words)
    assert "secret" not in told.err


def test_a_file_that_cannot_be_read_is_one_line(home, capfd):
    (home / ".codex").mkdir()
    (home / ".codex/config.toml").write_text("[")
    assert main(["connect", "codex", "--write"]) == 2
    told = capfd.readouterr()
    assert len(told.err.splitlines()) == 1
    assert "is no TOML" in told.err
    assert main(["connect", "codex", "--write", "--file", "."]) == 2
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_an_unknown_client_is_one_line(home, capfd):
    assert main(["connect", "emacs"]) == 2
    assert "claude-code" in capfd.readouterr().err
