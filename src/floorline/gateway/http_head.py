"""The first lines of a request: read and written as bytes."""

from __future__ import annotations

from collections.abc import Iterable


def path_of(target: bytes) -> bytes:
    """Return path and query of a target that is a whole URL; other targets as they are.

    Examples
    --------
    >>> path_of(b"http://localhost/v1/models?x=1"), path_of(b"http://localhost"), path_of(b"*")
    (b'/v1/models?x=1', b'/', b'*')
    """
    scheme, found, rest = target.partition(b"://")
    if not found or scheme.lower() not in (b"http", b"https") or not rest.strip(b"/"):
        return target
    authority = rest.partition(b"?")[0].partition(b"/")[0]
    path = rest[len(authority) :]
    return path if path.startswith(b"/") else b"/" + path


def head_of(
    method: bytes, target: bytes, version: bytes, headers: Iterable[tuple[bytes, bytes]]
) -> bytes:
    r"""Write the head of a request.

    Examples
    --------
    >>> head_of(b"GET", b"/", b"1.1", [(b"host", b"localhost")])
    b'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'
    """
    lines = [b"%s: %s\r\n" % pair for pair in headers]
    return b"".join([b"%s %s HTTP/%s\r\n" % (method, target, version), *lines, b"\r\n"])
