"""Size and import time of the core and of each extra, and what works with just that extra.

Builds a wheel and installs it into an empty environment for every extra, with the versions of the
lock files. Run ``python benchmarks/install_size.py --write docs/installation.md`` with the extra
``cli`` or more installed; packages come from the index that pip is set up for.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from floorline._markdown import markdown_table
from written import write

ROOT = Path(__file__).parent.parent

EXTRAS = {
    "": "routing in a Python program",
    "cli": "the command `floorline`",
    "connect": "`floorline connect`",
    "data": "routing tables in CSV and Parquet files",
    "fetch": "downloading public data, RouterBench's pickles",
    "offline": "policies and encoders that learn from a history",
    "bench": "`floorline replay`, `bench` and `demo`",
    "gateway": "`floorline serve`, `check`, `keys`, `store` and `whatif`",
    "report": "`floorline report`, with the server",
    "gateway,postgres": "the server's log in PostgreSQL",
    "gateway,litellm": "providers through LiteLLM",
    "gateway,any-llm": "providers through any-llm",
    "gateway,prices": "list prices for `price: auto`",
    "gateway,otel": "traces of the server's calls",
    "minilm": "MiniLM sentence embeddings",
    "train": "`floorline train proteus` (PyTorch for the CPU)",
}
"""Extra → what it is for; those that only add to the server are installed with it."""

LOOK = """
import importlib.metadata, json, pathlib, sysconfig, sys
site = pathlib.Path(sysconfig.get_path("purelib"))
files = {site, pathlib.Path(sysconfig.get_path("platlib"))}
size = sum(p.stat().st_size for folder in files for p in folder.rglob("*") if p.is_file())
print(json.dumps([size, len(list(importlib.metadata.distributions()))]))
"""
TIME = """
import time
start = time.perf_counter()
import floorline
print(time.perf_counter() - start)
"""


class Environment:
    """An empty virtual environment with a wheel and some extras in it."""

    def __init__(self, python, folder, wheel, extra, versions):
        run([python, "-m", "venv", "--without-pip", folder])
        self.bin = folder / "bin"
        wanted = f"{wheel}[{extra}]" if extra else str(wheel)
        pip = [sys.executable, "-m", "pip", "--python", self.bin / "python"]
        run([*pip, "install", "-q", "--disable-pip-version-check", "-c", versions, wanted])

    def python(self, code):
        """Run code and return what it prints."""
        return run([self.bin / "python", "-c", code]).stdout

    def command(self, *arguments):
        """Run the command ``floorline`` in an empty folder."""
        with tempfile.TemporaryDirectory() as folder:
            given = [self.bin / "floorline", *arguments]
            return subprocess.run(given, capture_output=True, text=True, cwd=folder, env=bare())

    def size(self):
        """Bytes and number of packages, without Python itself."""
        return json.loads(self.python(LOOK))

    def import_time(self, repeats=7):
        """Least of several times of ``import floorline``, in seconds."""
        return min(float(self.python(TIME)) for _ in range(repeats))


def run(arguments, **options):
    """Run a command; an error ends the program with what it printed."""
    done = subprocess.run(
        list(map(str, arguments)), capture_output=True, text=True, env=bare(), **options
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")
    return done


def bare():
    """Return this process's environment without what would leak its own packages in."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}


def works(environment, extra):
    """Return what was tried with just this extra, and raise SystemExit if it does not work."""
    if extra == "":
        environment.python("import floorline as fl; fl.Zoo([fl.Model('m', call_price=1.0)])")
        told = environment.command("--help")
        line = "error: the command 'floorline' needs the extra 'cli': pip install 'floorline[cli]'"
        expect(told.returncode == 2 and told.stderr.strip() == line, told)
        return "`import floorline`"
    if extra == "cli":
        told = environment.command("--help")
        expect(told.returncode == 0 and "serve" in told.stdout, told)
        lacking = environment.command("replay")
        expect(lacking.returncode == 2 and "pip install 'floorline[bench]'" in lacking.stderr)
        return "`floorline --help`"
    if extra == "gateway":
        serve_demo(environment)
        return "`floorline serve --demo`"
    if extra == "bench":
        small = ("--seeds", "1", "--horizon", "300", "--jobs", "2", "--out", "out")
        told = environment.command("replay", "--data", "simulated", "--floor", "0.8", *small)
        expect(told.returncode == 0 and "primal_dual" in told.stdout, told)
        return "`floorline replay --data simulated --floor 0.8`"
    return ""


def expect(true, told=None):
    """End the program unless something is true."""
    if not true:
        raise SystemExit(f"did not work: {told}")


def serve_demo(environment):
    """Start the demo server, ask it for its health, and stop it."""
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [environment.bin / "floorline", "serve", "--demo", "--port", "0"],
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=bare(),
        )
        try:
            assert server.stderr is not None
            line = server.stderr.readline()
            found = re.search(r"http://[\d.]+:\d+", line)
            expect(found, line + server.stderr.read() if not found else "")
            with urllib.request.urlopen(f"{found[0]}/healthz", timeout=10) as answer:
                expect(answer.status == 200)
            server.send_signal(signal.SIGTERM)
            expect(server.wait(timeout=30) == 0)
        finally:
            server.kill()
            server.wait()


def locked_versions(path):
    """Write the versions of the lock files, without hashes, as constraints; returns the path.

    The wheel that is installed has no hash, and pip wants all hashes or none.
    """
    files = [ROOT / "requirements" / name for name in ("full.txt", "torch.in")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    pins = [line.removesuffix(" \\") for line in lines if re.match(r"\w", line)]
    path.write_text("\n".join(pins) + "\n")
    return path


def measure(pythons, extras):
    """Return a line per extra (sizes, in the first Python) and what works in which Python."""
    lines, tried = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check"]
        run([*pip, "--no-deps", "-w", folder, ROOT])
        (wheel,) = folder.glob("*.whl")
        versions = locked_versions(folder / "versions.txt")
        for number, python in enumerate(pythons):
            version = run([python, "-c", "import platform; print(platform.python_version())"])
            version = version.stdout.strip()
            for extra in extras:
                if number and extra not in ("", "cli", "gateway", "bench"):
                    continue
                where = folder / f"{number}-{extra or 'core'}"
                started = time.perf_counter()
                environment = Environment(python, where, wheel, extra, versions)
                shown = f"`{extra}`" if extra else "(none)"
                if number == 0:
                    size, packages = environment.size()
                    seconds = environment.import_time()
                    cells = [f"{size / 1e6:.0f}", packages, f"{1000 * seconds:.0f}"]
                    lines.append([shown, EXTRAS[extra], *cells])
                what = works(environment, extra)
                if what:
                    tried.setdefault((shown, what), []).append(version)
                took = time.perf_counter() - started
                print(f"{version} {extra or 'core'}: {took:.0f} s", file=sys.stderr, flush=True)
    return lines, [[*key, ", ".join(versions)] for key, versions in tried.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--python", action="append", help="Interpreter; repeatable. Sizes are of the first."
    )
    parser.add_argument("--extra", action="append", help="Extra; repeatable. [default: all]")
    parser.add_argument("--write", type=Path, help="Replace the tables of this page.")
    options = parser.parse_args()
    pythons = options.python or [sys.executable]
    lines, tried = measure(pythons, options.extra or list(EXTRAS))
    head = ["extra", "for", "size, MB", "packages", "`import floorline`, ms"]
    tables = [
        markdown_table(head, lines, left=(0, 1)),
        "",
        "What was run in an environment with just that extra:",
        "",
        markdown_table(["extra", "command", "Python"], tried, left=(0, 1, 2)),
    ]
    text = "\n".join(tables)
    print(text)
    if options.write:
        write(options.write, "install_size.py", text)


if __name__ == "__main__":
    main()
