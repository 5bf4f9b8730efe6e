"""Every command with bad input: one line with a fix, and no word of Python or a library."""

import gzip
import json
import os
import re
import subprocess
import sys

import pytest

from floorline.cli.app import COMMANDS, load_command, main
from floorline.datasets import simulate

RAW = re.compile(
    r"Traceback|\b\w*(?:Error|Exception|Warning)\b|Errno|0x[0-9a-f]{6}|<class|object at"
    r"|\bNoneType\b|codec|`\$|Expected `|pydantic|polars|msgspec|sqlalchemy|sqlite3\.|yaml\."
    r"|(?<!\+)psycopg|zlib"
    r"|a fault of Floorline itself|\bNone\b|\{'\w|\bdict\b|\bstr\b|\bint\b"
)
"""Words of Python and of libraries, which help no user."""

CONFIG = """
models:
  - {name: small, endpoint: "http://127.0.0.1:9/v1"}
slas:
  - {name: gold, floor: 0.9}
"""

BAD_FILES = (
    "missing",
    "folder",
    "empty",
    "blank",
    "binary",
    "zeros",
    "text",
    "json",
    "list",
    "deep",
    "packed",
    "half packed",
    "below a file",
    "loop",
    "long name",
    "latin",
    "null device",
)
"""Files that are none of what a command reads; ``bad_file`` makes them."""


@pytest.fixture
def bad_file(tmp_path, request):
    """Path of a file by its kind and its suffix."""

    def make(kind, suffix):
        path = tmp_path / f"bad{suffix}"
        if kind == "missing":
            return path
        if kind == "folder":
            path.mkdir()
        elif kind == "below a file":
            path.write_text("x")
            return path / f"below{suffix}"
        elif kind == "loop":
            path.symlink_to(path)
        elif kind == "long name":
            return tmp_path / ("x" * 300 + suffix)
        elif kind == "null device":
            return "/dev/null"
        else:
            path.write_bytes(
                {
                    "empty": b"",
                    "blank": b"\n \n",
                    "binary": bytes(range(1, 256)) * 8,
                    "zeros": bytes(4096),
                    "text": b"hello, world\n",
                    "json": b'{"a": {"b": [1, 2]}, "models": 3}\n',
                    "list": b"[1, 2, 3]\n",
                    "deep": b"[" * 100_000,
                    "packed": gzip.compress(b"hello\n"),
                    "half packed": gzip.compress(bytes(10_000))[:-9],
                    "latin": "models: é\n".encode("latin-1"),
                }[kind]
            )
        return path

    return make


@pytest.fixture
def good(tmp_path, monkeypatch):
    """A folder with a configuration and a table, which is the working folder."""
    folder = tmp_path / "good"
    folder.mkdir()
    (folder / "floorline.yaml").write_text(CONFIG)
    simulate(40, seed=0).save(folder / "table.parquet")
    monkeypatch.chdir(folder)
    return folder


def refused(arguments, capfd):
    """Run a command that must fail; return what it says."""
    words = [str(argument) for argument in arguments]
    if words[0] == "replay" and "--data" not in words:
        # The default is larger, and takes a second.
        words += ["--data", "table.parquet"]
    code = main(words)
    told = capfd.readouterr()
    assert code in (1, 2), (code, told)
    # A progress bar that is gone leaves an empty line.
    lines = [line for line in told.err.splitlines() if line]
    errors = [line for line in lines if line.startswith("error: ")]
    # Damage of a store is what 'store verify' is to print.
    errors += [line for line in told.out.splitlines() if line.startswith("damaged: ")]
    assert errors, told
    assert all(line.startswith(("error: ", "note: ")) for line in lines), told.err
    # Paths of the test are no words of a message.
    for line in errors:
        shown = re.sub(r"/\S*", "", line)
        assert RAW.search(shown) is None, line
        assert len(line) < 2_000
    return "\n".join(errors)


READERS = {
    "replay --data {}": ".csv",
    "replay --data {} --columns a:b:c": ".jsonl",
    "replay --policy proteus --param checkpoint={} --data table.parquet": "",
    "replay --encoder lsa:{} --data table.parquet": ".msgpack",
    "replay --encoder minilm:{} --data table.parquet": "",
    "datasets describe {}": ".parquet",
    "datasets describe  {}": ".tsv",
    "datasets describe {} --format messplus": ".csv",
    "datasets describe {} --format sprout": ".parquet",
    "datasets describe {} --format routerbench": ".pkl",
    "datasets describe {} --format open-llm-leaderboard": ".npy",
    "datasets describe {} --format paretobandit": ".jsonl",
    "datasets describe {} --format floorline": ".parquet",
    "datasets convert {} out.parquet": ".ndjson",
    "train proteus --out net --data {}": ".json",
    "bench --suite {}": ".yaml",
    "check --offline --config {}": ".yaml",
    "hints {}": ".csv",
    "trial --max-cost 1 --prompts {}": ".csv",
    "trial --max-cost 1 --prompts table.parquet --config {}": ".yaml",
    "serve --config {}": ".yaml",
    "explain d1 --config {}": ".yaml",
    "explain d1 --store sqlite:///{}": ".db",
    "keys list --config {}": ".yaml",
    "keys list --store sqlite:///{}": ".db",
    "keys revoke abc --store sqlite:///{}": ".db",
    "store migrate --config {}": ".yaml",
    "store vacuum --older-than 1d --store sqlite:///{}": ".db",
    "store export out.jsonl --store sqlite:///{}": ".db",
    "store verify --store sqlite:///{}": ".db",
    "store repair --store sqlite:///{}": ".db",
    "report certificate --log {}": ".jsonl",
    "report certificate  --log {}": ".db",
    "report sla --log {}": ".jsonl",
    "report sla  --log {}": ".db",
    "report sla --config {}": ".yaml",
    "report run {}": "",
    "connect codex --write --file {}": ".toml",
    "connect opencode --write --file {}": ".json",
    "connect continue --write --file {}": ".yaml",
    "connect open-webui --write --file {}": ".env",
    "whatif --policy cheapest --log {}": ".jsonl",
    "whatif --policy cheapest  --log {}": ".db",
}
"""Commands that read a file, and the suffix that its name has."""

NEW = ("missing", "empty", "blank")
"""Files that a command which writes a configuration fills."""
FINE = {
    # An empty file is an empty store.
    ("store vacuum --older-than 1d --store sqlite:///{}", "empty"),
    *((command, kind) for command in READERS for kind in NEW if command.startswith("connect")),
    ("connect opencode --write --file {}", "json"),
    *(("connect open-webui --write --file {}", kind) for kind in ("text", "json", "list", "deep")),
}


FEW = ("missing", "folder", "empty", "binary", "text", "below a file")
"""Files that are no databases: SQLite has one error for all others."""
CASES = [
    (command, kind)
    for command, suffix in READERS.items()
    for kind in (FEW if suffix == ".db" else BAD_FILES)
]


@pytest.mark.parametrize(("command", "kind"), CASES)
def test_a_file_that_a_command_cannot_read(command, kind, good, bad_file, capfd):
    path = bad_file(kind, READERS[command])
    if (command, kind) in FINE:
        assert main([word.replace("{}", str(path)) for word in command.split()]) == 0
        return
    refused([word.replace("{}", str(path)) for word in command.split()], capfd)


WRITERS = [
    "datasets convert table.parquet {}/x.parquet",
    "replay --data table.parquet --no-references --seeds 1 --jobs 1 --policy cheapest --out {}/x",
    "bench --suite smoke --out {}/x",
    "train proteus --data table.parquet --steps 1 --out {}/x",
    "store migrate --store sqlite:///{}/x.db",
    "keys create name --store sqlite:///{}/x.db",
    "trial --max-cost 1 --n 1 --prompts table.parquet --out {}/x.csv",
]


@pytest.mark.parametrize("where", ["below a file", "loop", "long name"])
@pytest.mark.parametrize("command", WRITERS)
def test_a_place_that_cannot_be_written(command, where, good, bad_file, capfd):
    path = bad_file(where, "")
    refused([word.replace("{}", str(path)) for word in command.split()], capfd)


VALUES = [
    "replay --data",
    "replay --policy mes_plus",
    "replay --policy :",
    "replay --policy floorline:Nothing",
    "replay --policy json:JSONDecoder",
    "replay --policy broken:Policy",
    "replay --policy unfinished:Policy",
    "replay --encoder hased",
    "replay --feedback sparce:1",
    "replay --feedback sparse:x",
    "replay --floor x",
    "replay --floor -1",
    "replay --seeds 0",
    "replay --seeds 1e9",
    "replay --history 1",
    "replay --horizon -5",
    "replay --budget nan",
    "replay --split uniform",
    "replay --budget 1 --split unifrom",
    "replay --gaps none",
    "replay --data table.parquet --columns a",
    "replay --data table.parquet --columns {",
    "replay --data table.parquet --columns {}",
    "replay --data table.parquet --columns a:b:c",
    "replay --data table.parquet --format xls",
    "replay --param a",
    "replay --param config=3",
    "replay --policy mess_plus --param V=x",
    "replay --policy carrot --param window=many",
    "replay --policy proteus",
    "replay --policy port",
    "replay --policy omnirouter",
    "replay --policy port --history 0.2",
    "datasets",
    "datasets describe",
    "datasets describe simulatd",
    "datasets convert simulated x.csv",
    "datasets fetch routerbenc data",
    "train proteus --data simulated --out x --encoder none",
    "train proteus --data simulated --out x --tau-range 1 0",
    "bench --suite smok",
    "bench --suite smoke --jobs none",
    "bench --suite smoke --engine spark",
    "bench --suite smoke --address tcp://127.0.0.1:8786",
    "check --config floorlin.yaml",
    "check --timeout 0",
    "serve",
    "serve --demo --config floorline.yaml",
    "serve --demo --host 0.0.0.0",
    "serve --demo --port 99999",
    "serve --demo --users 1001",
    "serve --demo --users many",
    "serve --config floorline.yaml --users 3",
    "serve --config floorline.yaml --open",
    "serve --config floorline.yaml --keys",
    "serve --demo --workers 2",
    "serve --config floorline.yaml --workers 0",
    "learn",
    "learn --config floorlin.yaml",
    "hints table.parquet --max-weight -1",
    "hints simulatd",
    "trial --prompts table.parquet --max-cost -1",
    "trial --prompts table.parquet --max-cost nan",
    "trial --prompts table.parquet --max-cost 1 --n 0",
    "trial --prompts table.parquet --max-cost 1 --match similar",
    "keys create x --scope chatt",
    "keys create x --budget 3",
    "keys create x --period 3d",
    "keys create x --budget 3 --period soon",
    "keys create x --rate 0",
    "keys revoke nothing",
    "explain",
    "explain d1 --store nonsense",
    "explain d1 --url nonsense",
    "explain d1 --url http://127.0.0.1:9",
    "explain d1 --url http://127.0.0.1:9 --store sqlite:///x.db",
    "explain d1 --config floorlin.yaml",
    "mcp --url nonsense",
    "mcp --log nonsense",
    "keys list --store sqlite://",
    "keys list --store mysql://a/b",
    "keys list --store nonsense",
    "keys list --store postgresql://nobody@127.0.0.1:9/x",
    "store vacuum --older-than 3",
    "store export x.csv",
    "store export x.jsonl --since yesterday",
    "report certificate",
    "report certificate --log nonsense://x",
    "report sla --log nonsense://x",
    "report sla --log table.parquet --since yesterday",
    "report sla --since 2026-01-02 --until 2026-01-01",
    "report run",
    "report run .",
    "connect",
    "connect claude",
    "connect codex --url nonsense",
    "connect codex --url ftp://example.org",
    "connect codex --key-env sk-123",
    "connect codex --sla 'a b'",
    "top --url nonsense",
    "top --url http://127.0.0.1:9",
    "top --since 2h",
    "top --interval 0",
    "whatif --log x.jsonl",
    "whatif --log x.jsonl --policy cheapes",
    "nothing",
    "replai",
    "--nothing",
    "demo --users 0",
    "demo --gateway --policy prmal_dual --users 1",
    "demo --gateway --floor 2 --users 1",
]


@pytest.mark.parametrize("command", VALUES)
def test_a_value_that_a_command_does_not_take(command, good, capfd):
    (good / "broken.py").write_text("class Policy(:\n")
    (good / "unfinished.py").write_text("raise KeyError('x')\n")
    words = command.split()
    if words == ["datasets"]:
        assert main(words) == 2
        assert "Traceback" not in capfd.readouterr().err
    else:
        refused(words, capfd)


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("replay --policy mes_plus", "did you mean 'mess_plus'?"),
        ("replay --policy Primal-Dual", "did you mean 'primal_dual'?"),
        ("replay --data simulatd", "did you mean 'simulated'?"),
        ("replay --data tabel.parquet", "did you mean 'table.parquet'?"),
        ("replay --encoder hased", "did you mean 'hashed'?"),
        ("replay --gaps maks", "did you mean 'mask'?"),
        ("replay --feedback servd+sparse:0.1", "did you mean 'served'?"),
        ("replay --param confg=1", "did you mean 'config'?"),
        ("replay --budget 1 --split unifrom", "did you mean 'uniform'?"),
        ("bench --suite smok", "did you mean 'smoke'?"),
        ("datasets describe table.parquet --format routerbnch", "did you mean 'routerbench'?"),
        ("datasets fetch routerbenc data", "did you mean 'routerbench'?"),
        ("keys create x --scope chatt", "did you mean 'chat'?"),
        ("connect claude-cod", "did you mean 'claude-code'?"),
        ("replai", "Did you mean 'replay'"),
    ],
)
def test_a_name_that_resembles_a_known_one_is_guessed(command, meant, good, capfd):
    assert meant in refused(command.split(), capfd)


def test_the_table_has_every_command():
    def paths(command, above):
        inner = getattr(command, "commands", None)
        if inner is None:
            return {above}
        return {path for name, one in inner.items() for path in paths(one, f"{above} {name}")}

    known = set().union(*(paths(load_command(name), name) for name in COMMANDS))
    tried = [*READERS, *WRITERS, *VALUES]
    assert {path for path in known if not any(one.startswith(path) for one in tried)} <= {
        "datasets list"
    }


def test_a_full_disk_is_one_line(good):
    words = ["datasets", "convert", "table.parquet", "out.parquet"]
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512));"
    limited += "from floorline.cli.app import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", limited, *words], cwd=good, capture_output=True, timeout=60
    )
    (line,) = done.stderr.decode().splitlines()
    assert done.returncode == 2
    assert line.startswith("error: ")
    assert RAW.search(re.sub(r"/\S*", "", line)) is None, line


def test_a_missing_extra_is_named_with_the_command_that_installs_it(good):
    hidden = "import sys; sys.modules['polars'] = None;"
    hidden += "from floorline.cli.app import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", hidden, "datasets", "describe", "table.parquet"],
        cwd=good,
        capture_output=True,
        timeout=60,
    )
    (line,) = done.stderr.decode().splitlines()
    assert done.returncode == 2
    assert "pip install 'floorline[data]'" in line


ASCII = {"PYTHONIOENCODING": "ascii"}
PLAIN_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


COMMANDS_SHOWN = (
    "replay --data table.parquet --seeds 2 --jobs 1 --policy cheapest --no-references",
    "datasets describe table.parquet",
    "datasets convert table.parquet out.parquet",
    "check --offline",
    "replay --data table.parquet --policy τ",
    "replay --help",
)
EACH = """
import sys
from floorline.cli.app import main
for command in sys.argv[1:]:
    code = main(command.split())
    print(f"exit {code}: {command!a}", flush=True)
"""


@pytest.mark.parametrize("environ", [ASCII, PLAIN_C, {"TERM": "dumb"}], ids=["ascii", "C", "dumb"])
def test_terminals_without_unicode(environ, good):
    """One process for all commands, because most of each would be its imports."""
    env = {**os.environ, "NO_COLOR": "1", **environ}
    done = subprocess.run(
        [sys.executable, "-c", EACH, *COMMANDS_SHOWN],
        cwd=good,
        env=env,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    codes = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(b"exit ")]
    assert codes == [b"0:", b"0:", b"0:", b"0:", b"2:", b"0:"], done
    assert b"cheapest" in done.stdout
    if "TERM" not in environ:
        assert (done.stdout + done.stderr).isascii()
        table = done.stdout.decode().partition("exit 0")[0]
        lines = [line for line in table.splitlines() if line.startswith("|")]
        assert len({len(line) for line in lines}) == 1


def test_a_reader_of_a_pipe_that_stops_is_no_error(good):
    command = f"{sys.executable} -m floorline replay --help | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=good, capture_output=True, timeout=60, check=True
    )
    assert done.stderr == b""


def test_a_fault_of_floorline_itself_is_one_line_with_what_to_do(good, capfd, monkeypatch):
    monkeypatch.setattr("floorline.cli.replay.prepare", lambda *_: json.loads("{"))
    assert main(["replay", "--data", "table.parquet"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "a fault of Floorline itself" in line
    assert "FLOORLINE_TRACEBACK=1" in line
    monkeypatch.setenv("FLOORLINE_TRACEBACK", "1")
    with pytest.raises(json.JSONDecodeError):
        main(["replay", "--data", "table.parquet"])
