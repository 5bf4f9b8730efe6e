"""The static files of the pages, below a path that changes with their content."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from floorline.gateway.dashboard.navigation import HOME

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "": "text/plain; charset=utf-8",
}
"""Media types by the ends of names; a file of another kind is not served."""
_FOREVER = "public, max-age=31536000, immutable"
"""A year, the longest that caches keep: a changed file has another URL."""
_HASH_CHARACTERS = 12
"""Characters of the hash in URLs: 48 bits tell all versions apart."""


def static_path(name: str) -> str:
    """Return the path of a static file, such as ``floorline.css``.

    Raises
    ------
    KeyError
        If there is no such file.
    """
    contents, version = _contents()
    if name not in contents:
        raise KeyError(name)
    return f"{HOME}/static/{version}/{name}"


def static_routes() -> list[Route]:
    """Return the route of the static files."""
    path = f"{HOME}/static/{{version}}/{{name:path}}"
    return [Route(path, _serve, methods=["GET"])]


async def _serve(request: Request) -> Response:
    contents, version = _contents()
    content = contents.get(request.path_params["name"])
    if content is None:
        return Response("there is no such file", 404, media_type="text/plain")
    data, kind, tag = content
    # A page of another version of the gateway may ask for a file under that version's path.
    current = request.path_params["version"] == version
    headers = {
        "cache-control": _FOREVER if current else "no-cache",
        "etag": tag,
        "x-content-type-options": "nosniff",
    }
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=kind)


@cache
def _contents() -> tuple[dict[str, tuple[bytes, str, str]], str]:
    """Bytes, media type and entity tag of each file, and the hash of all of them together.

    One hash for all, because scripts import each other by relative names.
    """
    contents = {}
    for name, file in sorted(_walk(files("floorline.gateway.dashboard") / "static", "")):
        kind = _TYPES.get(name.rpartition(".")[2] if "." in name else "")
        if kind is not None:
            data = file.read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()[:_HASH_CHARACTERS]}"'
            contents[name] = (data, kind, tag)
    whole = hashlib.sha256("".join(f"{n}{c[2]}" for n, c in contents.items()).encode())
    return contents, whole.hexdigest()[:_HASH_CHARACTERS]


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        else:
            found.append((f"{prefix}{entry.name}", entry))
    return found
