"""Replays on the workers of Ray.

It submits calls itself and does not use the Ray backend of joblib, which gives results only when
all calls have ended (Ray 2.60).
"""

from __future__ import annotations

import os
import pydoc
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from floorline._extras import needs
from floorline.replay.engines import (
    VERSION,
    Call,
    EngineUnavailable,
    Lost,
    check_floorline,
    check_packages,
    guarded,
    raised,
    versions,
)

with needs("ray", "--engine ray"):
    import ray
    from ray.exceptions import RayError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

_PATIENCE_SECONDS = 30.0
"""Longest wait for the head of a cluster. Ray itself waits for minutes."""
_CHECK_SECONDS = 300.0
"""Longest wait for a first call on each node, which starts a process there."""
_HOST_PORT = re.compile(r"^(?:ray://)?\[?([^/\]]+?)\]?:(\d+)$")


def ray_address(address: str | None) -> str | None:
    """Return the address of the cluster, or that of ``RAY_ADDRESS``; None without any."""
    return address or os.environ.get("RAY_ADDRESS") or None


@contextmanager
def ray_engine(address: str | None, jobs: int) -> Iterator[RayEngine]:
    """Connect to a cluster, or start one with ``jobs`` processors; see ``open_engine``."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        # Nothing of a run leaves the machine.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            ray.init(num_cpus=jobs, include_dashboard=False, **quiet)
        except Exception as error:
            raise EngineUnavailable(
                f"Ray does not start on this machine: {error}; its logs are in "
                "/tmp/ray/session_latest"
            ) from error
    else:
        _reach(address)
        try:
            ray.init(address=address, **quiet)
        except Exception as error:
            raise _unreachable(address, error) from error
    try:
        yield RayEngine()
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    found = _HOST_PORT.match(address)
    if found is None:
        return
    try:
        with socket.create_connection((found[1], int(found[2])), timeout=_PATIENCE_SECONDS):
            pass
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> EngineUnavailable:
    return EngineUnavailable(
        f"no cluster of Ray answers at {address}: {error}; give the address that 'ray start --head'"
        " prints, such as HOST:6379, or ray://HOST:10001 from a machine outside of the cluster"
    )


class RayEngine:
    """Workers of Ray, one processor each; see ``Engine``.

    Raises
    ------
    EngineUnavailable
        If a node has another version of Floorline or of a package, or none has a processor.
    """

    def __init__(self) -> None:
        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        if not nodes:
            raise EngineUnavailable("the cluster of Ray has no processors: start nodes that have")
        for node in nodes:
            where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            options = {"num_cpus": 0, "scheduling_strategy": where}
            # A function of the standard library, which a node without this Floorline has too.
            found = ray.remote(pydoc.locate).options(**options).remote(VERSION)
            check_floorline(node["NodeManagerAddress"], ray.get(found, timeout=_CHECK_SECONDS))
            packages = ray.remote(versions).options(**options).remote()
            check_packages(node["NodeManagerAddress"], ray.get(packages, timeout=_CHECK_SECONDS))
        self.slots = max(1, int(sum(node["Resources"]["CPU"] for node in nodes)))

    def map(self, call: Call, shared: Any, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """See ``Engine``."""
        data = ray.put(shared)
        # A call whose node died is made again at once; the caller makes it again, alone.
        remote = ray.remote(guarded).options(num_cpus=1, max_retries=1)
        running = {remote.remote(call, data, item): place for place, item in enumerate(items)}
        while running:
            (done,), _ = ray.wait(list(running), num_returns=1)
            position = running.pop(done)
            try:
                found = ray.get(done)
            except RayTaskError as error:
                found = raised(error)
            except RayError as error:
                found = Lost(str(error).splitlines()[0])
            yield position, found
