"""Processes of ``gateway.py``: started on given cores, watched through /proc, always stopped."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class DidNotStart(RuntimeError):
    """A contender that did not answer in time."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pinned(argv, cores):
    """Run a command on these cores only."""
    return ["taskset", "-c", ",".join(map(str, cores)), *argv]


@contextlib.contextmanager
def running(argv, cores, log, *, cwd=None, environment=None):
    """Start a command in a process group of its own; stop the group in the end."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            pinned(argv, cores),
            cwd=cwd,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for number, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
                break


def ask(port, method, path, *, body=None, headers=None, timeout=10.0):
    """Send one request; (0, b"") if nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def wait_for(process, log, probe, patience):
    """Seconds until ``probe()`` is true."""
    started = time.perf_counter()
    while time.perf_counter() - started < patience:
        if process.poll() is not None:
            break
        if probe():
            return time.perf_counter() - started
        time.sleep(0.005)
    tail = log.read_text(errors="replace")[-600:]
    raise DidNotStart(f"no answer within {patience} s; its log ends:\n{tail}")


def tree(pid):
    """Process ids of a process and all below it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                parents[int(entry.name)] = int(fields[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def peak_memory(pid):
    """MiB: peak resident set of a process and all below it, summed."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{one}/status").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return total / 1024


def cpu_seconds(pid):
    """Processor time so far of a process and all below it."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS
