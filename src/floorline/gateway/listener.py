"""The socket on which the gateway listens: an address, or a file on this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from floorline.config import ServerSettings
from floorline.errors import FloorlineError, system_reason

_BACKLOG = 2048
"""Connections that the operating system holds before they are accepted."""
_PROBE_SECONDS = 1.0
"""Time in which another process answers on a unix socket, if there is one."""


class Listener(NamedTuple):
    """A socket that listens, and its URL."""

    socket: socket.socket
    url: str


@contextlib.contextmanager
def listening(settings: ServerSettings) -> Iterator[Listener]:
    """Listen where the settings say; the file of a unix socket is removed at the end.

    Raises
    ------
    FloorlineError
        If the address cannot be listened on.
    """
    scheme = "http" if settings.tls is None else "https"
    if settings.unix_socket is None:
        found = _listen(settings.host, settings.port)
        host, port = found.getsockname()[:2]
        with found:
            yield Listener(found, f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
        return
    path = Path(settings.unix_socket)
    with _listen_on_file(path, int(settings.unix_socket_mode, 8)) as found:
        made = path.stat().st_ino
        try:
            # As nginx writes it (proxy_pass).
            yield Listener(found, f"{scheme}://unix:{path}:")
        finally:
            # A process that was started since then may have put its own in this place.
            with contextlib.suppress(OSError):
                if path.stat().st_ino == made:
                    path.unlink()


@contextlib.contextmanager
def inherited(descriptor: int) -> Iterator[Listener]:
    """Accept connections of a socket that another process listens with, and does not accept."""
    with socket.socket(fileno=descriptor) as found:
        found.setblocking(False)
        host, port = found.getsockname()[:2]
        yield Listener(found, f"http://{host}:{port}")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise FloorlineError(
            f"cannot listen on server.host {host!r} and server.port {port} "
            f"({system_reason(error)}): give an address of this machine and a free port"
        ) from error
    listener.setblocking(False)
    return listener


def _listen_on_file(path: Path, mode: int) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise FloorlineError(
            "server.unix_socket is set, but this system has no unix sockets: set host and port"
        )
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Only the owner may connect before the permissions are set.
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
        path.chmod(mode)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _refused(path, f"{error.strerror}: give a file in a folder that exists") from error
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket of a process that ended without doing so; refuse any other file."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise _refused(path, "there is a file that is no socket: give another path")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_PROBE_SECONDS)
            probe.connect(str(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return
    except OSError as error:
        raise _refused(path, f"{error.strerror}: remove it, or give another path") from error
    raise _refused(path, "another process listens there: stop it, or give another path")


def _refused(path: Path, why: str) -> FloorlineError:
    return FloorlineError(f"cannot listen on server.unix_socket {str(path)!r} ({why})")
