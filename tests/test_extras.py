"""A missing optional dependency is answered by one line with the pip command."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from floorline._extras import needs
from floorline.errors import MissingExtra

ROOT = Path(__file__).parent.parent

MODULES = {
    "cli": ("rich", "typer"),
    "data": ("polars",),
    "fetch": ("huggingface_hub", "pandas"),
    "offline": ("safetensors", "scipy", "sklearn", "usearch"),
    "bench": ("PIL", "joblib", "matplotlib", "threadpoolctl", "yaml"),
    "gateway": (
        "aiohttp",
        "alembic",
        "backports",
        "brotli",
        "httptools",
        "jinja2",
        "prometheus_client",
        "sqlalchemy",
        "starlette",
        "uvicorn",
        "uvloop",
        "yaml",
    ),
    # Its templates need what the gateway has, and its tests of labels what "offline" has.
    "report": (),
    "pdf": ("weasyprint",),
    "minilm": ("onnxruntime", "tokenizers"),
    "otel": ("opentelemetry",),
    "postgres": ("psycopg",),
    "litellm": ("litellm",),
    "prices": ("genai_prices",),
    "mcp": ("mcp",),
    "any-llm": ("any_llm",),
    "connect": ("ruamel", "tomlkit"),
    "train": ("torch",),
    "dask": ("dask", "distributed"),
    "ray": ("ray",),
}
"""Extra → the modules it carries, without those of the extras that it contains.

Pydantic is not among those of "gateway": Typer, and so the extra "cli", brings it too.
"""

HIDE = "import sys; sys.modules.update(dict.fromkeys({names}))\n"
"""Python finds no module that stands for None here."""


def run(code, *, extras=()):
    """Run Python code as if only these extras were installed."""
    kept = {name for extra in extras for name in MODULES[extra]}
    names = {name for modules in MODULES.values() for name in modules} - kept
    script = HIDE.format(names=names) + code
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def command(*arguments, extras=("cli",)):
    """Run the command ``floorline`` as if only these extras were installed."""
    code = f"from floorline.__main__ import run; sys.argv[1:] = {list(arguments)}; run()"
    return run(code, extras=extras)


def test_a_missing_module_names_feature_extra_and_command():
    with pytest.raises(MissingExtra) as caught, needs("bench", "replaying"):
        import no_such_module  # noqa: F401
    assert str(caught.value) == (
        "replaying needs the extra 'bench': pip install 'floorline[bench]'"
    )


def test_a_missing_module_of_our_own_is_a_fault_and_stays_one():
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), needs("cli", "x"):
        import floorline.no_such_module  # noqa: F401


def test_extras_are_declared():
    with (ROOT / "pyproject.toml").open("rb") as stream:
        declared = tomllib.load(stream)["project"]["optional-dependencies"]
    assert set(MODULES) <= set(declared)


def test_routing_needs_no_extra():
    done = run(
        "import floorline as fl\n"
        "zoo = fl.Zoo([fl.Model('small', call_price=1.0), fl.Model('large', call_price=9.0)])\n"
        "router = fl.Router(zoo, slas=[fl.SLA('gold', floor=0.8)])\n"
        "decision = router.route('hello', sla='gold', at=0.0)\n"
        "router.outcome(decision.id, model=decision.model, cost=1.0, at=0.0)\n"
        "router.feedback(decision.id, satisfied=True, at=0.0)\n"
        "print(router.status('gold').requests)\n"
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_replay_in_one_process_needs_no_extra_but_comparing_does():
    code = (
        "from floorline.datasets import simulate\n"
        "from floorline.encoders import make_encoder\n"
        "from floorline.replay import Spec, compare, prepare, replay\n"
        "data = prepare(simulate(40), make_encoder('hashed'))\n"
        "print(len(replay(data, Spec('primal_dual', 0.8)).model))\n"
        "from floorline.errors import MissingExtra\n"
        "try:\n"
        "    compare(data, [Spec('random', 0.8)])\n"
        "except MissingExtra as error:\n"
        "    print(error)\n"
    )
    done = run(code)
    assert done.stdout.splitlines() == [
        "40",
        "comparing replays needs the extra 'bench': pip install 'floorline[bench]'",
    ], done.stderr


def test_without_the_extra_cli_the_command_says_so():
    done = command("--help", extras=())
    assert done.returncode == 2
    assert done.stderr == (
        "error: the command 'floorline' needs the extra 'cli': pip install 'floorline[cli]'\n"
    )


def test_help_needs_only_the_extra_cli():
    done = command("--help")
    assert done.returncode == 0, done.stderr
    for name in ("serve", "replay", "whatif"):
        assert name in done.stdout


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["demo"], "bench"),
        (["connect", "codex"], "connect"),
        (["connect", "continue"], "connect"),
        (["demo", "--gateway"], "gateway"),
        (["serve", "--demo"], "gateway"),
        (["check"], "gateway"),
        (["keys", "list", "--store", "sqlite:///x.db"], "gateway"),
        (["store", "migrate", "--store", "sqlite:///x.db"], "gateway"),
        (["replay"], "bench"),
        (["bench"], "bench"),
        (["datasets", "describe", "."], "data"),
        (["hints", "x.csv"], "data"),
        (["trial", "--prompts", "x.csv", "--max-cost", "1"], "gateway"),
        (["mcp"], "mcp"),
        (["train", "proteus", "--data", "simulated", "--out", "x"], "train"),
        (["report", "certificate", "--log", "sqlite:///x.db", "--out", "x"], "report"),
        (["report", "sla", "--log", "sqlite:///x.db", "--out", "x"], "report"),
        (["report", "run", "."], "report"),
        (["whatif", "--log", "sqlite:///x.db", "--policy", "random"], "gateway"),
    ],
    ids=lambda given: given if isinstance(given, str) else " ".join(given[:2]),
)
def test_a_command_names_the_extra_that_it_lacks(arguments, extra):
    done = command(*arguments)
    assert done.returncode == 2, done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert f"needs the extra '{extra}': pip install 'floorline[{extra}]'" in done.stderr


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("from floorline.datasets import simulate; simulate(3).save('x.parquet')", "data"),
        ("from floorline.datasets import load; load('.')", "data"),
        ("from floorline.datasets.fetch import fetch; fetch('sprout', '.')", "fetch"),
        ("from floorline.encoders.lsa import Lsa; Lsa(2).fit(['a', 'b', 'c'])", "offline"),
        ("from floorline.encoders.minilm import MiniLm; MiniLm('.')", "minilm"),
        ("from floorline.policies import make_policy; make_policy('knn_perf')", None),
        ("import floorline.replay.tables", "bench"),
        ("import floorline.report.plots", "bench"),
        ("import floorline.bench", "bench"),
        ("import floorline.replay.proteus", "bench"),
        ("import floorline.config", "gateway"),
        ("import floorline.plugins.litellm", "litellm"),
        ("from floorline.stores import open_store; open_store('sqlite:///x.db')", "gateway"),
    ],
)
def test_the_library_names_the_extra_that_it_lacks(code, extra):
    done = run(code)
    last = done.stderr.strip().splitlines()[-1:]
    if extra is None:
        assert not last
    else:
        assert last[0].startswith("floorline.errors.MissingExtra: ")
        assert last[0].endswith(f"needs the extra '{extra}': pip install 'floorline[{extra}]'")


def test_prices_are_looked_up_with_the_extra_only(tmp_path):
    file = tmp_path / "floorline.yaml"
    model = "{name: gpt-4o-mini, endpoint: 'https://api.openai.com/v1', price: PRICE}"
    text = f"models: [{model}]\nslas: [{{name: gold, floor: 0.9}}]\n"
    for price, code, told in (
        ("free", 0, "gpt-4o-mini: free"),
        ("auto", 2, "price: auto needs the extra 'prices': pip install 'floorline[prices]'"),
    ):
        file.write_text(text.replace("PRICE", price))
        done = command("check", "--offline", "--config", str(file), extras=("cli", "gateway"))
        assert done.returncode == code, done.stderr
        assert told in done.stdout + done.stderr
