"""Processes in network namespaces of their own, whose way to the database drops every packet.

A proxy that holds data back still answers for the database's machine: it takes connections and
acknowledges what it gets. Here nothing answers, as when a network is gone. Servers listen on files,
which are no part of a namespace, and reach the provider by a second way that stays.
"""

import os
import shutil
import subprocess

_PREFIX = f"fl{os.getpid() % 10_000}"
"""Begins the names of namespaces and interfaces, which have 15 characters at most."""
_NET = f"10.{200 + os.getpid() % 50}"
"""Begins the addresses of a run."""


def _ip(*arguments):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def not_permitted():
    """Return why this machine has no namespaces for a run; "" if it has them."""
    if shutil.which("ip") is None:
        return "there is no program ip"
    try:
        with Network() as network:
            network.add().close()
    except OSError as error:
        return str(error)
    return ""


class Network:
    """Addresses of this machine for the database and the provider, and namespaces that reach them.

    Attributes
    ----------
    database, provider : str
        Addresses at which the namespaces find them.
    """

    database, provider = f"{_NET}.0.1", f"{_NET}.0.2"

    def __init__(self):
        self._namespaces = []

    def __enter__(self):
        for address in (self.database, self.provider):
            _ip("address", "add", f"{address}/32", "dev", "lo")
        return self

    def __exit__(self, *_):
        for namespace in self._namespaces:
            namespace.close()
        for address in (self.database, self.provider):
            _ip("address", "del", f"{address}/32", "dev", "lo")

    def add(self):
        """Make a namespace."""
        made = Namespace(len(self._namespaces) + 1, (self.database, self.provider))
        self._namespaces.append(made)
        return made


class Namespace:
    """A namespace with a way to each of some addresses.

    Attributes
    ----------
    command
        Begins the command of a process in it.
    """

    def __init__(self, number, targets):
        self._name = f"{_PREFIX}n{number}"
        self.command = ["ip", "netns", "exec", self._name]
        self._there = True
        _ip("netns", "add", self._name)
        within = ["-n", self._name]
        _ip(*within, "link", "set", "lo", "up")
        self._ways = []
        for way, target in enumerate(targets):
            here, there = f"{_PREFIX}h{number}{way}", f"{_PREFIX}c{number}{way}"
            mine, other = (f"{_NET}.{number}.{4 * way + last}" for last in (1, 2))
            _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", self._name)
            _ip("address", "add", f"{mine}/30", "dev", here)
            _ip("link", "set", here, "up")
            _ip(*within, "address", "add", f"{other}/30", "dev", there)
            _ip(*within, "link", "set", there, "up")
            _ip(*within, "route", "add", f"{target}/32", "via", mine)
            self._ways.append(here)

    def cut(self):
        """Drop what goes to and comes from the database."""
        _ip("link", "set", self._ways[0], "down")

    def heal(self):
        _ip("link", "set", self._ways[0], "up")

    def close(self):
        """Remove it, once no process is in it."""
        if self._there:
            self._there = False
            for way in self._ways:
                _ip("link", "del", way)
            _ip("netns", "del", self._name)
