"""Real servers, a learner, PostgreSQL and a load balancer, for the benchmarks of replicas."""

import asyncio
import contextlib
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.chaos.balancer import is_ready, make_balancer
from tests.support.chaos.database import Database
from tests.support.replica_processes import Processes

from gateway_process import cpu_seconds
from replica_world import FLOOR

_PATIENCE = 300.0
"""Seconds within which servers must start on a busy machine."""


def settings_of(world, endpoint, url, replicas):
    """Return the configuration as text; ``replicas`` 0 is a server that is alone."""
    models = [
        {
            "name": model.name,
            "endpoint": f"{endpoint}/v1",
            "input_price": model.input_price,
            "output_price": model.output_price,
        }
        for model in world.data.zoo.models
    ]
    slas = []
    for name in world.names:
        sla = {"name": name, "floor": FLOOR}
        if name not in world.setting.free:
            period = f"{world.setting.period:g}s"
            sla["budget"] = {"total": world.budget(name), "period": period}
        slas.append(sla)
    return json.dumps(
        {
            "models": models,
            "slas": slas,
            "seed": 1,
            "auth": "none",
            "store": {"url": url},
            "replicas": {"enabled": replicas > 0},
        }
    )


class Cluster:
    """Servers that are ready, behind a balancer.

    Parameters
    ----------
    folder
        Where the files are.
    processes
        The servers and the learner.
    port
        Port of the balancer.
    """

    def __init__(self, folder, processes, port):
        self._folder, self._processes, self.port = folder, processes, port

    def cpu(self):
        """Processor time so far by part, in seconds."""
        servers = [replica.pid for replica in self._processes.replicas.values()]
        learners = [learner.pid for learner in self._processes.learners]
        database = int((self._folder / "postgres" / "postmaster.pid").read_text().split()[0])
        parts = {"servers": servers, "learner": learners, "PostgreSQL": [database]}
        parts["balancer"] = _with_argument(str(self._folder / "haproxy.cfg"))
        return {name: sum(map(cpu_seconds, pids)) for name, pids in parts.items()}

    def events(self):
        """All events of the log."""
        return self._processes.events()


def _with_argument(text):
    """Return the processes that have an argument."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text in path.read_text().split("\0"):
                found.append(int(path.parent.name))
    return found


@contextlib.asynccontextmanager
async def cluster(world, endpoint, replicas):
    """Run servers in this block; ``replicas`` 0 is a server that is alone, without a learner."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="replicas-")))
        database = Database(folder / "postgres")
        stack.callback(database.close)
        text = settings_of(world, endpoint, database.url, replicas)
        processes = Processes(folder, text, database.url)
        stack.callback(processes.stop)
        if replicas:
            processes.learn()
        names = [f"replica-{number}" for number in range(max(1, replicas))]
        ports = [processes.serve(name, wait=False).port for name in names]
        async with asyncio.timeout(_PATIENCE):
            while not all([await is_ready(port) for port in ports]):
                await asyncio.sleep(0.05)
        balancer = await make_balancer(folder, ports).start()
        try:
            async with asyncio.timeout(_PATIENCE):
                while not await is_ready(balancer.port):
                    await asyncio.sleep(0.05)
            yield Cluster(folder, processes, balancer.port)
        finally:
            await balancer.close()
