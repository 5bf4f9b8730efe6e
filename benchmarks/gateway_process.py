"""Processes of ``gateway.py``: start on given cores, measurement through /proc, and stop."""

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
    """A server did not answer within its timeout."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pinned(argv, cores):
    """Return a command that runs on these cores only."""
    return ["taskset", "-c", ",".join(map(str, cores)), *argv]


@contextlib.contextmanager
def running(argv, cores, log, *, cwd=None, environment=None):
    """Run a command in its own process group; stop the group at the end."""
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
        for number, timeout in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout)
                break


def ask(port, method, path, *, body=None, headers=None, timeout=10.0):
    """Send one request; return status and body, or (0, b"") without a connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def wait_for(process, log, probe, timeout):
    """Return the seconds until ``probe()`` is true."""
    started = time.perf_counter()
    while time.perf_counter() - started < timeout:
        if process.poll() is not None:
            break
        if probe():
            return time.perf_counter() - started
        time.sleep(0.005)
    tail = log.read_text(errors="replace")[-600:]
    raise DidNotStart(f"no answer within {timeout} s; its log ends:\n{tail}")


def tree(pid):
    """Return the ids of a process and of all its descendants."""
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
    """Return the summed peak resident set of a process and its descendants, in MiB."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{one}/status").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return total / 1024


def cpu_seconds(pid):
    """Return the processor time so far of a process and its descendants, in seconds."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS
